"""`wait(seconds)`: whether something is at hand, without reading it; on virtual time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from runagent import NetworkError, StreamError, StreamTimeoutError
from runagent_testing import FakeAgentServer, delay, ending, error, gate, heartbeat, status
from tests.runagent_testing.virtual import STYLES, Virtual

if TYPE_CHECKING:
    from tests.support.styles import Style


@pytest.fixture(params=STYLES)
def virtual(request: pytest.FixtureRequest) -> Virtual:
    """A memory network in each style."""
    return Virtual(request.param)


async def waited(virtual: Virtual, stream: Any, seconds: float) -> tuple[bool, Any]:
    """Return what a wait returns, and how long it took."""
    began = virtual.network.now()
    at_hand = await stream.wait(seconds)
    return at_hand, pytest.approx(virtual.network.now() - began, abs=0.01)


def test_it_returns_after_the_time_or_with_the_event(virtual: Virtual, transport: str) -> None:
    virtual.memory.agent("a").always("x", delay(10), "y")

    async def scenario() -> None:
        stream = virtual.client(transport).run_generic_stream("q")
        assert "x" == await anext(stream)
        assert (False, 4) == await waited(virtual, stream, 4)
        assert (False, 0) == await waited(virtual, stream, 0)
        assert (True, 6) == await waited(virtual, stream, 60)
        assert (True, 0) == await waited(virtual, stream, 60)
        assert "y" == await anext(stream)
        assert (True, 0) == await waited(virtual, stream, 60)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert (True, 0) == await waited(virtual, stream, 60)

    virtual.run(scenario)


def test_heartbeats_are_no_events(virtual: Virtual, transport: str) -> None:
    virtual.memory.agent("a").always("x", *[delay(1), heartbeat()] * 20, "y")

    async def scenario() -> None:
        stream = virtual.client(transport).run_generic_stream("q")
        assert "x" == await anext(stream)
        assert (False, 4.5) == await waited(virtual, stream, 4.5)
        assert (True, 15.5) == await waited(virtual, stream, 100)
        assert "y" == await anext(stream)

    virtual.run(scenario)


def test_an_error_is_at_hand_and_raised_by_the_next_read(virtual: Virtual, transport: str) -> None:
    virtual.memory.agent("a").always("x", delay(1), error("BROKEN", "no more"))

    async def scenario() -> None:
        stream = virtual.client(transport).run_generic_stream("q")
        assert "x" == await anext(stream)
        assert (True, 1) == await waited(virtual, stream, 60)
        assert await stream.wait(60)
        with pytest.raises(StreamError, match="no more"):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    virtual.run(scenario)


def test_the_limits_of_the_run_go_on_over_many_waits(virtual: Virtual, transport: str) -> None:
    virtual.memory.agent("a").always("x", ending("stall"))

    async def scenario() -> None:
        stream = virtual.client(transport, timeout=10, resume=False).run_generic_stream("q")
        assert "x" == await anext(stream)
        began = virtual.network.now()
        while not await stream.wait(3):
            pass
        assert 10 == pytest.approx(virtual.network.now() - began, abs=0.01)
        with pytest.raises(StreamTimeoutError, match="within 10 s"):
            await anext(stream)

    virtual.run(scenario)


def test_a_wait_between_attempts_is_interrupted_and_goes_on(virtual: Virtual) -> None:
    virtual.memory.agent("a").reply(status(503, retry_after=10)).always("x")

    async def scenario() -> None:
        stream = virtual.client().run_generic_stream("q")
        began = virtual.network.now()
        waits = 0
        while not await stream.wait(3):
            waits += 1
        assert waits in (3, 4)
        assert 10 == pytest.approx(virtual.network.now() - began, abs=0.01)
        assert "x" == await stream.text()

    virtual.run(scenario)


def test_it_begins_the_run(virtual: Virtual, transport: str) -> None:
    virtual.memory.agent("a").always(delay(2), "x")

    async def scenario() -> None:
        stream = virtual.client(transport).run_generic_stream("q")
        while not await stream.wait(1):
            pass
        assert "x" == await stream.text()

    virtual.run(scenario)


def test_a_service_that_is_not_there_is_at_hand(style: Style) -> None:
    async def scenario() -> None:
        client = style.client("a", base_url="http://127.0.0.1:1", max_retries=0)
        stream = client.run_generic_stream("q")
        assert await stream.wait(5)
        with pytest.raises(NetworkError):
            await stream.text()

    style.run(scenario)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_wait_of_no_number_of_seconds_is_refused(style: Style, seconds: float) -> None:
    async def scenario() -> None:
        stream = style.client("a", base_url="http://127.0.0.1:1").run_generic_stream("q")
        with pytest.raises(ValueError, match="expected seconds to wait"):
            await stream.wait(seconds)

    style.run(scenario)


# A thread would read ahead in the synchronous style, for which virtual time does not wait.
@pytest.mark.parametrize("virtual", ["asyncio", "trio"], indirect=True)
def test_reading_ahead_goes_by_the_time_of_the_network(virtual: Virtual, transport: str) -> None:
    virtual.memory.agent("a").always("x", delay(10), "y")

    async def scenario() -> None:
        options = {"read_ahead_bytes": 1000}
        stream = virtual.client(transport, transport_options=options).run_generic_stream("q")
        assert "x" == await anext(stream)
        assert (False, 4) == await waited(virtual, stream, 4)
        assert (False, 0) == await waited(virtual, stream, 0)
        assert (True, 6) == await waited(virtual, stream, 60)
        assert "y" == await stream.text()

    virtual.run(scenario)


def test_polling_lets_the_client_read_ahead(style: Style, transport: str, server: FakeAgentServer) -> None:
    go_on = gate("go on")
    server.agent("a").always("x", go_on, "y")

    async def scenario() -> None:
        options = {"read_ahead_bytes": 1_000_000}
        client = style.client("a", base_url=server.url, transport=transport, transport_options=options)
        stream = client.run_generic_stream("q")
        assert "x" == await anext(stream)
        go_on.open()
        end = time.monotonic() + 5
        while not await stream.wait(0):
            assert time.monotonic() < end
        assert "y" == await stream.text()

    style.run(scenario)


def test_what_is_read_ahead_is_at_hand(style: Style, server: FakeAgentServer) -> None:
    go_on = gate("go on")
    server.agent("a").always("x", go_on, "y")

    async def scenario() -> None:
        options = {"read_ahead_bytes": 1_000_000}
        client = style.client("a", base_url=server.url, transport="websocket", transport_options=options)
        stream = client.run_generic_stream("q")
        await stream.accepted()
        assert "x" == await anext(stream)
        assert not await stream.wait(0)
        assert not await stream.wait(0.02)
        go_on.open()
        assert await stream.wait(5)
        assert "y" == await stream.text()
        assert await stream.wait(5)

    style.run(scenario)
