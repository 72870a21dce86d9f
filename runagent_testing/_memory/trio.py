"""The memory network of trio; virtual time is trio's own ``MockClock(autojump_threshold=0)``."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING

import trio
import trio.testing

from runagent._net.base import ConnectAttempt, DeadlineExceededError
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._internal.uncopied import Uncopied
from runagent_testing._memory.calls import Call, Calls, Clock
from runagent_testing._memory.connection import MemoryConnection
from runagent_testing._memory.real_time import RealTime

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from runagent._address.route import Address
    from runagent_testing._memory.peer import Peer
    from runagent_testing._memory.wire import DeadlockError, Wire

__all__ = ["TrioClock", "TrioMemory", "TrioMemoryConnection"]

__tracebackhide__ = is_ours


class TrioClock:
    """Scheduled calls in one ``trio.run``: a system task sleeps until the next call, if there is one."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._calls = Calls()
        self._sleep: trio.CancelScope | None = None

    def time(self) -> float:
        """Return trio's time."""
        return trio.current_time()

    def call_at(self, when: float, callback: Callable[[], object]) -> Call:
        """Call back at a time."""
        call = self._calls.add(when, callback)
        if self._sleep is None:
            self._sleep = trio.CancelScope(deadline=when)
            trio.lowlevel.spawn_system_task(self._work)
        elif when < self._sleep.deadline:
            self._sleep.deadline = when
        return call

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> None:
        """Call back soon; callable from any thread, even when trio has ended."""
        try:
            self._token.run_sync_soon(callback)
        except trio.RunFinishedError:
            return

    def only_these_are_left(self, timers: Collection[object]) -> bool:
        """Whether nothing else is scheduled in the whole of trio; not to be called by the clock's task."""
        if self._sleep is None:
            return trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf
        # This clock's own deadline must not count.
        deadline, self._sleep.deadline = self._sleep.deadline, math.inf
        others = trio.lowlevel.current_statistics().seconds_to_next_deadline
        self._sleep.deadline = deadline
        return others == math.inf and self._calls.are_among(timers)

    async def _work(self) -> None:
        try:
            while (when := self._calls.next) != math.inf:
                if due := self._calls.take(trio.current_time()):
                    due[1]()
                    continue
                with trio.CancelScope(deadline=when) as self._sleep:
                    await trio.sleep_forever()
        finally:
            self._sleep = None


class TrioMemoryConnection(MemoryConnection):
    """A `runagent._net.base.AsyncConnection`."""

    def __init__(self, wire: Wire, peer: Peer, run: _Run, real_time: RealTime) -> None:
        super().__init__(wire, peer)
        self._real_time = None if run.is_virtual else real_time
        self._run = run
        self._reader: trio.lowlevel.Task | None = None
        self._deadlock: DeadlockError | None = None

    async def send(self, data: bytes, deadline: float) -> None:
        """See `runagent._net.base.Connection.send`; takes no time."""
        self._send(data)

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `runagent._net.base.Connection.receive`.

        Raises:
            DeadlockError: The agent waits at a gate, and nothing is scheduled in the whole of trio that
                could open it; or nothing is scheduled at all (only with an autojumping clock).
        """
        try:
            while (data := self._take(max_bytes)) is None:
                if self._deadlock is not None:
                    raise self._deadlock
                # Bytes that are due exactly at the deadline have come by now: timers run before tasks.
                if trio.current_time() >= deadline:
                    raise DeadlineExceededError
                if deadline == math.inf or self._peer.is_at_gate:
                    self._run.watch()
                if deadline != math.inf and self._deadline is None:
                    self._deadline = self._run.clock.call_at(deadline, self._wake)
                if self._real_time is not None and not self._peer.is_at_gate:
                    self._real_time.warn()
                await self._wait()
        finally:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
        return data

    @property
    def waits(self) -> bool:
        """Whether a reader waits and has not been woken."""
        return self._reader is not None

    def report_deadlock(self) -> None:
        """Make the reader raise a `DeadlockError`."""
        self._deadlock = self.deadlock()
        self._wake()

    async def _wait(self) -> None:
        self._reader = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._reader = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _wake(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            trio.lowlevel.reschedule(reader)


def _has_virtual_time() -> bool:
    clock = trio.lowlevel.current_clock()
    return isinstance(clock, trio.testing.MockClock) and clock.autojump_threshold < math.inf


class _Run:
    """The state of one ``trio.run``: its timers, and the watch for deadlocks."""

    def __init__(self) -> None:
        self.clock = TrioClock()
        self.connections: weakref.WeakSet[TrioMemoryConnection] = weakref.WeakSet()
        self.is_virtual = _has_virtual_time()
        self._watching = False

    def watch(self) -> None:
        """Look for deadlocks while there are readers; on real time, none could be proven."""
        if self.is_virtual and not self._watching:
            self._watching = True
            trio.lowlevel.spawn_system_task(self._look)

    async def _look(self) -> None:
        try:
            while self._waiting():
                await trio.testing.wait_all_tasks_blocked()
                seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
                stuck = self._waiting() if seconds == math.inf else self._stuck()
                for connection in stuck:
                    connection.report_deadlock()
                if not stuck and seconds != math.inf:
                    await trio.sleep(max(seconds, 0.0))
        finally:
            self._watching = False

    def _waiting(self) -> list[TrioMemoryConnection]:
        return [connection for connection in self.connections if connection.waits]

    def _stuck(self) -> list[TrioMemoryConnection]:
        """List the connections that wait for a gate that nothing can open."""
        idle = [timer for connection in self.connections for timer in connection.idle_timers]
        if not self.clock.only_these_are_left(idle):
            return []
        return [connection for connection in self._waiting() if connection.waits_at_gate]


class TrioMemory(Uncopied):
    """A `runagent._net.base.AsyncNetwork` for the running ``trio.run``."""

    def __init__(self, opener: Callable[[Address, Clock], tuple[Wire, Peer]]) -> None:
        self._open = opener
        self._real_time = RealTime("run_trio", "trio's with an autojumping MockClock")
        self._run: trio.lowlevel.RunVar[_Run] = trio.lowlevel.RunVar("memory network")

    async def connect(
        self, address: Address, deadline: float, attempt: ConnectAttempt
    ) -> TrioMemoryConnection:
        """See `runagent._net.base.Network.connect`; takes no time."""
        try:
            run = self._run.get()
        except LookupError:
            self._run.set(run := _Run())
        connection = TrioMemoryConnection(*self._open(address, run.clock), run, self._real_time)
        run.connections.add(connection)
        return connection

    def now(self) -> float:
        """See `runagent._net.base.Network.now`.

        Raises:
            RuntimeError: Trio is not running.
        """
        try:
            return trio.current_time()
        except RuntimeError:
            raise RuntimeError("memory.trio is for trio; in asyncio it is memory.aio") from None

    async def sleep(self, seconds: float) -> None:
        """See `runagent._net.base.Network.sleep`."""
        if seconds > 0 and not _has_virtual_time():
            self._real_time.warn()
        await trio.sleep(seconds)

    async def checkpoint(self) -> None:
        """See `runagent._net.base.AsyncNetwork.checkpoint`."""
        await trio.lowlevel.checkpoint()
