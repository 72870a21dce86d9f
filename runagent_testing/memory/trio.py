"""The memory network of trio; virtual time is trio's own ``MockClock(autojump_threshold=0)``."""

from __future__ import annotations

import heapq
import itertools
import math
import weakref
from typing import TYPE_CHECKING

import trio
import trio.testing

from runagent.net.base import Address, DeadlineExceededError, Dialing
from runagent.net.faults import connect_error
from runagent_testing.memory.wire import Clock, DeadlockError, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing.memory.peer import Peer

__all__ = ["TrioClock", "TrioMemory", "TrioMemoryConnection"]


class _Call:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class TrioClock:
    """Calls at a time, in one ``trio.run``: a system task sleeps until the next, if there is one."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._calls: list[tuple[float, int, _Call]] = []
        self._order = itertools.count()
        self._sleep: trio.CancelScope | None = None

    def time(self) -> float:
        """Return trio's time."""
        return trio.current_time()

    def call_at(self, when: float, callback: Callable[[], object]) -> _Call:
        """Call back at a time."""
        call = _Call(callback)
        heapq.heappush(self._calls, (when, next(self._order), call))
        if self._sleep is None:
            self._sleep = trio.CancelScope(deadline=when)
            trio.lowlevel.spawn_system_task(self._work)
        else:
            self._sleep.deadline = min(self._sleep.deadline, when)
        return call

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        """Call back soon; callable from any thread, also when trio has ended."""
        try:
            self._token.run_sync_soon(callback)
        except trio.RunFinishedError:
            return

    async def _work(self) -> None:
        try:
            while self._calls:
                when, _, call = self._calls[0]
                if call.callback is not None and when > trio.current_time():
                    with trio.CancelScope(deadline=when) as self._sleep:
                        await trio.sleep_forever()
                    continue
                heapq.heappop(self._calls)
                if call.callback is not None:
                    call.callback()
        finally:
            self._sleep = None


class TrioMemoryConnection:
    """A `runagent.net.base.AsyncConnection`."""

    def __init__(self, wire: Wire, peer: Peer, run: _Run) -> None:
        self._wire = wire
        self._peer = peer
        self._run = run
        self._broken = False
        self._reader: trio.lowlevel.Task | None = None
        self._deadlock: DeadlockError | None = None
        wire.wake = self._wake

    async def send(self, data: bytes, deadline: float) -> None:
        """See `runagent.net.base.Connection.send`; takes no time."""
        self._check()
        self._wire.check_send()
        self._peer.receive_data(data)

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `runagent.net.base.Connection.receive`.

        Raises:
            DeadlockError: Nothing is planned any more in the whole of trio (only with an autojumping clock).
        """
        timer = None
        try:
            while (data := self._take(max_bytes)) is None:
                if self._deadlock is not None:
                    raise self._deadlock
                # What is due at the deadline itself has come by now: timers first, then tasks.
                if trio.current_time() >= deadline:
                    raise DeadlineExceededError
                if deadline == math.inf:
                    self._run.watch()
                elif timer is None:
                    timer = self._run.clock.call_at(deadline, self._wake)
                await self._wait()
        finally:
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

    @property
    def waits(self) -> bool:
        """Whether somebody reads, without having been woken."""
        return self._reader is not None

    def deadlocked(self) -> None:
        """Have the reader raise what it waits for in vain."""
        self._deadlock = DeadlockError(f"deadlock: {self._peer.waits_for}")
        self._wake()

    async def _wait(self) -> None:
        self._reader = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._reader = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _take(self, max_bytes: int) -> bytes | None:
        self._check()
        return self._wire.take(max_bytes)

    def _check(self) -> None:
        if self._broken:
            raise OSError("the connection was closed")

    def _wake(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            trio.lowlevel.reschedule(reader)


class _Run:
    """What belongs to one ``trio.run``: its timers, and the watch for a deadlock."""

    def __init__(self) -> None:
        self.clock = TrioClock()
        self.connections: weakref.WeakSet[TrioMemoryConnection] = weakref.WeakSet()
        clock = trio.lowlevel.current_clock()
        self._virtual = isinstance(clock, trio.testing.MockClock) and clock.autojump_threshold < math.inf
        self._watching = False

    def watch(self) -> None:
        """Look for a deadlock as long as somebody reads; real time has none that could be proven."""
        if self._virtual and not self._watching:
            self._watching = True
            trio.lowlevel.spawn_system_task(self._look)

    async def _look(self) -> None:
        try:
            while any(connection.waits for connection in self.connections):
                await trio.testing.wait_all_tasks_blocked()
                seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
                if seconds != math.inf:
                    await trio.sleep(max(seconds, 0.0))
                    continue
                for connection in [connection for connection in self.connections if connection.waits]:
                    connection.deadlocked()
        finally:
            self._watching = False


class TrioMemory:
    """A `runagent.net.base.AsyncNetwork` for whichever ``trio.run`` is running."""

    def __init__(self, opener: Callable[[Address, Clock], tuple[Wire, Peer]]) -> None:
        self._open = opener
        self._run: trio.lowlevel.RunVar[_Run] = trio.lowlevel.RunVar("memory network")

    async def connect(self, address: Address, deadline: float, dialing: Dialing) -> TrioMemoryConnection:
        """See `runagent.net.base.Network.connect`; takes no time."""
        try:
            run = self._run.get()
        except LookupError:
            self._run.set(run := _Run())
        try:
            connection = TrioMemoryConnection(*self._open(address, run.clock), run)
        except OSError as exc:
            raise connect_error(exc, address) from exc
        run.connections.add(connection)
        return connection

    def now(self) -> float:
        """See `runagent.net.base.Network.now`."""
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        """See `runagent.net.base.Network.sleep`."""
        await trio.sleep(seconds)

    async def checkpoint(self) -> None:
        """See `runagent.net.base.AsyncNetwork.checkpoint`."""
        await trio.lowlevel.checkpoint()
