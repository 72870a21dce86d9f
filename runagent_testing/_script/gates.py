"""Gates: the only steps with a state, which the test changes while runs share it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.public import publish

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Gate"]


class _State:
    """The state of a gate, apart from its fields, so that `dataclasses.asdict` has only these."""

    __slots__ = ("_lock", "_opened", "_waiting")
    _lock: threading.Lock
    _opened: threading.Event
    _waiting: dict[Callable[[], object], None]


@dataclass(frozen=True, slots=True, eq=False)
class Gate(_State):
    """A step at which the agent waits until the test opens it; it stays open until the test closes it.

    A copy, or one from a pickle, is another gate, which is open if this one was.
    """

    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "_lock", threading.Lock())
        object.__setattr__(self, "_opened", threading.Event())
        object.__setattr__(self, "_waiting", {})

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (self.name, self.is_open)

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


def _copied(name: str, is_open: bool) -> Gate:
    gate = Gate(name)
    if is_open:
        gate.open()
    return gate


publish(Gate)
