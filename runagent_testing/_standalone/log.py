"""One line when a run begins, one when it ends."""

from __future__ import annotations

import itertools
import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from runagent_testing._internal.log import logger
from runagent_testing._internal.redaction import Secrets
from runagent_testing._render.plan import Write
from runagent_testing._script.describe import described
from runagent_testing._script.steps import Chunk, Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._journal.exchange import Exchange

__all__ = ["ExchangeLog", "sent_chunks"]

_COLORS = {
    "begins": "36",
    "done": "32",
    "cancelled": "33",
    "client disconnected": "33",
    "server closed": "33",
    "ERROR": "31",
}
_WIDTH = 100  # characters of an input


class Writer(Protocol):
    """What takes lines: a text file, or an `Output`."""

    def write(self, line: str, /) -> object:
        """Write."""

    def flush(self) -> None:
        """Write at once."""


class ExchangeLog(logging.Handler):
    """Writes the records of ``runagent_testing``, and of other libraries, for people.

    Args:
        stream: Where to.
        color: Whether the stream understands ANSI colors.
        api_key: Never shown, wherever it may turn up.
        forget: Called when a run has ended and been written down.
    """

    def __init__(
        self,
        stream: Writer,
        *,
        color: bool = False,
        api_key: str | None = None,
        forget: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(logging.INFO)
        self._stream = stream
        self._color = color
        self._secrets = Secrets(values=[] if api_key is None else [api_key])
        self._forget = forget
        self._running: dict[Exchange, int] = {}
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; what cannot be shown stops nobody."""
        try:
            self._emit(record)
        except Exception as exc:  # noqa: BLE001 - whatever a dialect has made of a request
            self._write(f"a line is missing here: {type(exc).__name__}", "ERROR")

    def _emit(self, record: logging.LogRecord) -> None:
        exchange: Exchange | None = getattr(record, "exchange", None)
        if exchange is None:
            self._write(_message(record), record.levelname)
        elif exchange.outcome == "running":
            self._begun(exchange)
        elif exchange in self._running or exchange.method != "OPTIONS":  # a preflight is the browser's
            self._ended(exchange, self._running.pop(exchange, None))
            self._forget()

    def _begun(self, exchange: Exchange) -> None:
        self._count += 1
        self._running[exchange] = self._count
        shown = json.dumps(exchange.secrets.value(exchange.input), ensure_ascii=False, default=repr)
        shown = shown if len(shown) <= _WIDTH else f"{shown[:_WIDTH]}..."
        self._write(f"{_name(exchange, self._count)} begins: {shown}", "begins", exchange)

    def _ended(self, exchange: Exchange, number: int | None) -> None:
        parts: list[str] = [exchange.outcome]
        last = exchange.steps[-1] if exchange.steps else None
        if exchange.outcome == "done" and isinstance(last, Ending):
            parts.append(described(last))
        if exchange.client != "still reading":
            parts.append(f"client {exchange.client}")
        sent, scripted = sent_chunks(exchange)
        if scripted and exchange.transport not in ("invoke", "run"):
            parts.append(f"{sent} of {scripted} chunks")
        if exchange.status not in (None, 101):
            parts.append(f"status {exchange.status}")
        parts.append(f"{exchange.ended_at or 0:.3f} s")
        parts += filter(None, [exchange.unmatched, exchange.refused, exchange.failure])
        self._write(f"{_name(exchange, number)} ends: {', '.join(parts)}", exchange.outcome, exchange)

    def _write(self, text: str, kind: str, exchange: Exchange | None = None) -> None:
        text = (self._secrets if exchange is None else exchange.secrets).line(text)
        if self._color and kind in _COLORS:
            text = f"\x1b[{_COLORS[kind]}m{text}\x1b[0m"
        self._stream.write(f"{datetime.now().astimezone():%H:%M:%S.%f}"[:12] + f" {text}\n")
        self._stream.flush()


def sent_chunks(exchange: Exchange) -> tuple[int, int]:
    """Count the chunks that have left as a whole, and those that the answer has."""
    if exchange.plan is None:
        return 0, 0
    known = exchange.plan.known
    every, left = (
        {
            number
            for move in some
            if isinstance(move, Write)
            for number in move.steps
            if isinstance(exchange.steps[number], Chunk)
        }
        for some in (known, known[exchange.moves_done :])
    )
    more = itertools.islice(exchange.steps, max(every, default=-1) + 1, None)
    to_come = 0 if exchange.plan.is_whole else sum(isinstance(step, Chunk) for step in more)
    return len(every - left), len(every) + to_come


def _name(exchange: Exchange, number: int | None) -> str:
    return exchange.title if number is None else f"#{number} {exchange.agent_id} {exchange.transport}"


def _message(record: logging.LogRecord) -> str:
    if record.name == logger.name:
        return record.getMessage()
    # Of what other libraries log, nothing is known: a traceback may quote anything.
    failure = record.exc_info[1] if record.exc_info else None
    return f"{record.name}: {record.getMessage()}" + (f": {type(failure).__name__}" if failure else "")
