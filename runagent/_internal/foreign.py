"""Exceptions that prove nothing about the work during which they came: no result may be kept of them."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["is_cancellation", "is_passing", "let_signals_through"]

# A file that is missing, or that may not be read, is a fact. What the machine lacks at the moment is none.
_FACTS = frozenset(
    {
        0,
        errno.EACCES,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENXIO,
        errno.EPERM,
    }
)
_LACKS = tuple(os.strerror(code) for code in (errno.EMFILE, errno.ENFILE, errno.ENOMEM))


def is_passing(error: BaseException) -> bool:
    """Whether a failure to read something may be over the next time: it is raised as it is and not kept.

    Args:
        error: What opening or reading a file, or importing a module, has raised.
    """
    if isinstance(error, OSError):
        return error.errno not in _FACTS and type(error).__module__ != "ssl"  # whose numbers are others
    # The dynamic linker has only text for what it lacks.
    lacks = isinstance(error, ImportError) and str(error).endswith(_LACKS)
    return lacks or isinstance(error, MemoryError)


def is_cancellation(error: BaseException) -> bool:
    """Whether an exception has only ended a wait of asyncio or trio, at which nothing was half done."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_cancellation, error.exceptions))
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    return (
        isinstance(error, GeneratorExit)
        or (asyncio is not None and isinstance(error, asyncio.CancelledError))
        or (trio is not None and isinstance(error, trio.Cancelled))
    )


def let_signals_through(error: BaseException) -> None:
    """Raise what a signal handler has raised, if ``error`` is that, or if others have made it of that.

    Call it first wherever an exception is caught that any code may have raised. Ctrl-C, for example, becomes
    a RuntimeError if it comes while a class is being made (before Python 3.12).
    """
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, KeyboardInterrupt) or _is_from_handler(cause):
            raise cause
        seen.add(id(cause))
        cause = cause.__cause__  # not the context, which may be what the caller is handling


def _is_from_handler(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if _is_handler(trace.tb_frame):
            return True
        trace = trace.tb_next
    return False


def _is_handler(frame: FrameType) -> bool:
    """Whether the interpreter has called this: it hands a handler the very frame that it interrupts.

    Frames of the library are no handlers, and are not looked into: a frame keeps the dictionary of its
    variables that is made for a look, and with it the error, which keeps the frame.
    """
    caller = frame.f_back
    if caller is None or str(frame.f_globals.get("__name__")).startswith("runagent"):
        return False
    for value in frame.f_locals.values():
        if value is caller or (type(value) is tuple and any(each is caller for each in value)):
            return True
    return False
