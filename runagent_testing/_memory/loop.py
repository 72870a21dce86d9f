"""An asyncio loop on virtual time."""

from __future__ import annotations

import asyncio
import selectors
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from runagent_testing._internal.public import publish
from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Reader", "VirtualTimeLoop"]

__tracebackhide__ = is_ours

_FEW_TIMERS = 100  # past or cancelled timers that may be kept before they are removed


class Reader(Protocol):
    """A connection of a memory network, whose reader may wait in vain."""

    @property
    def waits(self) -> bool:
        """Whether a reader waits and has not been woken."""

    @property
    def waits_at_gate(self) -> bool:
        """Whether a reader waits for bytes that a closed gate holds back."""

    @property
    def idle_timers(self) -> list[object]:
        """The timers that cannot open a gate."""

    def report_deadlock(self) -> None:
        """Make the reader raise a `DeadlockError`."""


class _JumpingSelector(selectors.DefaultSelector):
    """Returns at once, as if the time had passed."""

    now = 0.0
    busy = 0  # threads that work for the loop: while there are any, time does not move

    def __init__(self, on_idle: Callable[[float | None], bool]) -> None:
        super().__init__()
        self._on_idle = on_idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if self.busy:
            return super().select(None)
        if self._on_idle(timeout):
            return []
        if timeout is None:  # only a thread or a socket can wake the loop
            return super().select(None)
        self.now += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer when there is nothing to do.

    ``asyncio.Runner(loop_factory=VirtualTimeLoop)``. All timers and sleeps of asyncio end without real
    waiting. Time does not move while a thread of ``run_in_executor`` works. Other threads and real
    sockets may be used, but time does not wait for them: their effects may come too late.

    Attributes:
        connections: The connections of memory networks.
        reading: The connections that are being read.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector(self._report_deadlocks)
        self.connections: weakref.WeakSet[Reader] = weakref.WeakSet()
        self.reading: set[Reader] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self._enough_timers = _FEW_TIMERS
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._jumping.now

    def call_at(self, *args: Any, **options: Any) -> asyncio.TimerHandle:  # type: ignore[override]
        """See `asyncio.loop.call_at`."""
        if len(self._timers) >= self._enough_timers:
            self._timers = self._pending_timers()
            self._enough_timers = max(2 * len(self._timers), _FEW_TIMERS)
        timer = super().call_at(*args, **options)
        self._timers.append(timer)
        return timer

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """See `asyncio.loop.run_in_executor`."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.busy += 1
        future.add_done_callback(self._no_longer_busy)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """See `asyncio.loop.shutdown_default_executor`."""
        self._jumping.busy += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._jumping.busy -= 1

    def _no_longer_busy(self, future: object) -> None:
        self._jumping.busy -= 1

    def _report_deadlocks(self, timeout: float | None) -> bool:
        """Report a deadlock to readers that wait in vain; return whether there were any."""
        if timeout is None:
            stuck = [connection for connection in self.reading if connection.waits]
        else:
            stuck = [connection for connection in self.reading if connection.waits_at_gate]
            if stuck and not self._only_idle_timers_are_left():
                return False
        for connection in stuck:
            connection.report_deadlock()
        return bool(stuck)

    def _only_idle_timers_are_left(self) -> bool:
        idle = [timer for connection in list(self.connections) for timer in connection.idle_timers]
        return all(timer in idle for timer in self._pending_timers())

    def _pending_timers(self) -> list[asyncio.TimerHandle]:
        return [timer for timer in self._timers if not timer.cancelled() and timer.when() > self.time()]


publish(VirtualTimeLoop)
