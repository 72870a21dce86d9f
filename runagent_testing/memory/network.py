"""`MemoryNetwork`: agents, and a network for each style that leads to them."""

from __future__ import annotations

import weakref
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from runagent_testing.endpoints import Endpoints
from runagent_testing.host import AgentHost
from runagent_testing.memory.blocking import BlockingMemory
from runagent_testing.memory.peer import Peer
from runagent_testing.memory.wire import Clock, Wire

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from runagent.net.base import Address, AsyncNetwork
    from runagent_testing.dialects import Dialect
    from runagent_testing.memory.aio import AioMemory
    from runagent_testing.memory.trio import TrioMemory

__all__ = ["MemoryNetwork"]

T = TypeVar("T")

_HOST, _PORT = "memory.localhost", 80


class MemoryNetwork(AgentHost):
    """Fake agents that are reached without sockets.

    One network may serve clients of all styles, one after another. Unlike a `FakeAgentServer` it
    never pings a WebSocket's client of its own accord, speaks no TLS, and holds no bytes back: a
    client that does not read does not slow the agent down.

    Args:
        api_key: Answer everyone who does not send it as a bearer token with 401.
        dialects: As for a `FakeAgentServer`.

    Attributes:
        url: The base URL. Its host is a loopback name, so that no proxy of the environment is used.
    """

    url = f"http://{_HOST}"

    def __init__(self, *, api_key: str | None = None, dialects: Sequence[Dialect] = ()) -> None:
        super().__init__()
        self._endpoints = Endpoints(self._agents, self.journal, api_key, dialects)
        self._peers: weakref.WeakSet[Peer] = weakref.WeakSet()

    @cached_property
    def blocking(self) -> BlockingMemory:
        """The network for synchronous clients, which has a clock of its own; for one thread at a time."""
        return BlockingMemory(self.open)

    @cached_property
    def aio(self) -> AsyncNetwork:
        """The network for asyncio; time is virtual in a `VirtualTimeLoop` and real in any other loop."""
        from runagent_testing.memory.aio import AioMemory

        network: AioMemory = AioMemory(self.open)
        return network

    @cached_property
    def trio(self) -> AsyncNetwork:
        """The network for trio; run it with ``clock=trio.testing.MockClock(autojump_threshold=0)``."""
        from runagent_testing.memory.trio import TrioMemory

        network: TrioMemory = TrioMemory(self.open)
        return network

    def run_asyncio(self, coroutine: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
        """Run a coroutine in a new `VirtualTimeLoop`."""
        import asyncio

        from runagent_testing.memory.aio import VirtualTimeLoop

        with asyncio.Runner(debug=debug, loop_factory=VirtualTimeLoop) as runner:
            return runner.run(coroutine)

    def open(self, address: Address, clock: Clock) -> tuple[Wire, Peer]:
        """Make a connection; the networks of the styles call it.

        Raises:
            OSError: The address leads nowhere here.
        """
        if address.proxy is not None:
            raise OSError(f"the memory network has no proxies; use base_url={self.url!r} and proxy=''")
        if (address.origin.scheme, address.origin.host, address.origin.port) != ("http", _HOST, _PORT):
            raise OSError(f"the memory network leads to {self.url} only, and without TLS")
        number, fault = self._accept()
        if fault == "refuse":
            raise ConnectionRefusedError("the agent has refused the connection")
        wire = Wire()
        peer = Peer(self._endpoints, number, clock, wire)
        if fault is not None:
            peer.spoil(fault)
        self._peers.add(peer)
        return wire, peer

    def _drop_connections(self) -> None:
        for peer in list(self._peers):
            peer.drop()
        self._peers.clear()
