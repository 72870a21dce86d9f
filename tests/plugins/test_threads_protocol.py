"""A protocol like LangGraph's: it passes the kit, its mutants do not, and its own ways work in each style."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentServerError,
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    Reasoning,
    RunAgentError,
    Started,
    StreamError,
    StreamTruncatedError,
    ToolCall,
    ValidationError,
)
from runagent_testing import FakeAgentServer, custom, done, ending, error, raw, reasoning, status, tool_call
from runagent_testing.conformance import TransportConformance, check_transport
from tests.plugins.protocols.threads import ThreadsSession, ThreadsTransport, ToolCalls
from tests.plugins.protocols.threads_dialect import ThreadsDialect, sse
from tests.support.kit import in_short

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runagent.transports import AgentCall, Event, ResumePoint, Route, ServerSentEvent
    from tests.support.styles import Style

CITY = "Malm\u00f6 \U0001f98a"


def pieces(*messages: dict[str, Any]) -> bytes:
    """Write tool calls as the test wants them cut; JSON escapes halves of an emoji."""
    return b"".join(f"event: tools\r\ndata: {json.dumps(message)}\r\n\r\n".encode() for message in messages)


TWO_CALLS = pieces(
    {"id": "c1", "name": "weather", "index": 0, "arguments": '{"city": "Malm\u00f6 \ud83e'},
    {"id": "c2", "name": "time", "index": 1, "arguments": ""},
    {"index": 0, "arguments": '\udd8a"'},
    {"index": 1, "arguments": "{}", "last": True},
    {"index": 0, "arguments": "}", "last": True},
)
CUT_CALL = pieces({"id": "c1", "name": "weather", "index": 0, "arguments": "{"})
WEATHER = ToolCall("c1", "weather", f'{{"city": "{CITY}"}}', 0)
TIME = ToolCall("c2", "time", "{}", 1)


class TestConformance(TransportConformance):
    requirements = 1
    styles = in_short("sync")

    @pytest.fixture
    def transport(self) -> ThreadsTransport:
        return ThreadsTransport()

    @pytest.fixture
    def dialects(self) -> list[ThreadsDialect]:
        return [ThreadsDialect()]

    @pytest.fixture
    def samples(self) -> dict[str, tuple[Any, ...]]:
        return {
            "two calls at once": (reasoning("Let me see. "), raw(TWO_CALLS), "It rains."),
            "an interruption": (
                "May I? ",
                done(usage={"total_tokens": 3}, interrupts=[{"value": "approve"}]),
            ),
            "a failure": ("Once", tool_call("look", {"at": CITY}, id="c1"), error("E1", "broken")),
        }


# Mutants: each has one mistake.


class CutsArguments(ThreadsSession):
    """Hands a tool call out with the first piece of its arguments only."""

    def read_event(self, event: ServerSentEvent, value: Any) -> list[Event]:
        events = super().read_event(event, value)
        return [
            ToolCall(e.id, e.name, e.arguments[:7], e.index) if isinstance(e, ToolCall) else e for e in events
        ]


class LosesUsage(ThreadsSession):
    """Looks for the usage where the status is."""

    def completed(self, run: Mapping[str, Any], proven: bool) -> Completed:
        self.usage = run.get("usage")
        return super().completed(run, proven)


class DropsReasoning(ThreadsSession):
    """Takes reasoning for an event that it need not know."""

    def read_thought(self, text: str, id: str | None) -> list[Event]:
        self.ignore("event thinking")
        return []


class GathersAnything(ThreadsSession):
    """Gathers tool calls without a bound."""

    def make_tool_calls(self) -> ToolCalls:
        return ToolCalls(1 << 60)


class AsksForNoStatus(ThreadsSession):
    """Takes the clean end of the body for success."""

    def end_body(self, proven: bool) -> list[Event]:
        return [self.completed({}, proven)]


class MakesASecondThread(ThreadsSession):
    """Forgets in a retry that there is a thread."""

    def make_thread(self) -> Any:
        self.call.found.forget("thread")
        return super().make_thread()


MUTANTS = [
    (CutsArguments, "session.other-events"),
    (LosesUsage, "session.usage"),
    (DropsReasoning, "session.other-events"),
    (GathersAnything, "session.samples-limit"),
    (AsksForNoStatus, "session.truncated-by-framing"),
    (AsksForNoStatus, "run.truncated"),
    (MakesASecondThread, "run.steps-kept"),
]


class Mutant(ThreadsTransport):
    """A transport whose sessions have a mistake."""

    def __init__(self, session: type[ThreadsSession]) -> None:
        self.session = session

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> ThreadsSession:
        return self.session(call, route, resume)


def statuses(
    transport: ThreadsTransport, requirement: str, dialect: type[ThreadsDialect] = ThreadsDialect
) -> set[str]:
    report = check_transport(
        transport,
        dialects=[dialect()],
        requirements=1,
        styles=["sync"],
        players=["memory"],
        only=[requirement],
    )
    return {result.status for result in report.results}


@pytest.mark.parametrize(("mutant", "requirement"), MUTANTS)
def test_a_mutant_is_caught_by_the_requirement_meant_for_it(
    mutant: type[ThreadsSession], requirement: str
) -> None:
    assert statuses(Mutant(mutant), requirement) == {"failed"}
    assert statuses(ThreadsTransport(), requirement) == {"passed"}


class TinyPieces(ThreadsDialect):
    """Writes much framing around little of a tool call."""

    piece = 2


def test_a_limit_of_tool_calls_counts_no_framing_of_pieces() -> None:
    requirement = "session.samples-limit"
    assert statuses(ThreadsTransport(), requirement, TinyPieces) == {"passed"}
    assert statuses(Mutant(GathersAnything), requirement, TinyPieces) == {"failed"}


# What is special about it, in each style.


@pytest.fixture
def service() -> Iterator[FakeAgentServer]:
    with FakeAgentServer(dialects=[ThreadsDialect()], api_key="secret") as server:
        yield server


def read(style: Style, service: FakeAgentServer, *calls: Any, **options: Any) -> list[Any]:
    """Run the agent once for each ``session_id``; return the events, and what was raised behind them."""

    async def scenario() -> list[Any]:
        shown = []
        options.setdefault("retry_delay", 0.001)
        async with style.client(
            "writer", base_url=service.url, api_key="secret", transport=ThreadsTransport(), **options
        ) as client:
            for session in calls or (None,):
                events: list[Any] = []
                shown.append(events)
                try:
                    stream = client.run_generic_stream("Tell me a story", session_id=session)
                    async for event in stream.events():
                        events.append(event)  # noqa: PERF401 - what came before an error counts
                except RunAgentError as exc:
                    events.append(exc)
        return shown

    result: list[Any] = style.run(scenario)
    return result


def asked(service: FakeAgentServer) -> list[str]:
    """Return all requests around runs, with ``RUN`` in place of the runs' ids."""
    lines = []
    for exchange in service.other_requests:
        head, _, last = exchange.path.rpartition("/")
        lines.append(f"{exchange.method} {head}/{'RUN' if head.endswith('/runs') else last}")
    return lines


def test_a_run_makes_a_thread_first_and_asks_for_its_status_at_the_end(
    style: Style, service: FakeAgentServer
) -> None:
    service.agent("writer").always("Once", " upon", done(usage={"total_tokens": 4}, stop_reason="stop"))
    [[started, *rest]] = read(style, service)
    assert (Started, "thread-1") == (type(started), started.session_id)
    assert [Chunk("Once"), Chunk(" upon"), Completed(usage={"total_tokens": 4}, stop_reason="stop")] == rest
    assert ["POST /threads", "GET /threads/thread-1/runs/RUN"] == asked(service)
    assert f"/threads/thread-1/runs/{started.invocation_id}" == service.other_requests[-1].path
    [run] = service.requests
    assert "/threads/thread-1/runs/stream" == run.path
    every = [*service.requests, *service.other_requests]
    assert {("secret", None)} == {
        (e.raw_headers["x-api-key"], e.raw_headers.get("authorization")) for e in every
    }
    assert {1} == {exchange.connection for exchange in every}


def test_a_conversation_goes_on_with_its_thread(style: Style, service: FakeAgentServer) -> None:
    service.agent("writer").always("Once")
    first, second = read(style, service, "a/b?", "thread-7")
    assert ["a/b?", "thread-7"] == [first[0].session_id, second[0].session_id]
    assert ["GET /threads/a%2Fb%3F/runs/RUN", "GET /threads/thread-7/runs/RUN"] == asked(service)


@pytest.mark.parametrize("session", [".", "..", "", "a\nb"])
def test_a_session_id_that_leads_elsewhere_is_refused_before_anything_is_sent(
    style: Style, service: FakeAgentServer, session: str
) -> None:
    [[refused]] = read(style, service, session)
    assert isinstance(refused, ValidationError)
    assert ([], []) == (service.requests, asked(service))


@pytest.mark.parametrize("thread", ["..", "", "\ud800", 5, None, {"id": "x"}])
def test_a_thread_id_that_is_none_is_a_protocol_error(
    style: Style, service: FakeAgentServer, thread: Any
) -> None:
    service.on_request("POST /threads", status(200, body={"thread_id": thread}))
    [[broken]] = read(style, service)
    assert isinstance(broken, ProtocolError)
    assert [] == service.requests


def test_an_interrupted_run_is_complete_and_has_its_interrupts(
    style: Style, service: FakeAgentServer
) -> None:
    service.agent("writer").always("May I? ", done(interrupts=[{"value": "approve", "id": "i1"}]))
    [[*_, completed]] = read(style, service)
    assert Completed(interrupts=[{"value": "approve", "id": "i1"}]) == completed


def test_a_run_that_failed_is_known_by_its_status_only(style: Style, service: FakeAgentServer) -> None:
    service.agent("writer").always("Once", error("GraphRecursionError", "25 steps"))
    [[_, chunk, failed]] = read(style, service)
    assert Chunk("Once") == chunk
    assert (StreamError, "GraphRecursionError", "25 steps") == (type(failed), failed.code, failed.message)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(("Once", ending("no-done")), id="the run goes on"),
        pytest.param(
            ("Once", raw(pieces({"id": "c", "name": "f", "index": 0, "arguments": "{"}))), id="in a call"
        ),
        pytest.param(("Once", raw(b"event: messages\r\ndata: {}\r\n")), id="in an event"),
    ],
)
def test_a_clean_end_of_the_body_alone_is_no_good_end(
    style: Style, service: FakeAgentServer, script: Any
) -> None:
    service.agent("writer").always(*script)
    [[_, chunk, broken]] = read(style, service)
    assert (Chunk("Once"), StreamTruncatedError) == (chunk, type(broken))


def test_a_status_that_cannot_be_had_fails_the_run_and_repeats_nothing(
    style: Style, service: FakeAgentServer
) -> None:
    service.agent("writer").always("Once")
    service.on_request("GET /threads/*/runs/*", status(503, message="later"), times=1)
    [[_, chunk, failed]] = read(style, service, "t")
    assert (Chunk("Once"), StreamError, AgentServerError) == (chunk, type(failed), type(failed.__cause__))
    assert (1, 1) == (len(service.requests), len(service.other_requests))


def test_a_retry_runs_on_the_thread_that_was_made(style: Style, service: FakeAgentServer) -> None:
    service.agent("writer").fails(2).always("Once")
    [[started, *rest]] = read(style, service)
    assert ("thread-1", Chunk("Once")) == (started.session_id, rest[0])
    assert ["/threads/thread-1/runs/stream"] * 3 == [exchange.path for exchange in service.requests]
    assert ["POST /threads", "GET /threads/thread-1/runs/RUN"] == asked(service)


def test_a_thread_that_cannot_be_made_at_once_is_asked_for_again(
    style: Style, service: FakeAgentServer
) -> None:
    service.agent("writer").always("Once")
    service.on_request("POST /threads", status(500), times=2)
    [[started, *_]] = read(style, service)
    assert "thread-1" == started.session_id
    assert 1 == len(service.requests)
    keys = {e.headers["idempotency-key"] for e in service.other_requests if e.path == "/threads"}
    assert 1 == len(keys)


def test_everything_that_is_not_content_arrives_whole_and_in_its_place(
    style: Style, service: FakeAgentServer
) -> None:
    halves = raw(sse("thinking", {"text": "a \ud83e"}) + sse("thinking", {"text": "\udd8a"}))
    service.agent("writer").always(
        reasoning("Let me see.", id="r1"), halves, raw(TWO_CALLS), custom("state", {"step": 1}), "It rains."
    )
    [[_, *events, completed]] = read(style, service)
    thoughts = [Reasoning("Let me see.", "r1"), Reasoning("a "), Reasoning("\U0001f98a")]
    assert [*thoughts, TIME, WEATHER, Custom("state", {"step": 1}), Chunk("It rains.")] == events
    assert Completed() == completed
