"""A stream is begun by its first read, read once, and by one reader at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio

from runagent import AgentNotFoundError, RunAgentClient, StreamError
from runagent_testing import FakeAgentServer, ending, error, gate
from tests.support.styles import Style
from tests.support.threads import wait_for_reader

SECONDS = 5.0  # nobody waits that long unless something is broken


def test_a_second_thread_must_not_read(transport: str, server: FakeAgentServer) -> None:
    rest = gate("rest")
    server.agent("a").always("x", rest, "y", "z")
    client = RunAgentClient("a", base_url=server.url, transport=transport, timeout=SECONDS)
    stream = client.run_generic_stream("q")
    assert "x" == next(stream)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(list, stream)
        wait_for_reader()
        with pytest.raises(RuntimeError, match="one reader"):
            next(stream)
        rest.open()
        assert ["y", "z"] == reader.result(SECONDS)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_second_asyncio_task_must_not_read(name: str, transport: str, server: FakeAgentServer) -> None:
    rest = gate("rest")
    server.agent("a").always("x", rest, "y", "z")
    style = Style(name)

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        assert "x" == await anext(stream)
        reader = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader"):
            await anext(stream)
        rest.open()
        assert ["y", "z"] == [await reader, await anext(stream)]

    style.run(scenario)


def test_a_second_trio_task_must_not_read(transport: str, server: FakeAgentServer) -> None:
    rest = gate("rest")
    server.agent("a").always("x", rest, "y", "z")
    style, received = Style("trio"), []

    async def read(stream: Any) -> None:
        received.append(await anext(stream))

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        assert "x" == await anext(stream)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, stream)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="one reader"):
                await anext(stream)
            rest.open()
        received.append(await anext(stream))

    style.run(scenario)
    assert ["y", "z"] == received


async def refuses_to_begin(stream: Any, outcome: str) -> None:
    """Every way to begin to read a stream that is over raises; going on to read it is at its end."""
    for begin in (stream.__aiter__, stream.events, stream.texts):
        with pytest.raises(RuntimeError, match=f"is over \\({outcome}\\)"):
            begin()
    for begin in (stream.text, stream.result):
        with pytest.raises(RuntimeError, match="only once"):
            await begin()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


def test_a_stream_is_read_once(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", "y")

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        views = [stream.events(), stream.texts()]
        assert ["x", "y"] == [chunk async for chunk in stream]
        for view in views:
            with pytest.raises(RuntimeError, match="only once"):
                [chunk async for chunk in view]
        await refuses_to_begin(stream, "completed")
        async with stream:
            await refuses_to_begin(stream, "completed")

    style.run(scenario)
    assert 1 == len(server.requests)


def test_a_closed_stream_is_at_its_end(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", "at hand", ending("stall"))

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport)
        stream, unread = client.run_generic_stream("q"), client.run_generic_stream("q")
        assert "x" == await anext(stream)
        for left in (stream, unread):
            await left.aclose()
            await left.aclose()
            await refuses_to_begin(left, "closed")

    style.run(scenario)
    assert 1 == len(server.requests)


def test_a_stream_that_has_failed_stays_ended(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", error("BROKEN", "no more"))

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        assert "x" == await anext(stream)
        with pytest.raises(StreamError, match="no more"):
            await anext(stream)
        for _ in range(3):
            await refuses_to_begin(stream, "failed")
        await stream.aclose()

    style.run(scenario)
    assert 1 == len(server.requests)


@pytest.mark.parametrize("transport", ["sse", "chunked"])
def test_a_stream_that_was_refused_stays_ended(style: Style, transport: str, server: FakeAgentServer) -> None:
    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        with pytest.raises(AgentNotFoundError):
            await anext(stream)
        await refuses_to_begin(stream, "failed")

    style.run(scenario)
    assert 1 == len(server.requests)


def test_the_rest_is_read_after_some_chunks(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", "y", {"z": 1})

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport)
        stream, other = client.run_generic_stream("q"), client.run_generic_stream("q")
        assert "x" == await anext(stream)
        assert 'y{"z":1}' == await stream.text()
        assert "x" == await anext(other)
        assert ["y", '{"z":1}'] == [text async for text in other.texts()]

    style.run(scenario)


def test_nothing_is_sent_before_the_stream_is_read(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always("x")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport)
        unread, read = client.run_generic_stream("unread"), client.run_generic_stream("read")
        unread.events()
        assert (0, []) == (server.connections, server.requests)
        assert ["x"] == [chunk async for chunk in read]

    style.run(scenario)
    assert ["read"] == [exchange.input["query"] for exchange in server.requests]


def test_a_with_block_connects(style: Style, transport: str, server: FakeAgentServer) -> None:
    go_on = gate("go on")
    server.agent("a").always(go_on, "x")

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        async with stream:
            assert stream.report.connect_seconds > 0
            go_on.open()
            assert ["x"] == [chunk async for chunk in stream]

    style.run(scenario)
    assert 1 == len(server.requests)
