"""Gates: the only steps with a state, which the test changes while runs share it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runagent_testing._internal.public import publish

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Gate"]


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """A step at which the agent waits until the test opens it; it stays open until the test closes it."""

    name: str
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _opened: threading.Event = field(default_factory=threading.Event, repr=False)
    _waiting: dict[Callable[[], object], None] = field(default_factory=dict, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether runs pass without waiting."""
        return self._opened.is_set()

    @property
    def waiting(self) -> int:
        """The number of runs that wait here; only those that a player wakes."""
        return len(self._waiting)

    def open(self) -> None:
        """Let every run pass, now and later; callable from any thread."""
        # Woken under the lock: once `forget` has returned, no call reaches a loop that may be closed.
        with self._lock:
            self._opened.set()
            while self._waiting:
                self._waiting.popitem()[0]()

    def close(self) -> None:
        """Make the runs wait that come from now on; those that have waited before `open` pass."""
        with self._lock:
            self._opened.clear()

    def on_open(self, wake: Callable[[], object]) -> None:
        """Call ``wake`` once, from the thread that opens the gate, or at once if it is open."""
        with self._lock:
            if not self._opened.is_set():
                self._waiting[wake] = None
                return
        wake()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in this thread until the gate is open; False if ``timeout`` seconds passed first."""
        was_opened = self._opened.wait(None if timeout is None else min(timeout, threading.TIMEOUT_MAX))
        with self._lock:  # only once `open` has woken all others
            return was_opened or self._opened.is_set()

    def forget(self, wake: Callable[[], object]) -> None:
        """Withdraw a callback given to `on_open`."""
        with self._lock:
            self._waiting.pop(wake, None)


publish(Gate)
