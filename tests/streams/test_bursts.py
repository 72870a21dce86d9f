"""A burst that has arrived already: a cancellation ends it soon, and other tasks are not kept waiting."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import AsyncRunAgentClient
from tests.support.loops import asyncio_loops, run_asyncio

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer

BURST = 10_000
EVENTS_BEFORE_A_CANCELLATION_TELLS = 32


def stream_of(server: FakeAgentServer, transport: str, **options: Any) -> Any:
    client = AsyncRunAgentClient("a", base_url=server.url, transport=transport, **options)
    return client.run_generic_stream("q")


def burst(server: FakeAgentServer) -> None:
    server.agent("a").always(*(str(i) for i in range(BURST)))


@asyncio_loops
@pytest.mark.parametrize("events", [False, True], ids=["chunks", "events"])
def test_a_cancelled_asyncio_task_ends_a_burst_soon(
    server: FakeAgentServer, transport: str, loop: Any, events: bool
) -> None:
    burst(server)

    async def scenario() -> int:
        stream = stream_of(server, transport)
        await anext(stream)
        after = 0

        async def drain() -> None:
            nonlocal after
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            async for _ in stream.events() if events else stream:
                after += 1

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(drain())
        await stream.aclose()
        return after

    assert run_asyncio(loop, scenario) <= EVENTS_BEFORE_A_CANCELLATION_TELLS


@pytest.mark.trio
@pytest.mark.parametrize("events", [False, True], ids=["chunks", "events"])
async def test_a_cancelled_trio_scope_ends_a_burst_soon(
    server: FakeAgentServer, transport: str, events: bool
) -> None:
    burst(server)
    stream = stream_of(server, transport)
    await anext(stream)
    after = 0

    with trio.CancelScope() as scope:
        scope.cancel()
        async for _ in stream.events() if events else stream:
            after += 1

    assert scope.cancelled_caught
    assert after <= EVENTS_BEFORE_A_CANCELLATION_TELLS
    await stream.aclose()


@asyncio_loops
def test_other_asyncio_tasks_run_while_a_burst_is_drained(
    server: FakeAgentServer, transport: str, loop: Any
) -> None:
    burst(server)

    async def scenario() -> tuple[int, int]:
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(take_turns())
        count = len([chunk async for chunk in stream_of(server, transport)])
        other.cancel()
        return count, turns

    count, turns = run_asyncio(loop, scenario)
    assert BURST == count
    assert turns >= BURST // EVENTS_BEFORE_A_CANCELLATION_TELLS


@pytest.mark.trio
async def test_other_trio_tasks_run_while_a_burst_is_drained(server: FakeAgentServer, transport: str) -> None:
    burst(server)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        count = len([chunk async for chunk in stream_of(server, transport)])
        nursery.cancel_scope.cancel()

    assert BURST == count
    assert turns >= BURST // EVENTS_BEFORE_A_CANCELLATION_TELLS
