"""What a wait must not disturb: another reader, the end of a run, the limits after a late resumption."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from runagent import RunTimeoutError, StreamError, Timeouts
from runagent._run.deadlines import Deadlines
from runagent_testing import FakeAgentServer, delay, ending, gate, status
from tests.runagent_testing.virtual import STYLES, Virtual
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=STYLES)
def virtual(request: pytest.FixtureRequest) -> Virtual:
    """A memory network in each style."""
    return Virtual(request.param)


def test_a_refused_second_reader_leaves_the_wait_of_the_first_alone(
    transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always("x", ending("stall"))
    style = Style("asyncio")

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        assert "x" == await anext(stream)
        first = asyncio.ensure_future(stream.wait(0.05))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader"):
            await stream.wait(0)
        assert not await first
        assert "running" == stream.report.outcome
        await stream.aclose()

    style.run(scenario)


def test_a_reader_that_comes_back_after_the_total_limit_hears_of_it(virtual: Virtual) -> None:
    virtual.memory.agent("a").reply(status(503, retry_after=10)).always("x", delay(100), "y")

    async def scenario() -> None:
        stream = virtual.client(timeout=Timeouts(total=20)).run_generic_stream("q")
        assert not await stream.wait(1)
        await virtual.sleep(60)  # the user's own work
        with pytest.raises(RunTimeoutError):
            await stream.text()

    virtual.run(scenario)


def test_a_chunk_after_a_late_resumption_renews_the_whole_idle_limit() -> None:
    limits = Deadlines(Timeouts(idle=60), 0.0)
    limits.follow_silence("idle")
    limits.begin_attempt()
    limits.connected(0.0)
    limits.received(55.0, events=True)
    limits.renew()
    assert 60 == limits.patience


@pytest.mark.parametrize("name", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("other", ["asyncio", "uvloop", "trio"])
def test_a_read_in_another_event_loop_than_what_reads_ahead_is_refused(
    name: str, other: str, server: FakeAgentServer
) -> None:
    go_on = gate("go on")
    server.agent("a").always("x", go_on, "y")
    style = Style(name)

    async def scenario() -> None:
        options = {"read_ahead_bytes": 1000}
        stream = style.client("a", base_url=server.url, transport_options=options).run_generic_stream("q")
        assert "x" == await anext(stream)

        async def elsewhere() -> None:
            batches = stream.batches(within=5)
            for read in (stream.__anext__, lambda: stream.wait(10), batches.__anext__):
                with pytest.raises(RuntimeError, match="begun in another event loop"):
                    await read()

        await style.in_thread(Style(other).run, elsewhere)
        go_on.open()
        assert "y" == await stream.text()

    style.run(scenario)


@pytest.mark.parametrize("options", [{}, {"read_ahead_bytes": 1000}], ids=["", "read ahead"])
def test_a_read_in_the_next_event_loop_of_a_thread_is_refused(
    options: dict[str, int], server: FakeAgentServer
) -> None:
    server.agent("a").always("x", ending("stall"))

    async def begin() -> Any:
        client = Style("asyncio").client("a", base_url=server.url, transport_options=options)
        stream = client.run_generic_stream("q")
        assert "x" == await anext(stream)
        return stream

    async def read_on(stream: Any) -> None:
        with pytest.raises(RuntimeError, match="begun in another event loop"):
            await stream.wait(10)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        stream = first.run(begin())
        second.run(read_on(stream))
        first.run(stream.aclose())


@pytest.mark.parametrize("name", ["asyncio", "trio"])
@pytest.mark.parametrize("read", [lambda stream: stream.__anext__(), lambda stream: stream.wait(10)])
def test_closing_a_stream_that_is_read_ahead_is_an_error_for_its_reader(
    name: str, read: Callable[[Any], Any], server: FakeAgentServer
) -> None:
    server.agent("a").always("x", ending("stall"))
    style = Style(name)

    async def scenario() -> None:
        options = {"read_ahead_bytes": 1_000_000}
        stream = style.client("a", base_url=server.url, transport_options=options).run_generic_stream("q")
        assert "x" == await anext(stream)

        async def close() -> None:
            await style.settle()
            await stream.aclose()

        with pytest.raises(StreamError, match="closed while"):
            await style.beside(lambda: read(stream), close)

    style.run(scenario)
