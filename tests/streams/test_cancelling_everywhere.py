"""A run cancelled at its n-th wait, for every n: what the stream is worth afterwards, and its client."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent import StreamError
from runagent_testing import FakeAgentServer, delay, ending, fixed, status
from tests.support.cancelling import Moment, cancelled_at
from tests.support.proxy import Proxy
from tests.support.styles import TRANSPORTS, Style

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNKS = ["one", "two \N{ROCKET}", "three"]
LARGE = {"query": "x" * 300_000}
WAITS_AT_MOST = 200  # an endless sweep is a hang
WAYS: list[tuple[str, Moment]] = [
    ("asyncio", "waiting"),
    ("asyncio", "woken"),
    ("uvloop", "waiting"),
    ("trio", "waiting"),
]


class Route:
    """A way to an agent.

    Attributes:
        server: Where it lives.
        options: What leads a client there.
        input: What it is asked.
        before: What it answers to the first attempts of each run.
    """

    def __init__(self, server: FakeAgentServer, **options: Any) -> None:
        self.server = server
        self.options = {"base_url": server.url, "retry_delay": 0.001} | options
        self.input: Any = "x"
        self.before: list[tuple[Any, ...]] = []

    def prepare(self) -> None:
        """Have the agent answer one run."""
        for steps in self.before:
            self.server.agent("a").reply(*steps)


@contextlib.contextmanager
def straight() -> Iterator[Route]:
    with FakeAgentServer() as server:
        yield Route(server)


@contextlib.contextmanager
def with_read_ahead() -> Iterator[Route]:
    with FakeAgentServer() as server:
        yield Route(server, transport_options={"read_ahead_bytes": 10})


@contextlib.contextmanager
def with_a_large_input() -> Iterator[Route]:
    """Larger than what the kernel takes at once, which takes little."""
    little = (socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    with FakeAgentServer() as server:
        route = Route(server, socket_options=[little])
        route.input = LARGE
        yield route


@contextlib.contextmanager
def by_name_and_at_the_third_attempt() -> Iterator[Route]:
    real = socket.getaddrinfo

    def resolve(host: str, *args: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host == "agent.test" else host, *args, **options)

    with FakeAgentServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        route = Route(server, base_url=server.url.replace("127.0.0.1", "agent.test"))
        route.before = [(status(503, retry_after=0.001),), (status(503, retry_after=0.001),)]
        yield route


@contextlib.contextmanager
def resumed() -> Iterator[Route]:
    with FakeAgentServer() as server:
        route = Route(server)
        route.before = [(*CHUNKS[:2], ending("cut"))]
        yield route


AUTHORITY = trustme.CA()


@contextlib.contextmanager
def through_a_tunnel_with_tls() -> Iterator[Route]:
    context, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.issue_cert("agent.test").configure_cert(context)
    AUTHORITY.configure_trust(trust)
    with FakeAgentServer(ssl_context=context) as server:
        port = int(server.url.rpartition(":")[2])
        with Proxy({f"agent.test:{port}": port}) as proxy:
            yield Route(server, base_url=f"https://agent.test:{port}", proxy=proxy.url, ssl_context=trust)


LONGER = [with_read_ahead, with_a_large_input, by_name_and_at_the_third_attempt, through_a_tunnel_with_tls]
# What a way adds to the straight one is the same for both HTTP transports and for both asyncio loops.
CASES = [(straight, transport, *way) for transport in TRANSPORTS for way in WAYS] + [
    (route, transport, *way)
    for route in LONGER
    for transport in ("sse", "websocket")
    for way in WAYS
    if way[0] != "uvloop"
]


async def sweep(style: Style, moment: Moment, route: Route, transport: str) -> tuple[int, int]:
    """Cancel at every wait in turn; return how many there were, and how many cancellations ended the run."""
    ended = 0
    for n in itertools.count(1):
        assert n < WAITS_AT_MOST
        cancelled = []
        async with style.client("a", transport=transport, **route.options) as client:
            # The first run opens a connection; the second one shows what the first has left the client,
            # and finds the connection kept if the transport keeps them.
            for _ in range(2):
                route.prepare()
                stream = client.run_generic_stream(route.input)
                got: list[Any] = []
                cancelled.append(await cancelled_at(n, lambda: read(stream, got), style.name, moment))  # noqa: B023
                try:
                    await read(stream, got)
                except StreamError as exc:
                    ended += "cancelled while it was sending" in str(exc)
                    assert CHUNKS[: len(got)] == got
                else:
                    assert CHUNKS == got
        if not any(cancelled):
            return n, ended
    raise AssertionError("unreachable")


async def read(stream: Any, got: list[Any]) -> None:
    with contextlib.suppress(StopAsyncIteration):  # not `async for`, as the stream may be over
        while True:
            got.append(await anext(stream))


@pytest.mark.parametrize(("way", "transport", "name", "moment"), CASES)
def test_a_run_cancelled_at_any_wait_goes_on(way: Any, transport: str, name: str, moment: Moment) -> None:
    style = Style(name)
    with way() as route:
        route.server.agent("a").always(*CHUNKS, writes="per-step", pace=fixed(0.001))
        waits, ended = style.run(lambda: sweep(style, moment, route, transport))
        assert all(e.wait_done() or e.wait_disconnected() for e in route.server.requests)
    assert waits > 2
    assert (ended > 0) == (way is with_a_large_input)


@pytest.mark.parametrize(("name", "moment"), WAYS)
@pytest.mark.parametrize("transport", ["sse"])
def test_a_resumed_run_cancelled_at_any_wait_goes_on(name: str, moment: Moment, transport: str) -> None:
    style = Style(name)
    with resumed() as route:
        route.server.agent("a").always(*CHUNKS)
        waits, ended = style.run(lambda: sweep(style, moment, route, transport))
    assert waits > 2
    assert ended == 0


@pytest.mark.parametrize(("name", "moment"), WAYS)
def test_a_plain_run_cancelled_at_any_wait_leaves_nothing(name: str, moment: Moment, transport: str) -> None:
    style = Style(name)

    async def scenario(server: FakeAgentServer) -> int:
        async with style.client("a", base_url=server.url, transport=transport) as client:
            for n in itertools.count(1):
                assert n < WAITS_AT_MOST

                async def ask() -> None:
                    assert await client.run_generic("x") == 42

                cancelled = await cancelled_at(n, ask, style.name, moment)
                await ask()
                if not cancelled:
                    return n
        raise AssertionError("unreachable")

    with FakeAgentServer() as server:
        server.agent("a").returns(delay(0.001), 42)
        assert style.run(lambda: scenario(server)) > 1
        assert all(e.wait_done() or e.wait_disconnected() for e in server.requests)
