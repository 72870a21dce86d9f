"""A lock that a fork cannot leave locked."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ForkSafeLock", "ThreadWakeup"]


class ForkSafeLock:
    """A reentrant lock, for ``with``.

    Where one thread forks while another holds the lock, the child has no thread that would ever
    release it; so each child begins with the lock free. What it guards has to bear that.

    A signal handler that raises never leaves it locked: ``with`` gets the methods of the lock itself, so that
    no step of Python, at which a handler could run, lies between taking it and the block.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(weakref.ref(self, _locks.discard))

    @property
    def __enter__(self) -> Callable[[], object]:
        return self._lock.__enter__

    @property
    def __exit__(self) -> Callable[..., None]:
        return self._lock.__exit__


class ThreadWakeup:
    """Wakes the thread that waits; a ring that nobody waits for is kept for the next wait.

    A `threading.Event` would do, if no signal handler raised: one that does may leave it locked.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a ring, or until the time is over; return whether there was a ring."""
        return self._lock.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX))

    def wake(self) -> None:
        """Wake the one who waits; callable from any thread."""
        with contextlib.suppress(RuntimeError):  # it has been rung already
            self._lock.release()


_locks: set[weakref.ref[ForkSafeLock]] = set()  # no WeakSet, which runs Python when one of its members dies


def _after_fork_in_child() -> None:
    for ref in list(_locks):
        if (lock := ref()) is not None:
            lock._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
