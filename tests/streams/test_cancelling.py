"""Cancelled reads, in all the ways of asyncio and trio: nothing is lost, and nothing goes on for long."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import cycle
from typing import Any

import pytest
import trio

from runagent import AsyncRunAgentClient
from runagent_testing import FakeAgentServer, ending, gate, status
from tests.support.loops import asyncio_loops, run_asyncio

CANCELLATIONS = 100  # before each of ten chunks
CHUNKS = [f"chunk {i} \N{ROCKET}" for i in range(10)]
PATIENCE = (0.0, 0.0, 0.0, 0.0002)


def stream_of(server: FakeAgentServer, transport: str, **options: Any) -> Any:
    client = AsyncRunAgentClient("a", base_url=server.url, transport=transport, **options)
    return client.run_generic_stream("q")


def gated(server: FakeAgentServer) -> list[Any]:
    """Make the agent send one chunk after each gate."""
    gates = [gate(chunk) for chunk in CHUNKS]
    server.agent("a").always(*(step for pair in zip(gates, CHUNKS, strict=True) for step in pair))
    return gates


# A read cancelled a thousand times


async def read_with_wait_for(stream: Any, seconds: float) -> Any:
    return await asyncio.wait_for(anext(stream), seconds)


async def read_with_timeout(stream: Any, seconds: float) -> Any:
    async with asyncio.timeout(seconds):
        return await anext(stream)


async def read_in_a_cancelled_task(stream: Any, seconds: float) -> Any:
    task = asyncio.ensure_future(anext(stream))
    await asyncio.wait([task], timeout=seconds)
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        raise TimeoutError from None


async def read_in_a_trio_scope(stream: Any, seconds: float) -> Any:
    with trio.move_on_after(seconds):
        return await anext(stream)
    raise TimeoutError


async def read_impatiently(stream: Any, read: Any, gates: list[Any]) -> tuple[list[Any], int]:
    """Read with next to no patience; a gate opens only when enough reads have been cancelled before it."""
    received: list[Any] = []
    cancelled = 0
    for seconds in cycle(PATIENCE):
        try:
            received.append(await read(stream, seconds))
        except TimeoutError:
            cancelled += 1
            if cancelled % CANCELLATIONS == 0 and cancelled // CANCELLATIONS <= len(gates):
                gates[cancelled // CANCELLATIONS - 1].open()
        except StopAsyncIteration:
            break
    return received, cancelled


@asyncio_loops
def test_an_asyncio_read_cancelled_a_thousand_times_loses_nothing(
    server: FakeAgentServer, transport: str, loop: Any
) -> None:
    gates = gated(server)
    ways = cycle([read_with_wait_for, read_with_timeout, read_in_a_cancelled_task])

    async def read(stream: Any, seconds: float) -> Any:
        return await next(ways)(stream, seconds)

    async def scenario() -> tuple[list[Any], int]:
        async with stream_of(server, transport) as stream:
            return await read_impatiently(stream, read, gates)

    received, cancelled = run_asyncio(loop, scenario)
    assert CHUNKS == received
    assert cancelled >= CANCELLATIONS * len(CHUNKS)
    assert 1 == len(server.requests)


@pytest.mark.trio
async def test_a_trio_read_cancelled_a_thousand_times_loses_nothing(
    server: FakeAgentServer, transport: str
) -> None:
    gates = gated(server)
    async with stream_of(server, transport) as stream:
        received, cancelled = await read_impatiently(stream, read_in_a_trio_scope, gates)

    assert CHUNKS == received
    assert cancelled >= CANCELLATIONS * len(CHUNKS)
    assert 1 == len(server.requests)


LARGE = "0123456789abcde\N{ROCKET}" * 150_000


async def read_large(stream: Any, read: Any) -> tuple[Any, int]:
    """Read one chunk that takes many reads of the network."""
    cancelled = 0
    while True:
        try:
            return await read(stream, 0.0), cancelled
        except TimeoutError:
            cancelled += 1


@asyncio_loops
def test_an_asyncio_read_cancelled_inside_a_chunk_loses_nothing(
    server: FakeAgentServer, transport: str, loop: Any
) -> None:
    server.agent("a").always(LARGE)

    async def scenario() -> tuple[Any, int]:
        async with stream_of(server, transport) as stream:
            return await read_large(stream, read_with_timeout)

    chunk, cancelled = run_asyncio(loop, scenario)
    assert chunk == LARGE
    assert cancelled > 0


@pytest.mark.trio
async def test_a_trio_read_cancelled_inside_a_chunk_loses_nothing(
    server: FakeAgentServer, transport: str
) -> None:
    server.agent("a").always(LARGE)
    async with stream_of(server, transport) as stream:
        chunk, cancelled = await read_large(stream, read_in_a_trio_scope)
    assert chunk == LARGE
    assert cancelled > 0


# A stream goes on after what was around its reads has been cancelled


@asyncio_loops
def test_a_cancelled_asyncio_task_leaves_the_stream_to_others(
    server: FakeAgentServer, transport: str, loop: Any
) -> None:
    rest = gate("rest")
    server.agent("a").always("a", "b", rest, "c", "d")

    async def scenario() -> list[Any]:
        stream = stream_of(server, transport)
        received: list[Any] = []
        both = asyncio.Event()

        async def read() -> None:
            async for chunk in stream:
                received.append(chunk)
                if len(received) == 2:
                    both.set()

        task = asyncio.create_task(read())
        await both.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "running" == server.requests[0].outcome
        rest.open()
        return [*received, *[chunk async for chunk in stream]]

    assert ["a", "b", "c", "d"] == run_asyncio(loop, scenario)
    assert server.requests[0].wait_done(5)
    assert (1, 1) == (len(server.requests), server.connections)


@pytest.mark.trio
async def test_a_cancelled_trio_scope_leaves_the_stream_to_others(
    server: FakeAgentServer, transport: str
) -> None:
    rest = gate("rest")
    server.agent("a").always("a", "b", rest, "c", "d")
    stream = stream_of(server, transport)
    received: list[Any] = []

    async def read(scope: trio.CancelScope) -> None:
        with scope:
            async for chunk in stream:
                received.append(chunk)  # noqa: PERF401 - watched while it grows

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(read, scope)
        while len(received) < 2:
            await trio.testing.wait_all_tasks_blocked(0.001)
        scope.cancel()

    assert (True, "running") == (scope.cancelled_caught, server.requests[0].outcome)
    rest.open()
    assert ["a", "b", "c", "d"] == received + [chunk async for chunk in stream]
    assert (1, 1) == (len(server.requests), server.connections)


@asyncio_loops
def test_a_deadline_around_the_asyncio_loop_is_no_end(
    server: FakeAgentServer, transport: str, loop: Any
) -> None:
    rest = gate("rest")
    server.agent("a").always("a", "b", rest, "c")

    async def scenario() -> list[Any]:
        stream = stream_of(server, transport)
        received = [await anext(stream), await anext(stream)]

        async def go_on() -> None:
            async with asyncio.timeout(0.02):
                async for chunk in stream:
                    received.append(chunk)  # noqa: PERF401 - what came before the deadline counts

        with pytest.raises(TimeoutError):
            await go_on()
        rest.open()
        return received + [chunk async for chunk in stream]

    assert ["a", "b", "c"] == run_asyncio(loop, scenario)


@pytest.mark.trio
async def test_a_cancelled_nursery_takes_its_streams_along(server: FakeAgentServer, transport: str) -> None:
    server.agent("a").always("a", ending("stall"))
    reading = trio.Event()

    async def read() -> None:
        async with stream_of(server, transport) as stream:
            async for _ in stream:
                reading.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await reading.wait()
        nursery.cancel_scope.cancel()

    assert await trio.to_thread.run_sync(server.requests[0].wait_disconnected, 5)


@asyncio_loops
def test_a_cancelled_asyncio_task_group_takes_its_streams_along(
    server: FakeAgentServer, transport: str, loop: Any
) -> None:
    server.agent("a").always("a", ending("stall"))

    async def read(reading: asyncio.Event) -> None:
        async with stream_of(server, transport) as stream:
            async for _ in stream:
                reading.set()

    async def scenario() -> bool:
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                reading = asyncio.Event()
                group.create_task(read(reading))
                await reading.wait()
                raise RuntimeError("the body fails, and with it the group")
        return await asyncio.to_thread(server.requests[0].wait_disconnected, 5)

    assert run_asyncio(loop, scenario)


# A cancellation that somebody keeps, with the frames of its traceback, as frameworks do


async def iterate(make: Any) -> None:
    async for _ in make():
        pass


async def iterate_events(make: Any) -> None:
    async for _ in make().events():
        pass


async def collect(make: Any) -> None:
    await make().text()


async def read_until_cancelled(way: Any, server: FakeAgentServer, transport: str, kept: list[Any]) -> None:
    try:
        await way(lambda: stream_of(server, transport))
    except BaseException as exc:
        kept.append(exc)
        raise


ways = pytest.mark.parametrize("way", [iterate, iterate_events, collect])


@ways
@asyncio_loops
def test_a_kept_asyncio_cancellation_keeps_no_stream(
    server: FakeAgentServer, transport: str, loop: Any, way: Any
) -> None:
    server.agent("a").always("a", ending("stall"))
    kept: list[Any] = []

    async def scenario() -> bool:
        task = asyncio.create_task(read_until_cancelled(way, server, transport, kept))
        run = await asyncio.to_thread(server.wait_request)
        assert await asyncio.to_thread(run.wait_sent, 1)
        task.cancel()
        await asyncio.wait([task])
        return await asyncio.to_thread(run.wait_disconnected, 5)

    assert run_asyncio(loop, scenario)
    assert isinstance(kept[0], asyncio.CancelledError)


@ways
@pytest.mark.trio
async def test_a_kept_trio_cancellation_keeps_no_stream(
    server: FakeAgentServer, transport: str, way: Any
) -> None:
    server.agent("a").always("a", ending("stall"))
    kept: list[Any] = []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_until_cancelled, way, server, transport, kept)
        run = await trio.to_thread.run_sync(server.wait_request)
        assert await trio.to_thread.run_sync(run.wait_sent, 1)
        nursery.cancel_scope.cancel()

    assert await trio.to_thread.run_sync(run.wait_disconnected, 5)
    assert isinstance(kept[0], trio.Cancelled)


# Waiting for another attempt


@pytest.mark.trio
async def test_cancelled_reads_do_not_put_the_next_attempt_off(
    server: FakeAgentServer, transport: str
) -> None:
    server.agent("a").reply(status(503, retry_after=0.15))
    server.agent("a").always("a")
    stream = stream_of(server, transport)

    with trio.fail_after(10):
        while True:
            with trio.move_on_after(0.05):
                assert "a" == await anext(stream)
                break

    assert 2 == len(server.requests)
    await stream.aclose()


@asyncio_loops
def test_cancelled_asyncio_reads_do_not_put_the_next_attempt_off(
    server: FakeAgentServer, transport: str, loop: Any
) -> None:
    server.agent("a").reply(status(503, retry_after=0.15))
    server.agent("a").always("a")

    async def scenario() -> Any:
        stream = stream_of(server, transport)
        async with asyncio.timeout(10):
            while True:
                try:
                    return await read_with_timeout(stream, 0.05)
                except TimeoutError:
                    continue

    assert "a" == run_asyncio(loop, scenario)
    assert 2 == len(server.requests)
