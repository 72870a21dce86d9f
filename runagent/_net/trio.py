"""The network of trio: non-blocking sockets, and one watchdog task in place of a scope for each read."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import trio

from runagent._internal import clock
from runagent._internal.threads import needs_thread
from runagent._net.base import (
    AsyncConnection,
    ConnectAttempt,
    DeadlineExceededError,
    pin,
    socket_was_reset,
    track_descriptor,
    unpin,
)
from runagent._net.faults import connect_error
from runagent._net.resolve import candidates_from, candidates_now, connect_at_once
from runagent._net.secure import secure
from runagent._net.sockets import Outbox, hears
from runagent._net.trio_dial import alone, dial_first

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._address.route import Address

__all__ = ["TrioConnection", "TrioNetwork"]

_INFINITE = float("inf")
_READS_PER_CHECKPOINT = 16


class TrioConnection:
    """A non-blocking socket.

    Attributes:
        deadline: That of the read that waits, for the watchdog to see; infinite if none waits.
    """

    def __init__(self, sock: socket.socket, watchdog: Watchdog) -> None:
        self.deadline = _INFINITE
        self._sock = sock
        self._watchdog = watchdog
        self._late = False
        self._outbox = Outbox()
        self._emptied = False  # the last read took all there was; to try before waiting would be in vain
        self._quick_reads = 0
        self._token = trio.lowlevel.current_trio_token()
        watchdog.connections.add(self)
        track_descriptor(self)
        pin(self)

    async def send(self, data: bytes, deadline: float) -> bool:
        """See `Connection.send`."""
        outbox = self._outbox
        outbox.add(data)
        try:
            while outbox:
                # No wait inside a handler: the traceback of what it raises would lead to here and `data`.
                with contextlib.suppress(BlockingIOError):
                    outbox.send(self._sock)
                    continue
                heard = hears(self._sock)
                if heard:
                    return True
                with trio.CancelScope(deadline=self._watchdog.own_time(deadline)) as scope:
                    await self._wait_to_send(listening=heard is not None)
                if scope.cancelled_caught and self._watchdog.now() >= deadline:
                    raise DeadlineExceededError
                # Also if it became writable, or late, in the same turn of the loop.
                if self._sock.fileno() < 0:
                    raise OSError("the connection was closed while it was being written")
        except BaseException:
            outbox.clear()
            raise
        return False

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `Connection.receive`."""
        self._late = False
        if not self._emptied:
            await self._let_others_run()
        while True:
            if not self._emptied:
                try:
                    data = self._sock.recv(max_bytes)
                except BlockingIOError:
                    if self._late or deadline <= self._watchdog.now():
                        raise DeadlineExceededError from None
                else:
                    self._emptied = len(data) < max_bytes
                    return data
            self.deadline = deadline
            if deadline < self._watchdog.wakes:
                self._watchdog.wake_by(deadline)
            try:
                await trio.lowlevel.wait_readable(self._sock)
            except trio.ClosedResourceError:
                if not self._late:
                    raise OSError("the connection was closed while it was being read") from None
            finally:
                self.deadline = _INFINITE
                self._emptied = False  # also when cancelled: who reads without patience gets what is there
                self._quick_reads = 0

    def poll(self, max_bytes: int) -> bytes | None:
        """See `Connection.poll`."""
        try:
            return self._sock.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def was_reset(self) -> bool:
        """See `Connection.was_reset`."""
        return socket_was_reset(self._sock)

    def close_write(self) -> None:
        """See `Connection.close_write`."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def abort(self, farewell: bytes = b"") -> None:
        """See `Connection.abort`."""
        if not (trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self._token):
            try:
                self._token.run_sync_soon(self.abort, farewell)
            except trio.RunFinishedError:
                self._close(farewell)
        elif self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._watchdog.leave(self)
            self._close(farewell)

    def forget(self) -> None:
        """Drop a descriptor that belongs to the parent process; see `track_descriptor`."""
        with contextlib.suppress(OSError):
            socket.close(self._sock.detach())

    def _close(self, farewell: bytes) -> None:
        if farewell and not self._outbox:
            with contextlib.suppress(OSError):
                self._sock.send(farewell)
        self._outbox.clear()
        self._emptied = False
        try:
            self._sock.close()
        finally:
            unpin(self)

    def time_out(self) -> None:
        """Wake the read that waits; it takes what has come meanwhile, and fails if that is nothing."""
        self._late = True
        self.deadline = _INFINITE
        trio.lowlevel.notify_closing(self._sock)

    async def _let_others_run(self) -> None:
        self._quick_reads += 1
        if self._quick_reads > _READS_PER_CHECKPOINT:
            self._quick_reads = 0
            await trio.lowlevel.checkpoint()

    async def _wait_to_send(self, *, listening: bool) -> None:
        """Wait until the socket takes something again or, listening, until the peer sends something."""
        if not listening:
            await self._wait_writable()
            return
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_readable, nursery.cancel_scope)
                await self._wait_writable()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise alone(group) from None

    async def _wait_readable(self, other: trio.CancelScope) -> None:
        with contextlib.suppress(trio.ClosedResourceError):
            if self._sock.fileno() >= 0:  # else closed before the first step of this task
                await trio.lowlevel.wait_readable(self._sock)
            other.cancel()

    async def _wait_writable(self) -> None:
        # The watchdog's notification wakes a waiting writer as well, who then tries again.
        with contextlib.suppress(trio.ClosedResourceError):
            await trio.lowlevel.wait_writable(self._sock)


class Watchdog:
    """A task that wakes the reads of one ``trio.run`` whose deadlines are over.

    It sleeps until the earliest deadline there was when it fell asleep, or came since. A read with a later
    one has nothing to do but to note it: a wait that exists when the task wakes is examined then.
    Without connections there is no task.

    Attributes:
        connections: Those that are open.
        wakes: When the task wakes; infinite if there is none.
        now: The time in which deadlines are given.
    """

    def __init__(self, now: Callable[[], float] = trio.current_time) -> None:
        self.connections: set[TrioConnection] = set()
        self.wakes = _INFINITE
        self.now = now
        self._scope = trio.CancelScope()

    def wake_by(self, deadline: float) -> None:
        """Wake at a deadline that is earlier than ``wakes``."""
        if self.wakes == _INFINITE:
            self._scope = trio.CancelScope(deadline=self.own_time(deadline))
            trio.lowlevel.spawn_system_task(self._watch)
        else:
            self._scope.deadline = self.own_time(deadline)
        self.wakes = deadline

    def own_time(self, deadline: float) -> float:
        """Return when trio's clock will show a deadline, unless it is replaced until then."""
        return trio.current_time() + (deadline - self.now())

    def leave(self, connection: TrioConnection) -> None:
        """Forget a connection; the last one ends the task."""
        self.connections.discard(connection)
        if not self.connections:
            self._scope.cancel()

    async def _watch(self) -> None:
        while self.wakes < _INFINITE:
            with self._scope:
                await trio.sleep_forever()
            now = self.now()
            for connection in list(self.connections):
                if connection.deadline <= now:
                    connection.time_out()
            self.wakes = min((connection.deadline for connection in self.connections), default=_INFINITE)
            self._scope = trio.CancelScope(deadline=self.own_time(self.wakes))


class TrioNetwork:
    """Connections and time of one ``trio.run``."""

    def __init__(self) -> None:
        self.now = _clock_of(trio.lowlevel.current_clock())
        self._watchdog = Watchdog(self.now)

    async def connect(self, address: Address, deadline: float, attempt: ConnectAttempt) -> AsyncConnection:
        """See `Network.connect`."""
        try:
            if (at_once := connect_at_once(address)) is not None:
                return TrioConnection(at_once, self._watchdog)
            with trio.CancelScope(deadline=self._watchdog.own_time(deadline)) as scope:
                attempt.wake = scope.cancel
                connection = TrioConnection(await self._dial(address), self._watchdog)
                return await secure(connection, address, deadline, self.now)
        except OSError as exc:
            raise connect_error(exc, address) from exc.with_traceback(None)
        finally:
            attempt.wake = None
        assert scope.cancelled_caught
        raise DeadlineExceededError

    async def sleep(self, seconds: float) -> None:
        """See `Network.sleep`."""
        await trio.sleep(seconds)

    async def checkpoint(self) -> None:
        """See `AsyncNetwork.checkpoint`."""
        await trio.lowlevel.checkpoint()

    async def _dial(self, address: Address) -> socket.socket:
        candidates = candidates_now(address)
        if candidates is None:
            host, port = address.endpoint
            with needs_thread("resolve a host name"):
                found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            candidates = candidates_from(found)
        return await dial_first(candidates, address.socket_options)


def _clock_of(trios: trio.abc.Clock) -> Callable[[], float]:
    """Return what deadlines are counted by: trio's own time if that differs from the system's."""
    return clock.now if type(trios).__name__ == "SystemClock" else trios.current_time
