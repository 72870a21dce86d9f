"""Accepts connections: the healthy ones are handed on, the others never get to be read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from runagent_testing.player import LINGER_NOT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from runagent_testing.host import ConnectionFault

__all__ = ["Listener", "listen_tcp", "listen_unix"]

BACKLOG = 1024


class Listener:
    """A listening socket of the running loop.

    Args:
        listener: The socket.
        accept: Called for each connection; gives its number and what is to go wrong with it.
        protocol: Makes the protocol of a healthy one, from its number.
        ssl_context: What the healthy ones speak TLS with.
    """

    def __init__(
        self,
        listener: socket.socket,
        accept: Callable[[], tuple[int, ConnectionFault | None]],
        protocol: Callable[[int], asyncio.Protocol],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._accept = accept
        self._protocol = protocol
        self._ssl_context = ssl_context
        self._silent: set[socket.socket] = set()
        self._opening: set[asyncio.Task[None]] = set()
        listener.setblocking(False)
        self._loop.add_reader(listener, self._on_connections)

    def close(self) -> None:
        """Accept nothing more, and drop those that were accepted and not handed on."""
        self._loop.remove_reader(self._listener)
        self._drop_silent()

    async def drop(self) -> None:
        """Drop those that were accepted and not handed on, and go on accepting."""
        self._drop_silent()
        # What was accepted this very moment needs a turn of the loop to have something to close it by.
        await asyncio.sleep(0)
        opening = list(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)

    def _drop_silent(self) -> None:
        for connection in list(self._silent):
            self._drop(connection)

    def _on_connections(self) -> None:
        for _ in range(BACKLOG):
            try:
                connection, _ = self._listener.accept()
            except OSError:  # nobody is waiting any more, or the one who was has left
                return
            connection.setblocking(False)
            number, fault = self._accept()
            if fault is None:
                task = self._loop.create_task(self._hand_on(connection, number))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
            else:
                self._spoil(connection, fault)

    async def _hand_on(self, connection: socket.socket, number: int) -> None:
        # Whoever does not manage the TLS handshake is none of the test's business.
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(number), connection, ssl=self._ssl_context
            )

    def _spoil(self, connection: socket.socket, fault: ConnectionFault) -> None:
        if fault == "silent":
            self._silent.add(connection)
            self._loop.add_reader(connection, self._on_silent, connection)
            return
        if fault in ("reset", "refuse"):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        connection.close()

    def _on_silent(self, connection: socket.socket) -> None:
        """Watch for the end without taking anything out of the buffer."""
        try:
            left = not connection.recv(1, socket.MSG_PEEK)
        except OSError:
            left = True
        if left:
            self._drop(connection)
        else:
            # What it said stays unread, and so the socket would be reported as readable for ever.
            self._loop.remove_reader(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._loop.remove_reader(connection)
        self._silent.discard(connection)
        connection.close()


def listen_tcp(host: str, port: int) -> socket.socket:
    """Listen on a TCP port."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)


def listen_unix(path: str) -> socket.socket:
    """Listen on a Unix socket."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
