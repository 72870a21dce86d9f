"""What it means that there is no thread to be had."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from runagent._errors import NetworkError
from runagent._internal.foreign import let_signals_through

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["needs_thread"]


@contextlib.contextmanager
def needs_thread(purpose: str) -> Iterator[None]:
    """Have what starts a thread fail as connecting does, in place of the interpreter's bare RuntimeError.

    What a signal handler raises while a thread starts passes: the interpreter then looks for the thread among
    those that have not begun, and raises a KeyError in place of the exception if it has begun.

    Raises:
        NetworkError: The system gives no more threads, or the interpreter is ending.
    """
    try:
        yield
    except (RuntimeError, KeyError) as exc:
        let_signals_through(exc)
        # The interpreter's locks may be in disorder behind what a signal handler has raised in them.
        if exc.__context__ is not None:
            let_signals_through(exc.__context__)
        if isinstance(exc, KeyError):
            raise
        raise NetworkError(f"no thread can be started to {purpose}: {exc}", code="NO_THREAD") from exc
