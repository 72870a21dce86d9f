"""Closing a client with a grace period: no new runs; what is read may end, and the rest is closed."""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Completed, ConfigurationError, RunAgentClient, StreamError
from runagent._run.readahead import ReadAhead
from runagent_testing import FakeAgentServer, ending, gate
from tests.support.forks import forks, in_child
from tests.support.styles import Style
from tests.support.threads import wait_for_reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._client.open_streams import OpenStreams

by_reading = pytest.mark.parametrize("options", [{}, {"read_ahead_bytes": 1000}], ids=["", "ahead"])
SECONDS = 10.0  # nobody waits that long unless something is broken


async def until_refused(style: Style, client: Any) -> None:
    """Wait until the client refuses runs: closing it has begun."""
    pause = threading.Event()
    for _ in range(5000):
        try:
            client.run_generic_stream("q")
        except RuntimeError:
            return
        await style.in_thread(pause.wait, 0.001)
    raise AssertionError("the client is open")


def closing(client: Any, grace: float, ended: threading.Event) -> Callable[[], Any]:
    async def close() -> None:
        await client.aclose(grace=grace)
        ended.set()

    return close


@by_reading
def test_streams_that_are_read_may_end(
    style: Style, transport: str, server: FakeAgentServer, options: Any
) -> None:
    rest, ended = gate("rest"), threading.Event()
    server.agent("a").always("x", rest, "y")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport, transport_options=options)
        stream = client.run_generic_stream("q")
        assert "x" == await anext(stream)

        async def read() -> list[Any]:
            await until_refused(style, client)
            assert not ended.is_set()
            rest.open()
            return [chunk async for chunk in stream]

        assert ["y"] == await style.beside(read, closing(client, SECONDS, ended))
        assert ended.is_set()
        assert "completed" == stream.report.outcome

    style.run(scenario)


@by_reading
def test_streams_that_do_not_end_are_closed(
    style: Style, transport: str, server: FakeAgentServer, options: Any
) -> None:
    server.agent("a").always("x", ending("stall"))

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport, transport_options=options)
        stream, unread = client.run_generic_stream("q"), client.run_generic_stream("q")
        assert "x" == await anext(stream)

        async def read() -> None:
            with pytest.raises(StreamError, match="closed while it was being read"):
                await anext(stream)

        async def close() -> None:
            if style.name == "sync":
                wait_for_reader(ReadAhead._wait_for_batch.__code__ if options else None)
            await client.aclose(grace=0.05)

        await style.beside(read, close)
        with pytest.raises(RuntimeError, match="over"):
            unread.events()
        assert await style.in_thread(server.requests[0].wait_disconnected, SECONDS)
        await style.settle()
        assert "closed" == stream.report.outcome

    style.run(scenario)
    assert 1 == len(server.requests)


def test_plain_runs_are_waited_for(style: Style, server: FakeAgentServer) -> None:
    answer, closed = gate("answer"), threading.Event()
    server.agent("a").returns(answer, 42)

    async def scenario() -> None:
        client = style.client("a", base_url=server.url)

        async def close() -> None:
            await style.in_thread(server.wait_request)
            await style.beside(lambda: let_go(client), closing(client, SECONDS, closed))

        async def let_go(client: Any) -> None:
            await until_refused(style, client)
            assert not closed.is_set()
            answer.open()

        assert 42 == await style.beside(lambda: client.run_generic("q"), close)

    style.run(scenario)


def test_nothing_is_waited_for_if_nothing_is_read(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always("x", "y")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url)
        read, unread = client.run_generic_stream("q"), client.run_generic_stream("q")
        assert "xy" == await read.text()
        left = client.run_generic_stream("q")
        async for event in left.events():
            if isinstance(event, Completed):  # and not to the end behind it
                break
        began = time.monotonic()
        await client.aclose(grace=SECONDS)
        await client.aclose(grace=SECONDS)
        await client.aclose()
        assert time.monotonic() - began < SECONDS
        assert unread.report.transport == ""

    style.run(scenario)


def test_without_grace_streams_go_on(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", "y")

    async def scenario() -> None:
        async with style.client("a", base_url=server.url, transport=transport) as client:
            stream, unread = client.run_generic_stream("q"), client.run_generic_stream("q")
            assert "x" == await anext(stream)
        assert ["y"] == [chunk async for chunk in stream]
        assert "xy" == await unread.text()

    style.run(scenario)


@pytest.mark.parametrize("grace", [-1, float("nan"), float("inf"), "1", True])
def test_what_is_no_time_is_refused_before_anything_is_closed(style: Style, grace: Any) -> None:
    async def scenario() -> None:
        client = style.client("a", base_url="http://127.0.0.1:1")
        with pytest.raises(ConfigurationError, match="argument grace: expected a finite number of seconds"):
            await client.aclose(grace=grace)
        client.run_generic_stream("q")

    style.run(scenario)


@pytest.mark.parametrize("name", ["asyncio", "trio"])
def test_streams_of_other_loops_go_on(name: str, server: FakeAgentServer) -> None:
    style, rest, reading, closed = Style(name), gate("rest"), threading.Event(), threading.Event()
    server.agent("a").always("x", rest, "y")
    client = style.client("a", base_url=server.url)
    received = []

    async def read() -> None:
        async for chunk in client.run_generic_stream("q"):
            received.append(chunk)
            reading.set()
            await style.wait(closed, SECONDS)
            rest.open()

    reader = threading.Thread(target=style.run, args=(read,))
    reader.start()
    assert reading.wait(SECONDS)

    async def close() -> None:
        await client.aclose(grace=SECONDS)
        closed.set()

    style.run(close)
    reader.join()
    assert ["x", "y"] == received


@forks
def test_a_child_closes_no_stream_of_its_parent(style: Style, server: FakeAgentServer) -> None:
    rest = gate("rest")
    server.agent("a").always("x", rest, "y")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url)
        stream = client.run_generic_stream("q")
        assert "x" == await anext(stream)

        async def in_the_child() -> float:
            began = time.monotonic()
            await client.aclose(grace=SECONDS)
            return time.monotonic() - began

        assert in_child(style, in_the_child) < SECONDS
        rest.open()
        assert ["y"] == [chunk async for chunk in stream]

    style.run(scenario)


def test_the_register_keeps_no_stream() -> None:
    client = RunAgentClient("a", base_url="http://127.0.0.1:1")
    streams: OpenStreams[Any] = client._streams
    stream = client.run_generic_stream("q")
    assert [stream] == streams.open()
    lost = weakref.ref(stream)
    del stream
    assert lost() is None
    assert set() == streams._refs
