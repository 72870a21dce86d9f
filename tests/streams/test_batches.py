"""`batches()`: all events of one read at once, and an empty list after a silence; on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runagent import Chunk, Completed, Started, StreamError, StreamTimeoutError
from runagent_testing import delay, ending, error, heartbeat
from tests.runagent_testing.virtual import STYLES, Virtual


@pytest.fixture(params=STYLES)
def virtual(request: pytest.FixtureRequest) -> Virtual:
    """A memory network in each style."""
    return Virtual(request.param)


def chunks(batch: list[Any]) -> list[Any]:
    return [event.content for event in batch if isinstance(event, Chunk)]


def test_all_that_a_read_brings_comes_at_once(virtual: Virtual, transport: str) -> None:
    virtual.memory.agent("a").always(*map(str, range(200)), delay(1), "late")

    async def scenario() -> None:
        found = [batch async for batch in virtual.client(transport).run_generic_stream("q").batches()]
        assert all(found)
        assert [*map(str, range(200)), "late"] == [text for batch in found for text in chunks(batch)]
        assert len(found) <= 3
        assert isinstance(found[0][0], Started)
        assert isinstance(found[-1][-1], Completed)

    virtual.run(scenario)


def test_a_silence_gives_empty_lists(virtual: Virtual, transport: str) -> None:
    virtual.memory.agent("a").always("x", delay(10), heartbeat(), delay(10), "y")

    async def scenario() -> None:
        stream = virtual.client(transport).run_generic_stream("q")
        found = [batch async for batch in stream.batches(within=6)]
        assert [False, False, False] == [bool(batch) for batch in found if not batch]
        assert ["x", "y"] == [text for batch in found for text in chunks(batch)]

    virtual.run(scenario)


def test_the_wait_can_be_changed_between_two_steps(virtual: Virtual) -> None:
    virtual.memory.agent("a").always("x", delay(10), "y")

    async def scenario() -> None:
        batches = virtual.client().run_generic_stream("q").batches()
        assert ["x"] == chunks(await anext(batches))
        began = virtual.network.now()
        getattr(batches, "stream", batches).within = 2
        assert [] == await anext(batches)
        assert 2 == pytest.approx(virtual.network.now() - began, abs=0.01)
        getattr(batches, "stream", batches).within = None
        assert ["y"] == chunks(await anext(batches))

    virtual.run(scenario)


def test_they_share_the_position_with_chunks(virtual: Virtual) -> None:
    virtual.memory.agent("a").always(*"abcdef")

    async def scenario() -> None:
        stream = virtual.client().run_generic_stream("q")
        assert "a" == await anext(stream)
        assert "b" == await anext(stream)
        assert [*"cdef"] == chunks(await anext(stream.batches()))
        assert stream.completed is not None

    virtual.run(scenario)


def test_what_came_before_an_error_comes_first(virtual: Virtual, transport: str) -> None:
    virtual.memory.agent("a").always("x", error("BROKEN", "no more"))

    async def scenario() -> None:
        batches = virtual.client(transport).run_generic_stream("q").batches(within=5)
        assert ["x"] == chunks(await anext(batches))
        with pytest.raises(StreamError, match="no more"):
            await anext(batches)
        with pytest.raises(StopAsyncIteration):
            await anext(batches)

    virtual.run(scenario)


def test_the_limits_of_the_run_go_on(virtual: Virtual, transport: str) -> None:
    virtual.memory.agent("a").always("x", ending("stall"))

    async def scenario() -> None:
        stream = virtual.client(transport, timeout=10, resume=False).run_generic_stream("q")
        batches = stream.batches(within=3)
        assert ["x"] == chunks(await anext(batches))
        assert [[], [], []] == [await anext(batches) for _ in range(3)]
        with pytest.raises(StreamTimeoutError, match="within 10 s"):
            await anext(batches)

    virtual.run(scenario)


def test_a_stream_that_is_over_is_not_read_again(virtual: Virtual) -> None:
    virtual.memory.agent("a").always("x")

    async def scenario() -> None:
        stream = virtual.client().run_generic_stream("q")
        async for _ in stream.batches():
            pass
        assert "completed" == stream.report.outcome
        with pytest.raises(RuntimeError, match="this stream is over"):
            stream.batches()

    virtual.run(scenario)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_seconds_below_zero_are_rejected(virtual: Virtual, seconds: float) -> None:
    stream = virtual.client().run_generic_stream("q")
    with pytest.raises(ValueError, match="0 or more"):
        stream.batches(within=seconds)


# A thread would read ahead in the synchronous style, for which virtual time does not wait.
@pytest.mark.parametrize("virtual", ["asyncio", "trio"], indirect=True)
def test_reading_ahead_gives_them_too(virtual: Virtual) -> None:
    virtual.memory.agent("a").always("x", delay(10), "y")

    async def scenario() -> None:
        stream = virtual.client(transport_options={"read_ahead_bytes": 1000}).run_generic_stream("q")
        found = [text async for batch in stream.batches() for text in chunks(batch)]
        assert ["x", "y"] == found

    virtual.run(scenario)


@pytest.mark.parametrize("virtual", ["asyncio", "trio"], indirect=True)
def test_reading_ahead_leaves_the_heartbeats_in_time(virtual: Virtual) -> None:
    virtual.memory.agent("a").always("x", delay(10), "y")

    async def scenario() -> None:
        stream = virtual.client(transport_options={"read_ahead_bytes": 1000}).run_generic_stream("q")
        found = [(chunks(batch), round(virtual.network.now())) async for batch in stream.batches(within=3)]
        assert [(["x"], 0), ([], 3), ([], 6), ([], 9), (["y"], 10)] == found

    virtual.run(scenario)


def test_a_cancelled_step_loses_nothing() -> None:
    virtual = Virtual("asyncio")
    virtual.memory.agent("a").always("x", delay(10), "y")

    async def scenario() -> None:
        batches = virtual.client().run_generic_stream("q").batches(within=60)
        assert ["x"] == chunks(await anext(batches))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await anext(batches)
        assert ["y"] == chunks(await anext(batches))

    virtual.run(scenario)
