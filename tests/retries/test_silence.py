"""Agents that fall silent: the user hears of it after twice the limit and one wait, on virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from runagent import (
    AgentNotFoundError,
    AgentServerError,
    NetworkError,
    StreamError,
    StreamTimeoutError,
    Timeouts,
)
from runagent_testing import delay, ending, heartbeat, raw_response, status
from runagent_testing import error as error_step
from tests.runagent_testing.virtual import STYLES, Virtual

LIMIT = 60.0
WAIT = 0.1  # the floor before a first resumption: the tests of this folder draw 0
STALL = ending("stall")


@pytest.fixture(params=STYLES)
def virtual(request: pytest.FixtureRequest) -> Virtual:
    """A memory network in each style."""
    return Virtual(request.param)


def read(virtual: Virtual, transport: str, **options: Any) -> tuple[list[Any], Any, Any, float]:
    """Return the chunks, the error, the report, and the virtual seconds from the first chunk on."""

    async def scenario() -> tuple[list[Any], Any, Any, float]:
        client = virtual.client(transport, **options)
        stream, received, error = client.run_generic_stream("x"), [], None
        received.append(await anext(stream))
        began = virtual.network.now()
        try:
            async for content in stream:
                received.append(content)  # noqa: PERF401 - what came before the error counts
        except StreamTimeoutError as exc:
            error = exc
        return received, error, stream.report, virtual.network.now() - began

    found: tuple[list[Any], Any, Any, float] = virtual.run(scenario)
    return found


@pytest.mark.parametrize("transport", ["sse", "chunked"])
@pytest.mark.parametrize("timeout", [None, LIMIT, Timeouts(first_event=None)], ids=["default", "60", "idle"])
def test_an_agent_that_stays_silent_is_given_up_after_twice_the_limit_and_a_wait(
    virtual: Virtual, transport: str, timeout: Any
) -> None:
    virtual.memory.agent("a").always("x", STALL)
    received, error, report, seconds = read(virtual, transport, timeout=timeout)
    assert (["x"], "idle", 2) == (received, error.phase, len(report.attempts))
    assert seconds == pytest.approx(2 * LIMIT + WAIT, abs=1)
    assert "nothing more from the agent within 60 s" in str(error)
    assert 1 == error.chunks_received


def test_a_new_chunk_renews_the_allowance(virtual: Virtual) -> None:
    agent = virtual.memory.agent("a")
    agent.reply("x", STALL).reply("x", "y", STALL).reply("x", "y", "z", STALL).always("x", "y", "z", STALL)
    received, error, report, seconds = read(virtual, "sse")
    assert (["x", "y", "z"], "idle", 4) == (received, error.phase, len(report.attempts))
    assert seconds == pytest.approx(4 * LIMIT + 0.1 + 0.2 + 0.4, abs=1)


def test_an_agent_that_comes_back_in_the_meantime_is_heard(virtual: Virtual) -> None:
    agent = virtual.memory.agent("a")
    agent.reply("x", STALL).reply("x", delay(50), "y")
    received, error, report, _ = read(virtual, "sse")
    assert (["x", "y"], None, 2) == (received, error, len(report.attempts))


def test_the_allowance_is_for_connecting_and_the_first_event_together(virtual: Virtual) -> None:
    virtual.memory.agent("a").always("x", STALL)
    limits = Timeouts(connect=1000, first_event=1000, idle=10)
    _, error, report, seconds = read(virtual, "sse", timeout=limits)
    assert ("idle", 2) == (error.phase, len(report.attempts))
    assert seconds == pytest.approx(2 * 10 + WAIT, abs=1)


def test_progress_is_such_a_limit_too(virtual: Virtual) -> None:
    virtual.memory.agent("a").always("x", *(delay(5), heartbeat()) * 1000)
    _, error, report, seconds = read(virtual, "sse", timeout=Timeouts(progress=30))
    assert ("progress", 2) == (error.phase, len(report.attempts))
    assert seconds <= 2 * 30 + WAIT + 6


@pytest.mark.parametrize(
    ("then", "cause", "why"),
    [
        ((status(503),), AgentServerError, "Service Unavailable"),
        ((status(404),), AgentNotFoundError, "Not Found"),
        ((raw_response(b""), ending("cut")), NetworkError, "without an answer"),
        (("x", "y"), StreamError, "the agent did not resume at chunk 1 but at 0"),
    ],
    ids=["503", "404", "no answer", "from the beginning"],
)
def test_a_silence_after_which_nothing_could_be_resumed_stays_a_timeout(
    virtual: Virtual, then: tuple[Any, ...], cause: type[Exception], why: str
) -> None:
    virtual.memory.agent("a").reply("x", STALL).always(*then, resume="refuse")
    received, error, report, _ = read(virtual, "sse")
    assert (["x"], "idle", "TIMEOUT", 1) == (received, error.phase, error.code, error.chunks_received)
    assert "within 60 s: limit 'idle', 1 chunk had come; the stream could not be resumed: " in error.message
    assert why in error.message
    assert error.hint.startswith("raise timeout= or Timeouts(idle=...)")
    assert cause is type(error.__cause__)
    assert (StreamTimeoutError, "idle") == (type(report.error), report.error.phase)


def failure_of_text(virtual: Virtual) -> StreamError:
    """Read a stream whose run fails after its beginning."""

    async def scenario() -> StreamError:
        with pytest.raises(StreamError) as caught:
            await virtual.client("sse").run_generic_stream("q").text()
        return caught.value

    failed: StreamError = virtual.run(scenario)
    return failed


def test_a_silence_is_named_by_the_error_that_the_agent_reports_instead_of_the_rest(virtual: Virtual) -> None:
    """The agent's own error keeps its class and code: a limit that is raised does not help."""
    agent = virtual.memory.agent("a")
    agent.reply("x", STALL).always("x", error_step("GONE_WRONG", "no room left"))

    failed = failure_of_text(virtual)
    assert ("GONE_WRONG", "x") == (failed.code, failed.partial_text)
    assert failed.message.startswith(
        "no room left (the stream had broken before: nothing more from the agent"
    )


def test_a_silence_before_the_last_chunks_is_forgotten(virtual: Virtual) -> None:
    virtual.memory.agent("a").reply("x", STALL).always("x", "y", error_step("GONE_WRONG", "no room left"))

    failed = failure_of_text(virtual)
    assert ("xy", "no room left (after 2 attempts)") == (failed.partial_text, failed.message)
