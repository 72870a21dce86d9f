"""Closing a stream whose input is still being sent, to an agent that does not read it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent import StreamError
from tests.support.peer import Peer, opens_websocket
from tests.support.styles import STYLES, Style
from tests.support.tls import client_context, server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from tests.support.peer import PeerConnection

SECONDS = 10.0  # nobody waits that long unless something is broken
LARGE = "x" * (16 << 20)  # more than two kernels ever keep between them

by_reading = pytest.mark.parametrize("options", [{}, {"read_ahead_bytes": 1000}], ids=["", "ahead"])


class Deaf:
    """An agent that reads the beginning of a request and then nothing more.

    Attributes:
        asked: A request has begun to come.
        over: The test is over.
    """

    def __init__(self, begin: Callable[[PeerConnection], None]) -> None:
        self.asked = threading.Event()
        self.over = threading.Event()
        self._begin = begin

    def act(self, connection: PeerConnection) -> None:
        """Read no more than that."""
        self._begin(connection)
        connection.socket.recv(10)
        self.asked.set()
        self.over.wait(SECONDS)


@pytest.fixture(params=[*STYLES, "transports"])
def style(request: pytest.FixtureRequest) -> Style:
    """Each style, and asyncio once more on a loop that does not watch sockets."""
    return Style(request.param)


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS contexts of the agent and of the client."""
    ca = trustme.CA()
    return server_context(ca, "127.0.0.1"), client_context(ca)


async def by_closing_it(client: Any, stream: Any) -> None:
    await stream.aclose()


async def by_cancelling_the_run(client: Any, stream: Any) -> None:
    assert not await stream.cancel()


async def by_closing_the_client(client: Any, stream: Any) -> None:
    await client.aclose(grace=0)


def at_once(connection: PeerConnection) -> None:
    """Need no handshake."""


def check(
    style: Style,
    close: Callable[[Any, Any], Awaitable[None]],
    server: Any = None,
    *,
    begin: Callable[[PeerConnection], None] = at_once,
    **options: Any,
) -> None:
    """Close a stream that is being sent; its reader gets the one right error, and then the end."""
    agent = Deaf(begin)

    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, timeout=10 * SECONDS, max_retries=0, **options)
        stream = client.run_generic_stream(LARGE)

        async def close_it() -> None:
            assert await style.wait(agent.asked)
            await style.settle()
            await close(client, stream)

        with pytest.raises(StreamError, match=r"closed while it was being read|the run was cancelled"):
            await style.beside(stream.__anext__, close_it)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        await style.settle()

    with Peer(agent.act, ssl_context=server) as peer:
        try:
            style.run(scenario)
        finally:
            agent.over.set()


@by_reading
@pytest.mark.parametrize("close", [by_closing_it, by_cancelling_the_run, by_closing_the_client])
def test_the_reader_learns_that_it_was_closed(style: Style, close: Any, options: Any) -> None:
    check(style, close, transport="sse", transport_options=options)


def test_the_reader_learns_that_it_was_closed_over_a_websocket(style: Style) -> None:
    check(style, by_closing_it, begin=opens_websocket, transport="websocket")


def test_the_reader_learns_that_it_was_closed_through_tls(style: Style, contexts: Any) -> None:
    server, client = contexts
    check(style, by_closing_it, server, transport="sse", ssl_context=client)
