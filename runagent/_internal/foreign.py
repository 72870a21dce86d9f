"""Exceptions that prove nothing about the work during which they came: no result may be kept of them."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["ENDS_LOOPS", "find_hook", "find_stop", "is_cancellation", "is_passing", "let_signals_through"]

# A loop, or the generator around it, would take them for its end, whatever has raised them.
ENDS_LOOPS = (StopIteration, StopAsyncIteration, GeneratorExit)


_WAITS = 0x20 | 0x80 | 0x100 | 0x200  # flags of generators and coroutines, as inspect has them

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
        (isinstance(error, GeneratorExit) and _ends_coroutine(error))
        or (asyncio is not None and isinstance(error, asyncio.CancelledError))
        or (trio is not None and isinstance(error, trio.Cancelled))
    )


def _ends_coroutine(error: GeneratorExit) -> bool:
    """Whether it comes from the end of a coroutine that waits, not from code that has raised it."""
    return all(frame.f_code.co_flags & _WAITS for frame in _frames(error))


def find_stop(error: BaseException) -> BaseException | None:
    """Return what would end a loop: the exception, or the one of which Python has made it."""
    stop = error.__cause__ if type(error) is RuntimeError else error
    return stop if isinstance(stop, ENDS_LOOPS) else None


def find_hook(error: BaseException) -> str:
    """Return the name of the last function that we called before an exception; "" if it is unknown."""
    name, caller_is_ours = "", True
    for frame in _frames(error):
        is_ours = str(frame.f_globals.get("__name__")).partition(".")[0] == "runagent"
        if caller_is_ours and not is_ours:
            name = frame.f_code.co_qualname
        caller_is_ours = is_ours
    return name


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
    return any(map(_is_handler, _frames(error)))


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Iterate the frames that an exception has come through, beginning with the one that caught it."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


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
