"""Deadlines in asyncio: one timer for all connections of a loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from runagent._internal import clock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Watchdog", "Watched", "clock_of"]

_INFINITE = float("inf")
# Seconds between two looks at all connections, for each of them: a look takes less than a fiftieth of that,
# however many there are. With a thousand, a deadline may be noticed ten milliseconds late.
_PAUSE = 1e-5


class Watched(Protocol):
    """A connection whose waits have deadlines."""

    deadline: float

    def time_out(self) -> None:
        """Have what waits fail: its deadline is over."""


class Watchdog:
    """A timer that ends the waits of one loop whose deadlines are over.

    It fires at the earliest deadline there was when it was set, or came since. A wait with a later one has
    nothing to do but to note it: a wait that exists when the timer fires is examined then. Deadlines that are
    close to each other share a firing, as each one examines all connections.

    Attributes:
        connections: Those that are open.
        wakes: When it fires; infinite if it is not set.
        now: The time in which deadlines are given.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.connections: set[Watched] = set()
        self.wakes = _INFINITE
        self.now = clock_of(loop)
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def leave(self, connection: Watched) -> None:
        """Forget a connection; without any there is no timer."""
        self.connections.discard(connection)
        if not self.connections:
            self.wake_at(_INFINITE)

    def wake_at(self, when: float) -> None:
        """Fire then instead; infinite means not at all."""
        if self._timer is not None:
            self._timer.cancel()
        self.wakes = when
        left = self.left(when)
        self._timer = None if left is None else self._loop.call_later(left, self._watch)

    def left(self, deadline: float) -> float | None:
        """Return the seconds until a deadline, in which a timer of the loop can be set; None for no timer."""
        if deadline == _INFINITE:
            return None
        return min(max(deadline - self.now(), 0.0), clock.LONGEST_WAIT)

    def _watch(self) -> None:
        now = self.now()
        try:
            for connection in list(self.connections):
                if connection.deadline <= now:
                    connection.time_out()
        finally:  # what a signal handler raises here is logged by asyncio, and the loop goes on
            earliest = min((connection.deadline for connection in self.connections), default=_INFINITE)
            self.wake_at(max(earliest, now + _PAUSE * len(self.connections)))


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return what deadlines of a loop are counted by: its own time if that differs from the system's."""
    plain = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time  # frozen along with dates
    # uvloop's time does not move while a task runs, and a deadline counted from it would come too soon.
    return clock.now if plain or type(loop).__module__.startswith("uvloop") else loop.time
