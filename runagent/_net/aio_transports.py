"""A connection over a transport of asyncio's, for loops that do not watch sockets, or not well enough."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, cast

from runagent._net.aio_connection import LoopConnection, handed_to, refuse_loop, waiter_of, wake
from runagent._net.base import DeadlineExceededError, pin, unpin

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from runagent._net.aio_watchdog import Watchdog

__all__ = ["TransportConnection", "new_buffer"]

_INFINITE = float("inf")
_HIGH_WATER = READ_BYTES = 64 * 1024


def new_buffer() -> tuple[memoryview, Callable[[int], memoryview]]:
    """Return a buffer to read into, and what returns it without a step of Python, at each read."""
    buffer = memoryview(bytearray(READ_BYTES))
    return buffer, partial({None: buffer}.get, None)  # type: ignore[return-value]  # the default is never used


class TransportConnection(LoopConnection, asyncio.BufferedProtocol):
    """A transport's protocol that hands what arrives to the reader who waits for it, or keeps it.

    Back-pressure: past 64 KiB the transport stops reading.

    Args:
        sock: The connected socket.
        loop: The loop that it belongs to.
        watchdog: The loop's.
        buffer: Where the loop reads into; one will do for all its connections, because what was read is
            copied at once. Without it a read of uvloop may bring 256 KB, and asyncio allocates as much for
            each.
        get_buffer: Returns it, whatever size is hinted at: the method that the loop calls before each read.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        watchdog: Watchdog,
        buffer: memoryview,
        get_buffer: Callable[[int], memoryview],
    ) -> None:
        super().__init__(sock, loop, watchdog)
        self._buffer = buffer
        self.get_buffer = get_buffer  # type: ignore[method-assign,assignment]
        self._transport: asyncio.Transport | None = None
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._eof = self._paused = self._write_paused = self._aborted = False
        self._rest: socket.socket | None = None  # what the kernel still holds of a connection that broke

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._aborted:
            self._watchdog.connections.add(self)
            pin(self)

    def buffer_updated(self, nbytes: int) -> None:
        """Hand what arrived to the reader who waits for it, or keep it.

        Invariant: nothing is kept while a reader waits, so nothing overtakes what came before.
        """
        data = self._buffer[:nbytes].tobytes()
        reader = self._reader
        if reader is not None and not reader.done():
            self._reader = None
            reader.set_result(data)
        else:
            self._chunks.append(data)
            self._note_kept(len(data))
            wake(self._writer)

    def eof_received(self) -> bool:
        """Note the end; writing stays possible."""
        self._eof = True
        wake(self._reader)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it broke, and keep hold of what the kernel still has for us.

        A failed write ends an asyncio transport at once, even if the peer's last bytes,
        for example its reason for not reading on, have arrived and not been read yet.
        """
        self._eof = True
        if isinstance(exc, OSError):
            self._lost = exc
        elif self._write_paused:  # nobody resumes it any more, and a sender would wait for ever
            self._lost = OSError("the connection was closed while it was being written")
        if isinstance(exc, OSError) and not self._aborted:
            with contextlib.suppress(OSError):
                self._rest = self._sock.dup()
                self._rest.setblocking(False)
        wake(self._reader)
        wake(self._writer)

    def pause_writing(self) -> None:
        """Have senders wait."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Let senders go on."""
        self._write_paused = False
        wake(self._writer)

    # What the pump calls

    async def send(self, data: bytes, deadline: float) -> bool:
        """See `Connection.send`."""
        transport = self._transport
        if self._lost is not None:
            raise self._lost
        if transport is None or transport.is_closing():
            raise BrokenPipeError("the connection is closed")
        if data:
            transport.write(data)
        while self._write_paused and self._lost is None:
            if self._chunks:
                return True
            self._writer = writer = waiter_of(self._loop)
            self._watch_over(deadline)
            try:
                await writer
            finally:
                self._writer = None
                self.deadline = _INFINITE
        if self._lost is not None:
            raise self._lost
        return False

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `Connection.receive`."""
        while True:
            if (self._chunks or self._eof) and (data := self._take(max_bytes)) is not None:
                return data
            reader: asyncio.Future[bytes | None] = waiter_of(self._loop)
            self.deadline = deadline
            if deadline < self._watchdog.wakes:  # here, too: a call costs more than a branch, at every read
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
        if self._chunks or self._eof:
            return self.receive(READ_BYTES, deadline)
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
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    # Inside

    def _abort(self, farewell: bytes) -> None:
        self._aborted = True
        self._watchdog.leave(self)
        unpin(self)
        if self._rest is not None:
            self._rest.close()
            self._rest = None
        transport = self._transport
        if transport is None or self._loop.is_closed():
            self._sock.close()
        elif not transport.is_closing():
            if farewell:
                transport.write(farewell)
            transport.abort()

    def _keep(self, data: bytes | None) -> None:
        """Keep what a reader has not taken, before what came since."""
        if data is not None:
            self._chunks.appendleft(data)
            self._note_kept(len(data))

    def _note_kept(self, size: int) -> None:
        self._size += size
        if self._size > _HIGH_WATER and not self._paused and not self._eof and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _take(self, max_bytes: int) -> bytes | None:
        """Return what is buffered, then what the kernel still holds, then the end."""
        if self._chunks:
            data = self._chunks.popleft()
            if len(data) > max_bytes:
                self._chunks.appendleft(data[max_bytes:])
                data = data[:max_bytes]
            self._size -= len(data)
            if self._paused and self._size <= _HIGH_WATER // 2 and not self._eof:
                self._paused = False
                assert self._transport is not None
                if not self._transport.is_closing():
                    self._transport.resume_reading()
            return data
        if self._rest is not None:
            with contextlib.suppress(OSError):
                if data := self._rest.recv(max_bytes):
                    return data
            self._rest.close()
            self._rest = None
        if self._lost is not None:
            raise self._lost
        return b"" if self._eof else None

    def _watch_over(self, deadline: float) -> None:
        """Have what is waited for from now on fail at the deadline."""
        self.deadline = deadline
        if deadline < self._watchdog.wakes:
            self._watchdog.wake_at(deadline)

    def time_out(self) -> None:
        """Have what waits fail: its deadline is over."""
        self.deadline = _INFINITE
        for waiter in (self._reader, self._writer):
            if waiter is not None and not waiter.done():
                waiter.set_exception(DeadlineExceededError())
