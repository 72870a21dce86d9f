"""A connection over a socket that an asyncio loop watches."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from runagent._net.aio_connection import LoopConnection, handed_to, refuse_loop, waiter_of, wake
from runagent._net.base import DeadlineExceededError, pin, unpin
from runagent._net.sockets import Outbox

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from runagent._net.aio_watchdog import Watchdog

__all__ = ["SocketConnection"]

_INFINITE = float("inf")
_READ_BYTES = 64 * 1024


class SocketConnection(LoopConnection):
    """A non-blocking socket, read by the loop as soon as something comes.

    What nobody waits for is read once and held; then the loop stops watching, and the kernel keeps the rest:
    that is the backpressure.

    Args:
        sock: A connected socket, non-blocking.
        loop: The loop that it belongs to.
        watchdog: The loop's.

    Attributes:
        deadline: That of the read that waits, for the watchdog to see; infinite if none waits.
    """

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop, watchdog: Watchdog) -> None:
        super().__init__(sock, loop, watchdog)
        self._descriptor = sock.fileno()  # by it the loop watches
        self._watched = False  # by the loop
        self._ready = False  # something is held, or the socket may have something, or it is broken
        self._held: bytes | None = None
        self._outbox = Outbox()
        watchdog.connections.add(self)
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
                if self._held:
                    return True
                await self._wait_to_send(deadline)
        except BaseException:
            outbox.clear()
            raise
        return False

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `Connection.receive`."""
        while True:
            if self._ready and (data := self._take(max_bytes)) is not None:
                return data
            reader: asyncio.Future[bytes | None] = waiter_of(self._loop)
            if not self._watched:  # here, too: a call costs more than a branch, at every read
                self._watch()
            self.deadline = deadline
            if deadline < self._watchdog.wakes:
                self._watchdog.wake_at(deadline)
            self._reader = reader
            try:
                data = await reader
            except BaseException:
                self._keep(handed_to(reader))
                raise
            finally:
                self._reader = None
                self.deadline = _INFINITE
            if data is not None and len(data) <= max_bytes:
                return data
            self._keep(data)

    def begin_receive(self, deadline: float) -> Awaitable[bytes | None]:
        """See `QuickConnection`."""
        if self._ready or not self._watched:
            return self.receive(_READ_BYTES, deadline)
        # Of the running loop; to have the loop make it costs twice as much.
        reader: asyncio.Future[bytes | None] = asyncio.Future()
        if reader.get_loop() is not self._loop:  # see `waiter_of`
            refuse_loop()
        self.deadline = deadline
        if deadline < self._watchdog.wakes:  # here, too: a call costs more than a branch, at every read
            self._watchdog.wake_at(deadline)
        self._reader = reader
        return reader

    def close_write(self) -> None:
        """See `Connection.close_write`."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def time_out(self) -> None:
        """Have the read that waits fail, unless something has come meanwhile."""
        self.deadline = _INFINITE
        if (reader := self._reader) is not None and not reader.done():
            self._readable()
            if not reader.done():
                reader.set_exception(DeadlineExceededError())

    def _abort(self, farewell: bytes) -> None:
        if self._sock.fileno() < 0:
            return
        if farewell and not self._outbox:
            with contextlib.suppress(OSError):
                self._sock.send(farewell)
        self._outbox.clear()
        if not self._loop.is_closed():
            self._part()
        self._watchdog.leave(self)
        try:
            self._sock.close()
        finally:
            unpin(self)

    def _part(self) -> None:
        """Have the loop forget the socket, and wake who waits for it."""
        self._lost = OSError("the connection was closed while it was in use")
        self._ready = True
        if self._watched:
            self._loop.remove_reader(self._descriptor)
        if self._writer is not None:
            self._loop.remove_writer(self._descriptor)
        wake(self._reader)
        wake(self._writer)

    def _watch(self) -> None:
        """Have the loop read what comes."""
        if not self._watched:
            self._loop.add_reader(self._descriptor, self._readable)
            self._watched = True

    def _readable(self) -> None:
        if self._held is not None or self._lost is not None:
            self._loop.remove_reader(self._descriptor)
            self._watched = False
            return
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self._lost = exc
            self._ready = True
            wake(self._reader)
            wake(self._writer)
            return
        reader = self._reader
        if reader is not None and not reader.done():
            self._reader = None
            reader.set_result(data)
        else:
            self._keep(data)
            wake(self._writer)

    def _keep(self, data: bytes | None) -> None:
        """Keep what no reader has taken, before what came since."""
        if data is not None:
            self._held = data if self._held is None else data + self._held
            self._ready = True

    def _take(self, max_bytes: int) -> bytes | None:
        """Return what is held, or else what the socket has; None for nothing yet."""
        data = self._held
        if data is None:
            if self._lost is not None:
                raise self._lost
            try:
                data = self._sock.recv(max_bytes)
            except BlockingIOError:
                data = None
        elif len(data) > max_bytes:
            self._held = data[max_bytes:]
            return data[:max_bytes]
        self._held = None
        self._ready = False
        return data

    async def _wait_to_send(self, deadline: float) -> None:
        """Wait until the socket takes something again, or the peer sends something."""
        writer: asyncio.Future[None] = waiter_of(self._loop)
        if self._held is None and self._lost is None:  # otherwise it has sent all it will send
            self._watch()
        self._writer = writer
        self._loop.add_writer(self._descriptor, wake, writer)
        try:
            async with asyncio.timeout(self._watchdog.left(deadline)) as timeout:
                await writer
        except TimeoutError:
            if not timeout.expired():
                raise
            if not self._watchdog.left(deadline):  # else the loop's time has jumped, and the caller waits on
                raise DeadlineExceededError from None
        finally:
            self._writer = None
            if self._sock.fileno() >= 0:
                self._loop.remove_writer(self._descriptor)
        if self._sock.fileno() < 0:  # and what was to be sent is dropped
            raise OSError("the connection was closed while it was being written")
