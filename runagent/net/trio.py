"""The network of trio: non-blocking sockets, and one watchdog task a connection instead of a scope a read."""

from __future__ import annotations

import contextlib
import socket

import trio

from runagent.net.base import (
    Address,
    AsyncConnection,
    DeadlineExceededError,
    Dialing,
    hold,
    let_go,
    track_descriptor,
)
from runagent.net.faults import connect_error
from runagent.net.resolve import Candidate, candidates_from, candidates_now, new_socket, share_of
from runagent.net.secure import secure

__all__ = ["TrioConnection", "TrioNetwork"]

_INFINITE = float("inf")
_READS_PER_CHECKPOINT = 16


class TrioConnection:
    """A non-blocking socket.

    A watchdog sleeps until the deadline of the read that began it. When it wakes it looks at the
    deadline of the read that waits by then: it sleeps on, or wakes that read, or ends if nobody waits.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._deadline = _INFINITE
        self._waiting = self._late = False
        self._watchdog: trio.CancelScope | None = None
        self._quick_reads = 0
        self._token = trio.lowlevel.current_trio_token()
        track_descriptor(self)
        hold(self)

    async def send(self, data: bytes, deadline: float) -> None:
        """See `Connection.send`."""
        view = memoryview(data)
        while view:
            # No wait inside a handler: the traceback of what it raises would lead to this frame and `data`.
            with contextlib.suppress(BlockingIOError):
                view = view[self._sock.send(view) :]
                continue
            with trio.move_on_at(deadline) as scope:
                await self._wait_writable()
            if scope.cancelled_caught:
                raise DeadlineExceededError

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `Connection.receive`."""
        self._quick_reads += 1
        if self._quick_reads > _READS_PER_CHECKPOINT:
            self._quick_reads = 0
            await trio.lowlevel.checkpoint()
        self._late = False
        while True:
            try:
                return self._sock.recv(max_bytes)
            except BlockingIOError:
                if self._late or deadline <= trio.current_time():
                    raise DeadlineExceededError from None
                await self._wait_readable(deadline)

    def poll(self, max_bytes: int) -> bytes | None:
        """See `Connection.poll`."""
        try:
            return self._sock.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def close_write(self) -> None:
        """See `Connection.close_write`."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def abort(self, farewell: bytes = b"") -> None:
        """See `Connection.abort`."""
        if self._sock.fileno() < 0:
            return
        if farewell:
            with contextlib.suppress(OSError):
                self._sock.send(farewell)
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self._token:
            trio.lowlevel.notify_closing(self._sock)
            self._stop_watchdog()
        else:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._stop_watchdog)
        self._sock.close()
        let_go(self)

    def forget(self) -> None:
        """Drop a descriptor that belongs to the parent process; see `track_descriptor`."""
        with contextlib.suppress(OSError):
            socket.close(self._sock.detach())

    async def _wait_readable(self, deadline: float) -> None:
        self._quick_reads = 0
        self._deadline = deadline
        if self._watchdog is None or self._watchdog.deadline > deadline:
            self._start_watchdog(deadline)
        self._waiting = True
        try:
            await trio.lowlevel.wait_readable(self._sock)
        except trio.ClosedResourceError:
            if not self._late:
                raise OSError("the connection was closed while it was being read") from None
        finally:
            self._waiting = False

    async def _wait_writable(self) -> None:
        # The watchdog's notification wakes a waiting writer as well, who then tries again.
        try:
            await trio.lowlevel.wait_writable(self._sock)
        except trio.ClosedResourceError:
            if self._sock.fileno() < 0:
                raise OSError("the connection was closed while it was being written") from None

    def _start_watchdog(self, deadline: float) -> None:
        if deadline == _INFINITE:
            return
        if self._watchdog is None:
            self._watchdog = trio.CancelScope(deadline=deadline)
            trio.lowlevel.spawn_system_task(self._watch, self._watchdog)
        else:
            self._watchdog.deadline = deadline

    async def _watch(self, scope: trio.CancelScope) -> None:
        while True:
            with scope:
                await trio.sleep_forever()
            if self._watchdog is not scope:
                return
            if not self._waiting:
                self._watchdog = None
                return
            if trio.current_time() >= self._deadline:
                self._late = True
                trio.lowlevel.notify_closing(self._sock)
                self._watchdog = None
                return
            self._watchdog = scope = trio.CancelScope(deadline=self._deadline)

    def _stop_watchdog(self) -> None:
        if self._watchdog is not None:
            scope, self._watchdog = self._watchdog, None
            scope.cancel()


class TrioNetwork:
    """Connections and time of one ``trio.run``."""

    def __init__(self) -> None:
        self.now = trio.lowlevel.current_clock().current_time

    async def connect(self, address: Address, deadline: float, dialing: Dialing) -> AsyncConnection:
        """See `Network.connect`."""
        try:
            with trio.move_on_at(deadline) as scope:
                dialing.wake = scope.cancel
                connection = TrioConnection(await self._dial(address, deadline))
                return await secure(connection, address, deadline)
        except OSError as exc:
            raise connect_error(exc, address) from exc.with_traceback(None)
        finally:
            dialing.wake = None
        assert scope.cancelled_caught
        raise DeadlineExceededError

    async def sleep(self, seconds: float) -> None:
        """See `Network.sleep`."""
        await trio.sleep(seconds)

    async def checkpoint(self) -> None:
        """See `AsyncNetwork.checkpoint`."""
        await trio.lowlevel.checkpoint()

    async def _dial(self, address: Address, deadline: float) -> socket.socket:
        candidates = candidates_now(address)
        if candidates is None:
            host, port = address.endpoint
            candidates = candidates_from(await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        failure: OSError | None = None
        for number, candidate in enumerate(candidates):
            share = share_of(deadline - trio.current_time(), len(candidates) - number)
            with trio.move_on_after(share):
                try:
                    return await self._dial_one(candidate)
                except OSError as exc:
                    failure = exc
        if failure is None:
            raise DeadlineExceededError
        raise failure

    async def _dial_one(self, candidate: Candidate) -> socket.socket:
        sock = new_socket(candidate)
        try:
            sock.setblocking(False)
            try:
                sock.connect(candidate[3])
            except BlockingIOError:
                await trio.lowlevel.wait_writable(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, "connect failed") from None
        except BaseException:
            sock.close()
            raise
        return sock
