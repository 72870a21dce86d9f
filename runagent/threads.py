"""What it means that there is no thread to be had."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from runagent.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["needs_thread"]


@contextlib.contextmanager
def needs_thread(purpose: str) -> Iterator[None]:
    """Have what starts a thread fail as connecting does, in place of the interpreter's bare RuntimeError.

    Raises:
        NetworkError: The system gives no more threads, or the interpreter is ending.
    """
    try:
        yield
    except RuntimeError as exc:
        raise NetworkError(f"no thread can be started to {purpose}: {exc}", code="NO_THREAD") from exc
