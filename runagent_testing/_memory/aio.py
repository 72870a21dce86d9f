"""The memory network of asyncio, and a loop on virtual time."""

from __future__ import annotations

import asyncio
import math
import selectors
import weakref
from typing import TYPE_CHECKING, Any

from runagent._net.base import DeadlineExceededError, Dialing
from runagent_testing._memory.connection import MemoryConnection
from runagent_testing._memory.real_time import RealTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._address.route import Address
    from runagent_testing._memory.calls import Clock
    from runagent_testing._memory.peer import Peer
    from runagent_testing._memory.wire import Wire

__all__ = ["AioMemory", "AioMemoryConnection", "VirtualTimeLoop"]


_FEW_TIMERS = 100  # that may have come or been cancelled before they are sorted out


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a time: it says that it has."""

    now = 0.0
    busy = 0  # threads that work for the loop: as long as there are any, time stands still

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

    ``asyncio.Runner(loop_factory=VirtualTimeLoop)``. Everything of asyncio that waits for a time
    does so at once. Time stands still while a thread of ``run_in_executor`` works. Other threads and
    real sockets may be used, but time does not wait for them: what they do may come too late.

    Attributes:
        connections: Those of a memory network.
        reading: Those of them that are being read.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector(self._tell_deadlocks)
        self.connections: weakref.WeakSet[AioMemoryConnection] = weakref.WeakSet()
        self.reading: set[AioMemoryConnection] = set()
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

    def _tell_deadlocks(self, timeout: float | None) -> bool:
        """Tell those who wait in vain, now that all wait; whether there were any."""
        if timeout is None:
            stuck = [connection for connection in self.reading if connection.waits]
        else:
            stuck = [connection for connection in self.reading if connection.waits_at_gate]
            if stuck and not self._only_idle_timers_are_left():
                return False
        for connection in stuck:
            connection.tell_deadlock()
        return bool(stuck)

    def _only_idle_timers_are_left(self) -> bool:
        idle = [timer for connection in list(self.connections) for timer in connection.idle_timers]
        return all(timer in idle for timer in self._pending_timers())

    def _pending_timers(self) -> list[asyncio.TimerHandle]:
        return [timer for timer in self._timers if not timer.cancelled() and timer.when() > self.time()]


class AioMemoryConnection(MemoryConnection):
    """A `runagent._net.base.AsyncConnection`."""

    def __init__(self, wire: Wire, peer: Peer, loop: asyncio.AbstractEventLoop, real_time: RealTime) -> None:
        super().__init__(wire, peer)
        self._loop = loop
        self._real_time = None if isinstance(loop, VirtualTimeLoop) else real_time
        self._waiter: asyncio.Future[None] | None = None
        self._reading: set[AioMemoryConnection] = set()
        if isinstance(loop, VirtualTimeLoop):
            loop.connections.add(self)
            self._reading = loop.reading

    async def send(self, data: bytes, deadline: float) -> None:
        """See `runagent._net.base.Connection.send`; takes no time."""
        self._send(data)

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `runagent._net.base.Connection.receive`.

        Raises:
            DeadlockError: The agent stands at a gate, and nothing is planned in the whole loop that could
                open it; or nothing is planned any more at all (only in a `VirtualTimeLoop`).
        """
        self._reading.add(self)
        try:
            while (data := self._take(max_bytes)) is None:
                # What is due at the deadline itself has come by now: timers first, then tasks.
                if self._loop.time() >= deadline:
                    raise DeadlineExceededError
                if self._deadline is None and deadline != math.inf:
                    self._deadline = self._loop.call_at(deadline, self._wake)
                if self._real_time is not None and not self._peer.is_at_gate:
                    self._real_time.warn()
                self._waiter = self._loop.create_future()
                await self._waiter
        finally:
            self._reading.discard(self)
            self._waiter = None
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
        return data

    @property
    def waits(self) -> bool:
        """Whether somebody reads, without having been woken."""
        return self._waiter is not None and not self._waiter.done()

    def tell_deadlock(self) -> None:
        """Have the reader raise what it waits for in vain."""
        if self._waiter is not None:
            self._waiter.set_exception(self.deadlock())

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class AioMemory:
    """A `runagent._net.base.AsyncNetwork` for whichever asyncio loop is running."""

    def __init__(self, opener: Callable[[Address, Clock], tuple[Wire, Peer]]) -> None:
        self._open = opener
        self._real_time = RealTime("run_asyncio", "VirtualTimeLoops")

    async def connect(self, address: Address, deadline: float, dialing: Dialing) -> AioMemoryConnection:
        """See `runagent._net.base.Network.connect`; takes no time."""
        loop = asyncio.get_running_loop()
        return AioMemoryConnection(*self._open(address, loop), loop, self._real_time)

    def now(self) -> float:
        """See `runagent._net.base.Network.now`.

        Raises:
            RuntimeError: No asyncio loop is running.
        """
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            raise RuntimeError("memory.aio is for asyncio; in trio it is memory.trio") from None

    async def sleep(self, seconds: float) -> None:
        """See `runagent._net.base.Network.sleep`."""
        if seconds > 0 and not isinstance(asyncio.get_running_loop(), VirtualTimeLoop):
            self._real_time.warn()
        await asyncio.sleep(seconds)

    async def checkpoint(self) -> None:
        """See `runagent._net.base.AsyncNetwork.checkpoint`."""
        await asyncio.sleep(0)
