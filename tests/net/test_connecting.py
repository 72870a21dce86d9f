"""Connecting to what does not answer: the limit holds and closing wakes, whatever is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import RunTimeoutError, StreamError
from runagent_testing import ending
from tests.support.peer import Peer, PeerConnection
from tests.support.styles import STYLES, Style
from tests.support.threads import wait_for_reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing import FakeAgentServer

SECONDS = 10.0  # nobody waits that long unless something is broken
SHORT = 0.2


class Silence:
    """Something to connect to that does not answer.

    Attributes:
        options: What leads a client there.
        asked: Somebody has asked, and waits.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.asked = threading.Event()

    def act(self, connection: PeerConnection) -> None:
        """Read everything and send nothing."""
        connection.socket.recv(1)
        self.asked.set()
        connection.wait_gone()


@contextlib.contextmanager
def listener_with_a_full_queue() -> Iterator[Silence]:
    """Linux drops a SYN that finds no place in the queue; so connecting takes for ever."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        stack.enter_context(socket.create_connection(listener.getsockname()))
        silence = Silence(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        silence.asked.set()
        yield silence


@contextlib.contextmanager
def silent_proxy() -> Iterator[Silence]:
    silence = Silence(base_url="https://agent.test", ssl_context=ssl.create_default_context())
    with Peer(silence.act) as peer:
        silence.options["proxy"] = peer.url
        yield silence


@contextlib.contextmanager
def silent_handshake() -> Iterator[Silence]:
    silence = Silence(ssl_context=ssl.create_default_context())
    with Peer(silence.act) as peer:
        silence.options["base_url"] = peer.url.replace("http://", "https://")
        yield silence


@contextlib.contextmanager
def silent_resolver() -> Iterator[Silence]:
    silence, over = Silence(base_url="http://agent.test"), threading.Event()

    def resolve(*args: Any, **options: Any) -> Any:
        # trio asks in the loop's own thread whether it is a number.
        if threading.current_thread() is not threading.main_thread():
            silence.asked.set()
            over.wait(SECONDS)
        raise socket.gaierror(socket.EAI_NONAME, "too late for anybody")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        yield silence
        over.set()


WAYS = [listener_with_a_full_queue, silent_proxy, silent_handshake, silent_resolver]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def silence(request: pytest.FixtureRequest) -> Iterator[Silence]:
    with request.param() as silence:
        yield silence


def test_the_limit_is_kept(style: Style, silence: Silence) -> None:
    async def scenario() -> None:
        client = style.client("a", timeout=SHORT, max_retries=0, **silence.options)
        with pytest.raises(RunTimeoutError) as caught:
            await client.run_generic_stream("x").text()
        assert "connect" == caught.value.phase

    begin = time.monotonic()
    style.run(scenario)
    assert SHORT <= time.monotonic() - begin < SECONDS


def test_closing_wakes(style: Style, silence: Silence) -> None:
    """The reader waits without any limit, and would for ever."""

    async def scenario() -> None:
        client = style.client("a", timeout=10 * SECONDS, **silence.options)
        stream = client.run_generic_stream("x")

        async def close() -> None:
            assert await style.wait(silence.asked)
            await style.settle()
            if style.name == "sync":
                wait_for_reader()
            await stream.aclose()

        with pytest.raises(StreamError, match="closed while it was being read"):
            await style.beside(stream.__anext__, close)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    begin = time.monotonic()
    style.run(scenario)
    assert time.monotonic() - begin < SECONDS


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("name", [*STYLES[1:], "transports"])
def test_closing_in_any_turn_of_the_loop_logs_nothing(
    name: str, turns: int, server: FakeAgentServer, caplog: pytest.LogCaptureFixture
) -> None:
    style = Style(name)
    server.agent("a").always("x", ending("stall"))

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport="sse").run_generic_stream("q")

        async def read() -> None:
            with contextlib.suppress(StreamError, StopAsyncIteration):
                await anext(stream)

        async def close() -> None:
            pause: Any = trio.lowlevel.checkpoint if name == "trio" else lambda: asyncio.sleep(0)
            for _ in range(turns):
                await pause()
            await stream.aclose()

        await style.beside(read, close)
        await style.settle()

    style.run(scenario)
    assert [] == [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_name_is_looked_up(style: Style, server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.agent("a").always("x", "y")
    port = int(server.url.rpartition(":")[2])
    real = socket.getaddrinfo

    def resolve(host: str, *args: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host == "agent.test" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    async def scenario() -> str:
        client = style.client("a", base_url=f"http://agent.test:{port}")
        text: str = await client.run_generic_stream("x").text()
        return text

    assert "xy" == style.run(scenario)
