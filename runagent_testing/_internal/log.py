"""The logger of the fake agent: nothing secret gets into a record, and what a handler raises stops nobody."""

from __future__ import annotations

import contextlib
import logging
import traceback
from typing import Protocol

from runagent_testing._internal.redaction import Secrets, escaped
from runagent_testing._internal.refused import StepRefusedError

__all__ = ["SILENT", "log_exchange", "log_failure", "log_warning", "logger"]

logger = logging.getLogger("runagent_testing")

# For libraries that would log a client's messages unredacted. Not looked up by name: an interrupt in another
# thread that looks a logger up keeps the lock of `logging` for ever.
SILENT = logging.Logger("runagent_testing.silent")  # noqa: LOG001 - see above
SILENT.disabled = True

_NO_OTHERS = Secrets()


class _Titled(Protocol):
    @property
    def title(self) -> str: ...


def log_exchange(event: str, exchange: _Titled) -> None:
    """Log the beginning or the end of an exchange, which the record carries as ``exchange``."""
    if logger.isEnabledFor(logging.INFO):
        with contextlib.suppress(Exception):
            logger.info("%s %s", exchange.title, event, extra={"exchange": exchange})


def log_warning(text: str) -> None:
    """Log what is not as it should be."""
    with contextlib.suppress(Exception):
        logger.warning(escaped(text))


def log_failure(what: str, failure: BaseException | None, secrets: Secrets = _NO_OTHERS) -> None:
    """Log what went wrong, without credentials, and with the traceback of a mistake."""
    if not logger.isEnabledFor(logging.ERROR):
        return
    with contextlib.suppress(Exception):
        text = what if failure is None else f"{what}: {type(failure).__name__}: {failure}"
        record = logger.makeRecord(
            logger.name, logging.ERROR, __file__, 0, secrets.line(text), (), None, log_failure.__name__
        )
        if failure is not None and not isinstance(failure, StepRefusedError):
            # Not as exc_info: a formatter would write it as it is.
            record.exc_text = secrets.lines("".join(traceback.format_exception(failure)).rstrip("\n"))
        logger.handle(record)
