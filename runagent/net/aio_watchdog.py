"""Deadlines in asyncio: one timer for all connections of a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from runagent.net.aio_connection import LoopConnection

__all__ = ["Watchdog"]

_INFINITE = float("inf")


class Watchdog:
    """A timer that ends the waits of one loop whose deadlines are over.

    It fires at the earliest deadline there was when it was set, or came since. A wait with a later one has
    nothing to do but to note it: whoever waits by the time that the timer fires is looked at then.

    Attributes:
        connections: Those that are open.
        wakes: When it fires; infinite where it is not set.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.connections: set[LoopConnection] = set()
        self.wakes = _INFINITE
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def leave(self, connection: LoopConnection) -> None:
        """Forget a connection; without any there is no timer."""
        self.connections.discard(connection)
        if not self.connections:
            self.wake_at(_INFINITE)

    def wake_at(self, when: float) -> None:
        """Fire then instead; infinite means not at all."""
        if self._timer is not None:
            self._timer.cancel()
        self.wakes = when
        self._timer = None if when == _INFINITE else self._loop.call_at(when, self._watch)

    def _watch(self) -> None:
        now = self._loop.time()
        for connection in list(self.connections):
            if connection.deadline <= now:
                connection.time_out()
        self.wake_at(min((connection.deadline for connection in self.connections), default=_INFINITE))
