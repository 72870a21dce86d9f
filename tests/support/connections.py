"""Connections of each style without a run, all awaited in one way."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from runagent._address.route import Address
from runagent._address.url import parse_base_url
from runagent._net.base import ConnectAttempt, quick_connection
from runagent._net.blocking import BlockingNetwork
from runagent._net.loops import current_loop

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from tests.support.styles import Style

__all__ = ["ALL", "FOREVER", "connected"]

FOREVER = float("inf")
ALL = 1 << 16


class Awaitable:
    """A synchronous connection whose waits can be awaited like those of the others."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.poll, self.abort = connection.poll, connection.abort
        self.close_write = connection.close_write

    async def send(self, data: bytes, deadline: float) -> bool | None:
        stuck: bool | None = self._connection.send(data, deadline)
        return stuck

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        data: bytes = self._connection.receive(max_bytes, deadline)
        return data


class Quick:
    """A connection that is read as pumps do it, by `begin_receive`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.poll, self.send, self.close_write = connection.poll, connection.send, connection.close_write

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        assert ALL == max_bytes
        data: bytes | None = None
        while data is None:
            reading = self._connection.begin_receive(deadline)
            try:
                data = await reading
            except BaseException:
                self._connection.end_receive(reading)
                raise
        return data


@contextlib.asynccontextmanager
async def connected(
    style: Style, listener: socket.socket, *, quick: bool = False
) -> AsyncIterator[tuple[Any, socket.socket, Callable[[], float]]]:
    """Give a connection, its peer, and the time of its deadlines."""
    address = Address(parse_base_url(f"http://127.0.0.1:{listener.getsockname()[1]}").origin)
    if style.name == "sync":
        network: Any = BlockingNetwork()
        connection: Any = Awaitable(network.connect(address, FOREVER, ConnectAttempt()))
    else:
        network = (await current_loop()).network
        connection = await network.connect(address, FOREVER, ConnectAttempt())
    peer, _ = listener.accept()
    with peer:
        try:
            quickly = quick and quick_connection(connection) is not None
            yield Quick(connection) if quickly else connection, peer, network.now
        finally:
            connection.abort()
