"""The network of asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from runagent._net.aio_dial import dial_first
from runagent._net.aio_sockets import SocketConnection
from runagent._net.aio_watchdog import Watchdog
from runagent._net.base import AsyncConnection, ConnectAttempt, DeadlineExceededError
from runagent._net.faults import connect_error
from runagent._net.resolve import candidates_now, connect_at_once, look_up
from runagent._net.secure import secure

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from runagent._address.route import Address

__all__ = ["AioNetwork"]

_INFINITE = float("inf")


class AioNetwork:
    """Connections and time of one asyncio loop."""

    def __init__(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._watchdog = Watchdog(loop)
        self.now = self._watchdog.now
        # Other loops may stop watching a socket at its first error, as libuv does; a reader who has then read
        # what had come before it would wait for ever. The loop of Windows watches no socket at all.
        self._watches = type(loop).add_reader is asyncio.SelectorEventLoop.add_reader
        self._buffer: tuple[memoryview, Callable[[int], memoryview]] | None = None

    async def connect(self, address: Address, deadline: float, attempt: ConnectAttempt) -> AsyncConnection:
        """See `Network.connect`."""
        try:
            if (at_once := connect_at_once(address)) is not None:
                return await self._open(at_once)
            return await self._connect_in_time(address, deadline, attempt)
        except OSError as exc:
            raise connect_error(exc, address) from exc.with_traceback(None)

    async def _connect_in_time(
        self, address: Address, deadline: float, attempt: ConnectAttempt
    ) -> AsyncConnection:
        try:
            async with asyncio.timeout(self._watchdog.left(deadline)) as timeout:
                attempt.wake = lambda: None if timeout.expired() else timeout.reschedule(self._loop.time())
                sock = await self._dial(address)
                connection = await self._open(sock)
                return await secure(connection, address, deadline, self.now)
        except TimeoutError:
            if timeout.expired():
                raise DeadlineExceededError from None
            raise
        finally:
            attempt.wake = None

    async def sleep(self, seconds: float) -> None:
        """See `Network.sleep`."""
        await asyncio.sleep(seconds)

    async def checkpoint(self) -> None:
        """See `AsyncNetwork.checkpoint`."""
        await asyncio.sleep(0)

    async def _open(self, sock: socket.socket) -> AsyncConnection:
        if self._watches:
            return SocketConnection(sock, self._loop, self._watchdog)
        from runagent._net.aio_transports import TransportConnection, new_buffer

        self._buffer = self._buffer or new_buffer()
        connection = TransportConnection(sock, self._loop, self._watchdog, *self._buffer)
        try:
            await self._loop.create_connection(lambda: connection, sock=sock)
        except BaseException:
            connection.abort()
            sock.close()
            raise
        return connection

    async def _dial(self, address: Address) -> socket.socket:
        candidates = candidates_now(address)
        if candidates is None:
            # Not the loop's own look-up: its executor is waited for when the loop ends.
            candidates = await asyncio.wrap_future(look_up(address))
        return await dial_first(candidates, address.socket_options)
