"""The memory network of asyncio, and a loop on virtual time."""

from __future__ import annotations

import asyncio
import selectors
import weakref
from typing import TYPE_CHECKING, Any

from runagent.net.base import Address, DeadlineExceededError, Dialing
from runagent.net.faults import connect_error
from runagent_testing.memory.wire import Clock, DeadlockError, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing.memory.peer import Peer

__all__ = ["AioMemory", "AioMemoryConnection", "VirtualTimeLoop"]


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a time: it says that it has."""

    now = 0.0
    busy = 0  # threads that work for the loop: as long as there are any, time stands still

    def __init__(self, on_deadlock: Callable[[], bool]) -> None:
        super().__init__()
        self._on_deadlock = on_deadlock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if self.busy:
            return super().select(None)
        if timeout is not None:
            self.now += timeout
            return []
        # Nothing is planned any more: only a thread or a socket could wake the loop.
        return [] if self._on_deadlock() else super().select(None)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer when there is nothing to do.

    ``asyncio.Runner(loop_factory=VirtualTimeLoop)``. Everything of asyncio that waits for a time
    does so at once. Time stands still while a thread of ``run_in_executor`` works. Other threads and
    real sockets may be used, but time does not wait for them: what they do may come too late.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector(self._on_deadlock)
        self._waiting: weakref.WeakSet[AioMemoryConnection] = weakref.WeakSet()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._jumping.now

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

    def watch(self, connection: AioMemoryConnection) -> None:
        """Tell a connection when everybody waits and nothing will ever happen."""
        self._waiting.add(connection)

    def _no_longer_busy(self, future: object) -> None:
        self._jumping.busy -= 1

    def _on_deadlock(self) -> bool:
        return sum(connection.deadlocked() for connection in list(self._waiting)) > 0


class AioMemoryConnection:
    """A `runagent.net.base.AsyncConnection`."""

    def __init__(self, wire: Wire, peer: Peer, loop: asyncio.AbstractEventLoop) -> None:
        self._wire = wire
        self._peer = peer
        self._loop = loop
        self._broken = False
        self._waiter: asyncio.Future[None] | None = None
        wire.wake = self._wake
        if isinstance(loop, VirtualTimeLoop):
            loop.watch(self)

    async def send(self, data: bytes, deadline: float) -> None:
        """See `runagent.net.base.Connection.send`; takes no time."""
        self._check()
        self._wire.check_send()
        self._peer.receive_data(data)

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `runagent.net.base.Connection.receive`.

        Raises:
            DeadlockError: Nothing is planned any more in the whole loop (only in a `VirtualTimeLoop`).
        """
        timer = None
        try:
            while (data := self._take(max_bytes)) is None:
                # What is due at the deadline itself has come by now: timers first, then tasks.
                if self._loop.time() >= deadline:
                    raise DeadlineExceededError
                if timer is None and deadline != float("inf"):
                    timer = self._loop.call_at(deadline, self._wake)
                self._waiter = self._loop.create_future()
                await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        return data

    def poll(self, max_bytes: int) -> bytes | None:
        """See `runagent.net.base.Connection.poll`."""
        return b"" if self._broken else self._wire.poll(max_bytes)

    def close_write(self) -> None:
        """See `runagent.net.base.Connection.close_write`."""
        self._peer.client_left("half-closed")

    def abort(self, farewell: bytes = b"") -> None:
        """See `runagent.net.base.Connection.abort`."""
        if not self._broken:
            self._broken = True
            if farewell:
                self._peer.receive_data(farewell)
            self._peer.client_left()
            self._wake()

    def deadlocked(self) -> bool:
        """Have a reader raise what it waits for in vain; False if nobody reads."""
        if self._waiter is None or self._waiter.done():
            return False
        self._waiter.set_exception(DeadlockError(f"deadlock: {self._peer.waits_for}"))
        return True

    def _take(self, max_bytes: int) -> bytes | None:
        self._check()
        return self._wire.take(max_bytes)

    def _check(self) -> None:
        if self._broken:
            raise OSError("the connection was closed")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class AioMemory:
    """A `runagent.net.base.AsyncNetwork` for whichever asyncio loop is running."""

    def __init__(self, opener: Callable[[Address, Clock], tuple[Wire, Peer]]) -> None:
        self._open = opener

    async def connect(self, address: Address, deadline: float, dialing: Dialing) -> AioMemoryConnection:
        """See `runagent.net.base.Network.connect`; takes no time."""
        loop = asyncio.get_running_loop()
        try:
            return AioMemoryConnection(*self._open(address, loop), loop)
        except OSError as exc:
            raise connect_error(exc, address) from exc

    def now(self) -> float:
        """See `runagent.net.base.Network.now`."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """See `runagent.net.base.Network.sleep`."""
        await asyncio.sleep(seconds)

    async def checkpoint(self) -> None:
        """See `runagent.net.base.AsyncNetwork.checkpoint`."""
        await asyncio.sleep(0)
