"""Leaving a stream early: however it is done, the agent's side of the connection sees it at once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import RunAgentClient, StreamError
from runagent_testing import FakeAgentServer, ending, status
from tests.support.styles import STYLES, Style
from tests.support.threads import wait_for_reader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SECONDS = 5.0  # nobody waits that long unless something is broken


async def by_break(stream: Any) -> None:
    async for _ in stream:
        break


async def by_close(stream: Any) -> None:
    await anext(stream)
    await stream.aclose()


async def by_with(stream: Any) -> None:
    async with stream:
        await anext(stream)


async def by_an_exception_in_the_loop(stream: Any) -> None:
    with contextlib.suppress(KeyError):
        async for chunk in stream:
            raise KeyError(chunk)


async def by_an_exception_in_the_block(stream: Any) -> None:
    with contextlib.suppress(KeyError):
        async with stream:
            raise KeyError(await anext(stream))


async def by_leaving_its_events(stream: Any) -> None:
    async for _ in stream.events():
        break


async def by_dropping_it(stream: Any) -> None:
    await anext(stream)


async def by_dropping_it_in_a_cycle(stream: Any) -> None:
    await anext(stream)
    cycle = [stream]
    cycle.append(cycle)
    del cycle, stream


WAYS = [
    by_break,
    by_close,
    by_with,
    by_an_exception_in_the_loop,
    by_an_exception_in_the_block,
    by_leaving_its_events,
    by_dropping_it,
    by_dropping_it_in_a_cycle,
]


@pytest.mark.parametrize("leave", WAYS)
def test_closing_is_seen_at_once(
    style: Style, transport: str, server: FakeAgentServer, leave: Callable[[Any], Awaitable[None]]
) -> None:
    server.agent("a").always("x", ending("stall"))

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport, timeout=SECONDS)
        await leave(client.run_generic_stream("q"))
        if leave is by_dropping_it_in_a_cycle:
            gc.collect()
        # The client is alive, its loop runs on: it is the stream alone that has ended.
        assert await style.in_thread(server.requests[0].wait_disconnected, SECONDS)

    style.run(scenario)
    assert 1 == server.connections


@pytest.mark.parametrize("name", STYLES)
def test_ctrl_c_closes_the_stream(name: str, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", ending("stall"))
    style, reading, left = Style(name), threading.Event(), threading.Event()
    reader = threading.get_ident()

    def press() -> None:
        reading.wait(SECONDS)
        signal.pthread_kill(reader, signal.SIGINT)
        # One that comes just before the system call that waits interrupts nothing.
        while not left.wait(0.2):
            signal.pthread_kill(reader, signal.SIGINT)

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport, timeout=SECONDS)
        async for _ in client.run_generic_stream("q"):
            reading.set()

    keyboard = threading.Thread(target=press)
    keyboard.start()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            style.run(scenario)
    finally:
        left.set()
        keyboard.join()
    assert server.requests[0].wait_disconnected(SECONDS)
    del caught  # until here its traceback has held the stream, and did not matter


def test_closing_from_another_thread_wakes_the_reader(transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", ending("stall"))
    client = RunAgentClient("a", base_url=server.url, transport=transport, timeout=SECONDS)
    stream = client.run_generic_stream("q")
    assert "x" == next(stream)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(next, stream)
        wait_for_reader()
        stream.close()
        with pytest.raises(StreamError, match="closed while it was being read"):
            reader.result(SECONDS)

    with pytest.raises(StopIteration):
        next(stream)
    assert server.requests[0].wait_disconnected(SECONDS)


def test_closing_from_another_thread_ends_the_wait_for_another_attempt(
    transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always(status(503, retry_after=30))
    stream = RunAgentClient("a", base_url=server.url, transport=transport).run_generic_stream("q")

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(next, stream)
        assert server_has_refused(server)
        wait_for_reader()
        stream.close()
        with pytest.raises(StreamError, match="closed while it was being read"):
            reader.result(SECONDS)

    assert 1 == len(server.requests)


def server_has_refused(server: FakeAgentServer) -> bool:
    pause = threading.Event()
    any(server.requests or pause.wait(0.01) for _ in range(500))
    return server.requests[0].wait_done(SECONDS)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_closing_from_another_asyncio_task_wakes_the_reader(
    name: str, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always("x", ending("stall"))
    style = Style(name)

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        assert "x" == await anext(stream)
        reader = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await stream.aclose()
        with pytest.raises(StreamError, match="closed while it was being read"):
            await reader
        assert await style.in_thread(server.requests[0].wait_disconnected, SECONDS)

    style.run(scenario)


def test_closing_from_another_trio_task_wakes_the_reader(transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", ending("stall"))
    style = Style("trio")

    async def read(stream: Any) -> None:
        with pytest.raises(StreamError, match="closed while it was being read"):
            await anext(stream)

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        assert "x" == await anext(stream)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, stream)
            await trio.testing.wait_all_tasks_blocked()
            await stream.aclose()
        assert await style.in_thread(server.requests[0].wait_disconnected, SECONDS)

    style.run(scenario)
