"""`MemoryNetwork`: fake agents, and a network for each style that connects to them."""

from __future__ import annotations

import weakref
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from runagent._net.faults import connect_error
from runagent_testing._host.disruptor import Disruptor
from runagent_testing._host.endpoints import Endpoints
from runagent_testing._host.host import AgentHost
from runagent_testing._host.scopes import ScopedEndpoints
from runagent_testing._host.stamps import random_id, utc_time
from runagent_testing._internal.public import publish
from runagent_testing._internal.suggestions import suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._memory.blocking import BlockingMemory
from runagent_testing._memory.peer import Peer
from runagent_testing._memory.wire import Wire
from runagent_testing._script.numbers import check_seconds, is_whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence

    from runagent._address.route import Address
    from runagent._net.base import AsyncNetwork
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._memory.aio import AioMemory
    from runagent_testing._memory.calls import Clock
    from runagent_testing._memory.installed import Installation
    from runagent_testing._memory.trio import TrioMemory
    from runagent_testing.dialects import Dialect

__all__ = ["MemoryNetwork"]

__tracebackhide__ = is_ours

T = TypeVar("T")

_HOST, _PORT = "memory.localhost", 80
_NOBODY_CAME = (
    "nobody has connected to the memory network: the client needs network=memory.blocking, memory.aio or "
    "memory.trio in addition to base_url=memory.url"
)


class MemoryNetwork(AgentHost):
    """Fake agents that are reached without sockets.

    One network may serve clients of all styles, one after another. It has neither TLS nor proxies, because
    the client's own network handles those. To test them, use a `FakeAgentServer`.

    Args:
        api_key: Requests without it as a bearer token are answered with 401.
        dialects: As for a `FakeAgentServer`.
        ping_interval: As for a `FakeAgentServer`, in virtual seconds.
        buffer_bytes: How many bytes may be unread before the agent has to wait with its next write; None for
            any number. For sockets, the kernel chooses this size.
        run_ids: Makes the runs' ids, for answers with the same bytes each time.
        timestamps: Makes the times at which runs begin, ISO 8601, likewise.

    Attributes:
        url: The base URL. Its host is a loopback name, so that no proxy of the environment is used.
    """

    url = f"http://{_HOST}"
    can_forward = False

    @suggest_keywords
    def __init__(
        self,
        *,
        api_key: str | None = None,
        dialects: Sequence[Dialect] = (),
        ping_interval: float = 20.0,
        buffer_bytes: int | None = None,
        run_ids: Callable[[], str] = random_id,
        timestamps: Callable[[], str] = utc_time,
    ) -> None:
        super().__init__(Disruptor("memory", dialects=dialects))
        check_seconds(ping_interval, "ping_interval=")
        if buffer_bytes is not None and not is_whole(buffer_bytes, 1):
            raise ValueError(f"buffer_bytes= is a number of bytes, 1 or more, not {buffer_bytes!r}")
        self._ping_interval = ping_interval
        self._buffer_bytes = buffer_bytes
        self._endpoints = ScopedEndpoints(
            self,
            self._scopes,
            lambda scope: Endpoints(
                scope._scripts,
                scope.journal,
                scope._others,
                scope._disruptor,
                api_key,
                dialects,
                run_ids,
                timestamps,
            ),
        )
        self._peers: weakref.WeakSet[Peer] = weakref.WeakSet()

    @cached_property
    def blocking(self) -> BlockingMemory:
        """The network for synchronous clients, with a separate clock; for one thread at a time."""
        return BlockingMemory(self.open)

    @cached_property
    def aio(self) -> AsyncNetwork:
        """The network for asyncio; time is virtual in a `VirtualTimeLoop` and real in any other loop."""
        from runagent_testing._memory.aio import AioMemory

        network: AioMemory = AioMemory(self.open)
        return network

    @cached_property
    def trio(self) -> AsyncNetwork:
        """The network for trio; time is virtual with an autojumping ``MockClock``, as in `run_trio`."""
        from runagent_testing._memory.trio import TrioMemory

        network: TrioMemory = TrioMemory(self.open)
        return network

    def install(self) -> Installation:
        """Have clients of `url` use this network without ``network=``; ``RUNAGENT_API_URL`` gets that URL.

        So code that makes its own clients needs no change; also clients that were made before use it, in
        every style. Time is virtual as for `blocking`, `aio` and `trio`. Transports that are asynchronous
        libraries are not concerned. Of several networks, the one that was installed last counts.

        Returns:
            A handle: ``close()`` or ``with`` ends it.
        """
        from runagent_testing._memory.installed import AnyLoopMemory, Installation

        networks = (self.blocking, AnyLoopMemory(lambda: self.aio, lambda: self.trio))
        return Installation(self.url, networks, self._drop_connections)

    def run_asyncio(self, coroutine: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
        """Run a coroutine in a new `VirtualTimeLoop`."""
        import asyncio

        from runagent_testing._memory.loop import VirtualTimeLoop

        with asyncio.Runner(debug=debug, loop_factory=VirtualTimeLoop) as runner:
            return runner.run(coroutine)

    def run_trio(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run an async function in trio, on an autojumping clock."""
        import trio
        from trio.testing import MockClock

        return trio.run(function, *args, clock=MockClock(autojump_threshold=0))

    def timelines(self) -> str:
        """See `AgentHost.timelines`."""
        if self._agents and not self.connections:
            return _NOBODY_CAME
        return super().timelines()

    def open(self, address: Address, clock: Clock) -> tuple[Wire, Peer]:
        """Make a connection; the networks of the styles call it.

        Raises:
            NetworkError: The address is not this network's, or the agent has refused the connection.
        """
        try:
            return self._connect(address, clock)
        except OSError as exc:
            raise connect_error(exc, address) from exc

    def _connect(self, address: Address, clock: Clock) -> tuple[Wire, Peer]:
        if address.proxy is not None:
            raise OSError(f"the memory network has no proxies; use base_url={self.url!r} and proxy=''")
        if (address.origin.scheme, address.origin.host, address.origin.port) != ("http", _HOST, _PORT):
            raise OSError(f"the memory network connects only to {self.url}, and without TLS")
        number, fault = self._accept()
        if fault == "refuse":
            raise ConnectionRefusedError("the agent has refused the connection")
        wire = Wire(self._buffer_bytes)
        peer = Peer(self._endpoints, number, clock, wire, self._ping_interval)
        if fault is not None:
            peer.spoil(fault)
        self._peers.add(peer)
        return wire, peer

    def _drop_exchanges(self, exchanges: Collection[Exchange]) -> None:
        for peer in list(self._peers):
            if peer.answers in exchanges:
                peer.drop()

    def _drop_connections(self) -> None:
        for peer in list(self._peers):
            peer.drop()
        self._peers.clear()


publish(MemoryNetwork)
