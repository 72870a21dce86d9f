"""A fake agent server and a memory network, and raw clients of either."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, cast

from runagent._address.route import Address
from runagent._address.url import parse_base_url
from runagent._net.base import ConnectAttempt
from runagent_testing import FakeAgentServer, MemoryNetwork
from tests.runagent_testing.raw_client import RawClient, connected

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from runagent_testing._memory.blocking import BlockingMemoryConnection

__all__ = ["PLAYERS", "Host", "body_of", "client_of", "player"]

PLAYERS = ("server", "memory")
Host = FakeAgentServer | MemoryNetwork


@contextlib.contextmanager
def player(kind: str, **options: Any) -> Iterator[Host]:
    """Start one of `PLAYERS`."""
    if kind == "memory":
        yield MemoryNetwork(**options)
        return
    with FakeAgentServer(**options) as server:
        yield server


@contextlib.contextmanager
def client_of(host: Host) -> Iterator[RawClient]:
    """Connect to a player."""
    if isinstance(host, MemoryNetwork):
        address = Address(parse_base_url(host.url).origin)
        connection = host.blocking.connect(address, math.inf, ConnectAttempt())
        yield RawClient(cast("socket.socket", _MemorySocket(connection)))
        connection.abort()
        return
    with connected(host.url) as client:
        yield client


def body_of(client: RawClient) -> tuple[int, bytes]:
    """Receive an answer with a length: its status and body."""
    head = client.until(b"\r\n\r\n").decode("latin-1")
    length = next(
        line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length")
    )
    while len(client.buffer) < int(length):
        client.buffer += client.socket.recv(1 << 20)
    body = bytes(client.buffer[: int(length)])
    del client.buffer[: int(length)]
    return int(head.split()[1]), body


class _MemorySocket:
    def __init__(self, connection: BlockingMemoryConnection) -> None:
        self._connection = connection

    def sendall(self, data: bytes) -> None:
        self._connection.send(data, math.inf)

    def recv(self, size: int) -> bytes:
        return self._connection.receive(size, math.inf)

    def close(self) -> None:
        self._connection.abort()
