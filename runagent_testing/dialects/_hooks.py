"""The hook of a dialect in which an exception was raised, for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing.dialects._base import Dialect, Format
from runagent_testing.dialects._request import RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing.dialects._request import Request

__all__ = ["hook_in", "parsed_by"]


def hook_in(exc: BaseException) -> str:
    """Name the hook in which an exception was raised; empty if it was raised elsewhere."""
    return next(_hooks(exc), "")


def _hooks(exc: BaseException) -> Iterator[str]:
    trace = exc.__traceback__
    while trace is not None:
        frame, code = trace.tb_frame, trace.tb_frame.f_code
        owner: Any = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        hook = f"{type(owner).__qualname__}.{code.co_name}()"
        if isinstance(owner, Dialect) and hasattr(Dialect, code.co_name):
            yield f"{hook} of the dialect {owner.name!r}"
        elif Format in type(owner).__mro__ and hasattr(Format, code.co_name):
            yield hook
        trace = trace.tb_next


def parsed_by(dialect: Dialect, request: Request) -> RunRequest | None:
    """Let a dialect understand a request.

    Raises:
        TypeError: It returned something else than a `RunRequest`.
    """
    found: object = dialect.parse_request(request)
    if found is None or isinstance(found, RunRequest):
        return found
    given = f"{type(dialect).__qualname__}.parse_request() of the dialect {dialect.name!r}"
    raise TypeError(f"{given} returned a {type(found).__name__}: return a RunRequest, or None")
