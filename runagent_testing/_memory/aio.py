"""The memory network of asyncio."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from runagent._net.base import ConnectAttempt, DeadlineExceededError
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._internal.uncopied import Uncopied
from runagent_testing._memory.connection import MemoryConnection
from runagent_testing._memory.loop import VirtualTimeLoop
from runagent_testing._memory.real_time import RealTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._address.route import Address
    from runagent_testing._memory.calls import Clock
    from runagent_testing._memory.loop import Reader
    from runagent_testing._memory.peer import Peer
    from runagent_testing._memory.wire import Wire

__all__ = ["AioMemory", "AioMemoryConnection"]

__tracebackhide__ = is_ours


class AioMemoryConnection(MemoryConnection):
    """A `runagent._net.base.AsyncConnection`."""

    def __init__(self, wire: Wire, peer: Peer, loop: asyncio.AbstractEventLoop, real_time: RealTime) -> None:
        super().__init__(wire, peer)
        self._loop = loop
        self._real_time = None if isinstance(loop, VirtualTimeLoop) else real_time
        self._waiter: asyncio.Future[None] | None = None
        self._reading: set[Reader] = set()
        if isinstance(loop, VirtualTimeLoop):
            loop.connections.add(self)
            self._reading = loop.reading

    async def send(self, data: bytes, deadline: float) -> None:
        """See `runagent._net.base.Connection.send`; takes no time."""
        self._send(data)

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `runagent._net.base.Connection.receive`.

        Raises:
            DeadlockError: The agent waits at a gate, and nothing is scheduled in the whole loop that could
                open it; or nothing is scheduled at all (only in a `VirtualTimeLoop`).
        """
        self._reading.add(self)
        try:
            while (data := self._take(max_bytes)) is None:
                # Bytes that are due exactly at the deadline have come by now: timers run before tasks.
                if self._loop.time() >= deadline:
                    raise DeadlineExceededError
                if self._deadline is None and deadline != math.inf:
                    self._deadline = self._loop.call_at(deadline, self._look_at_time)
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
        """Whether a reader waits and has not been woken."""
        return self._waiter is not None and not self._waiter.done()

    def report_deadlock(self) -> None:
        """Make the reader raise a `DeadlockError`."""
        if self._waiter is not None:
            self._waiter.set_exception(self.deadlock())

    def _look_at_time(self) -> None:
        self._deadline = None  # a loop runs timers up to its clock's resolution early: the rest gets another
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class AioMemory(Uncopied):
    """A `runagent._net.base.AsyncNetwork` for the running asyncio loop."""

    def __init__(self, opener: Callable[[Address, Clock], tuple[Wire, Peer]]) -> None:
        self._open = opener
        self._real_time = RealTime("run_asyncio", "VirtualTimeLoops")

    async def connect(
        self, address: Address, deadline: float, attempt: ConnectAttempt
    ) -> AioMemoryConnection:
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
