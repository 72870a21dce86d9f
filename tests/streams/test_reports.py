"""A report has each fact as soon as the run knows it, and keeps it however the run ends."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import (
    AgentServerError,
    AuthenticationError,
    RunAgentClient,
    RunAgentError,
    RunReport,
    StreamError,
    StreamTimeoutError,
    Timeouts,
    Tokens,
)
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    delay,
    done,
    ending,
    error,
    gate,
    head,
    heartbeat,
    status,
)
from tests.support.peer import Peer, sends, sse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.styles import Style

USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
TOKENS = Tokens(7, 3, 10)


async def leave_it(stream: Any) -> None:
    await stream.aclose()


async def break_off(stream: Any) -> None:
    async with stream:
        async for _ in stream:
            break


async def let_it_time_out(stream: Any) -> None:
    with pytest.raises(StreamTimeoutError):
        await stream.text()


@pytest.mark.parametrize("end", [leave_it, break_off, let_it_time_out])
def test_status_and_request_id_are_known_from_the_first_chunk_on(
    style: Style, transport: str, server: FakeAgentServer, end: Callable[[Any], Awaitable[None]]
) -> None:
    silence = ending("stall") if end is let_it_time_out else gate("never")
    server.agent("a").always(head(headers={"X-Request-Id": "r-1"}), "x", "y", silence)

    async def scenario() -> None:
        client = style.client(
            "a", base_url=server.url, transport=transport, timeout=Timeouts(idle=0.2), resume=False
        )
        stream = client.run_generic_stream("q")
        report = stream.report
        assert (None, None) == (report.status, report.request_id)
        await anext(stream)
        found = (report.status, report.request_id)
        await end(stream)
        assert found == (report.status, report.request_id)
        assert found == ((101, report.request_id) if transport == "websocket" else (200, "r-1"))
        assert found[1]
        assert ("failed" if end is let_it_time_out else "closed") == report.outcome

    style.run(scenario)


def test_what_was_ignored_is_counted_also_in_a_run_that_was_left(style: Style) -> None:
    answer = sse(("mood", {}), ("mood", {}), ("chunk", {"content": "x"}), end=False)

    async def scenario() -> Any:
        stream = style.client("a", base_url=peer.url).run_generic_stream("q")
        await anext(stream)
        await stream.aclose()
        return stream.report

    with Peer(sends(answer)) as peer:
        assert 2 == sum(style.run(scenario).ignored.values())


def test_a_collected_stream_has_reported_its_end(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always("x", gate("never"))

    async def scenario() -> Any:
        stream = style.client("a", base_url=server.url).run_generic_stream("q")
        await anext(stream)
        report = stream.report
        del stream
        return report

    report = style.run(scenario)
    assert (200, "closed", 1) == (report.status, report.outcome, len(report.attempts))
    assert not isinstance(report.attempts[0].error, StreamError)


async def read(stream: Any) -> None:
    await stream.text()


async def fail(stream: Any) -> None:
    with pytest.raises(RunAgentError):
        await stream.text()


async def drop(stream: Any) -> None:
    await anext(stream)


async def never_begin(stream: Any) -> None:
    await stream.aclose()


SILENCE = Timeouts(first_event=0.2, idle=0.2)
HEAD = head(headers={"X-Request-Id": "r-1", "X-Region": "north"})


@pytest.mark.parametrize(
    ("script", "act", "expected"),
    [
        ((HEAD, "a", "b", done(usage=USAGE)), read, ("completed", 200, None, TOKENS)),
        ((HEAD, "a", gate("never")), break_off, ("closed", 200, None, None)),
        ((HEAD, "a", gate("never")), drop, ("closed", 200, None, None)),
        ((HEAD, "a", ending("stall")), fail, ("failed", 200, StreamTimeoutError, None)),
        ((HEAD, "a", error("NO_ROOM", "no room")), fail, ("failed", 200, StreamError, None)),
        ((status(401),), fail, ("failed", 401, AuthenticationError, None)),
        (("a",), never_begin, ("running", None, None, None)),
    ],
    ids=["completed", "left", "dropped", "timed out", "failed", "refused", "never begun"],
)
def test_a_report_shows_how_the_run_ended(
    style: Style, server: FakeAgentServer, script: Any, act: Any, expected: Any
) -> None:
    server.agent("a").always(*script)

    async def scenario() -> RunReport:
        client = style.client("a", base_url=server.url, timeout=SILENCE, max_retries=0, resume=False)
        stream = client.run_generic_stream("q")
        report: RunReport = stream.report
        await act(stream)
        del stream
        return report

    report = style.run(scenario)
    failure = None if report.error is None else type(report.error)
    assert expected == (report.outcome, report.status, failure, report.tokens)
    assert (act is never_begin) == (report.attempts == [])
    assert (act is never_begin) == (report.started_at is None)
    for attempt in report.attempts:
        assert (report.status, failure) == (attempt.status, attempt.error and type(attempt.error))
        assert attempt.started_at == 0.0
        assert (attempt.seconds is None) == (act is drop)
    if report.status == 200:
        assert ("r-1", "north") == (report.request_id, report.headers["x-region"])
        assert 0 < report.first_event_seconds <= report.first_chunk_seconds
    assert report.usage == (None if report.tokens is None else USAGE)


def test_a_cancelled_run_keeps_what_is_known(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always(HEAD, "a", gate("never"))

    async def scenario() -> RunReport:
        stream = style.client("a", base_url=server.url).run_generic_stream("q")
        assert "a" == await anext(stream)
        await cancel_soon(style, stream)
        report: RunReport = stream.report
        await stream.aclose()
        return report

    if style.name == "sync":
        pytest.skip("nothing cancels a thread")
    report = style.run(scenario)
    assert ("closed", 200, "r-1", None, 1) == (
        report.outcome,
        report.status,
        report.request_id,
        report.error,
        len(report.attempts),
    )
    assert report.total_seconds == report.attempts[0].seconds


async def cancel_soon(style: Style, stream: Any) -> None:
    if style.name == "trio":
        with trio.move_on_after(0.05):
            await anext(stream)
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.05)


def test_plain_runs_and_errors_have_a_report(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").returns_once("x", usage=USAGE).returns(status(503))

    async def scenario() -> tuple[Any, Any]:
        client = style.client("a", base_url=server.url, max_retries=1, retry_delay=0)
        result = await client.run_generic_with_metadata("q")
        with pytest.raises(RunAgentError) as caught:
            await client.run_generic("q")
        return result, caught.value

    result, refused = style.run(scenario)
    assert ("completed", 200, TOKENS) == (result.report.outcome, result.report.status, result.report.tokens)
    assert ("failed", 503, 2) == (refused.report.outcome, refused.report.status, len(refused.report.attempts))
    assert [AgentServerError] * 2 == [type(attempt.error) for attempt in refused.report.attempts]
    assert refused.report.run_id == refused.run_id != result.report.run_id


def test_attempts_have_their_times_on_the_clock_of_the_run() -> None:
    memory = MemoryNetwork()
    memory.agent("a").reply(delay(2), status(503)).reply(delay(1), status(429, retry_after=5)).always(
        delay(1), "x", delay(3), "y", delay(2), "z"
    )
    client = RunAgentClient(
        "a", base_url=memory.url, network=memory.blocking, retry_delay=0, timeout=Timeouts(first_event=10)
    )
    stream = client.run_generic_stream("q")
    assert "xyz" == stream.text()
    report = stream.report
    assert [(0, 2, 0, "backoff"), (2, 1, 5, "agent"), (8, 6, 0, None)] == [
        (round(a.started_at), round(a.seconds or 0), a.waited_seconds, a.waited_for) for a in report.attempts
    ]
    assert (3, 3.0, 14.0) == (
        report.gaps,
        round(report.longest_gap_seconds, 3),
        round(report.total_seconds or 0, 3),
    )


def test_gaps_count_the_reads_that_brought_events_and_not_heartbeats() -> None:
    memory = MemoryNetwork()
    memory.agent("a").always("x", delay(1), heartbeat(), delay(2), "y", delay(1), "z", delay(0.5))
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking)
    stream = client.run_generic_stream("q")
    stream.text()
    assert (3, 3.0) == (stream.report.gaps, round(stream.report.longest_gap_seconds, 3))


def test_a_report_is_one_line_and_json(server: FakeAgentServer) -> None:
    server.agent("a").reply(status(503)).always("x", done(usage=USAGE))
    stream = RunAgentClient("a", base_url=server.url, retry_delay=0).run_generic_stream("q")
    stream.text()
    report = stream.report
    line = str(report)
    assert line.isprintable()
    for fact in (report.run_id, "'a'", "completed", "over sse", "1 chunk", "1 retry", "7 in", "status 200"):
        assert fact in line
    facts = json.loads(json.dumps(report.as_dict()))
    assert set(facts) == {name for name in report.__struct_fields__ if name[0] != "_"} - {"headers"} | {
        "gaps",
        "retries",
    }
    assert ("AgentServerError", 503) == (
        facts["attempts"][0]["error"]["type"],
        facts["attempts"][0]["error"]["status"],
    )


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_what_is_known_of_a_run_can_be_copied(server: FakeAgentServer, duplicate: Any) -> None:
    server.agent("a").reply(status(503)).always("x", error("NO_ROOM", "no room"))
    stream = RunAgentClient("a", base_url=server.url, retry_delay=0).run_generic_stream("q")
    with pytest.raises(StreamError) as caught:
        stream.text()
    report = duplicate(stream.report)
    assert stream.report.as_dict() == report.as_dict()
    failure = duplicate(caught.value)
    assert stream.report.as_dict() == failure.report.as_dict()
    assert (str(caught.value), caught.value.run_id) == (str(failure), failure.run_id)


def test_a_report_keeps_no_frames_and_no_cycles(server: FakeAgentServer) -> None:
    server.agent("a").always("x", error("NO_ROOM", "no room"))
    stream = RunAgentClient("a", base_url=server.url).run_generic_stream("q")
    with pytest.raises(StreamError) as caught:
        stream.text()
    report = stream.report
    assert caught.value.report is report
    for kept in (report.error, report.attempts[0].error):
        assert kept is not None
        assert (None,) * 4 == (kept.report, kept.__traceback__, kept.__cause__, kept.__context__)
