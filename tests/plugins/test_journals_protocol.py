"""A protocol whose runs outlive their readers: it passes the kit, its mutants do not; a handle reads on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Completed, ProtocolError, RunAgentError, Started, StreamError, StreamTruncatedError
from runagent_testing import (
    FakeAgentServer,
    custom,
    done,
    ending,
    error,
    raw,
    raw_response,
    status,
    tool_call,
)
from runagent_testing.conformance import TransportConformance, check_transport
from runagent_testing.dialects import Status
from tests.plugins.protocols.journals import JournalDialect, JournalSession, JournalTransport, place_of
from tests.support.kit import in_short
from tests.support.process import run_python
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent.transports import Event, HttpRequest, ServerSentEvent
    from runagent_testing.dialects import Request, RunRequest

TEXTS = ["Once", " upon", " a", " time", ", far", " away"]
USAGE = {"total_tokens": 7}
UNKNOWN = b"id: 1764000000001-99\nevent: note\ndata: {}\n\n"


class TestConformance(TransportConformance):
    requirements = 1
    styles = in_short("sync")

    @pytest.fixture
    def transport(self) -> JournalTransport:
        return JournalTransport()

    @pytest.fixture
    def dialects(self) -> list[JournalDialect]:
        return [JournalDialect()]

    @pytest.fixture
    def samples(self) -> dict[str, tuple[Any, ...]]:
        return {
            "all in one": (
                "Let me see. ",
                tool_call("look", {"at": "\U0001f98a"}, id="c1"),
                done(usage=USAGE),
            ),
            "an event of a later version": ("a", "b", "c", "d", raw(UNKNOWN)),
            "a failure": ("Once", custom("state", {"step": 1}), error("E1", "broken")),
        }


# Mutants: each has one mistake.


class ComparesNoIds(JournalSession):
    """Hands on whatever comes."""

    def check_place(self, event: ServerSentEvent, *, gives: bool) -> ProtocolError | None:
        super().check_place(event, gives=gives)
        return None


class SendsNoLastId(JournalSession):
    """Resumes without the place."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        request.headers[:] = [field for field in request.headers if field[0] != "Last-Event-ID"]
        return request


class AttachesToANewRun(JournalSession):
    """Starts a run in any case."""

    def known_run(self) -> str | None:
        return None


class LosesUsage(JournalSession):
    """Looks for the usage in the wrong place."""

    def read_end(self, body: dict[str, Any]) -> list[Event]:
        return super().read_end(body | {"usage": body.get("token_usage")})


class TakesACleanEndForTheEnd(JournalSession):
    """Ignores the event ``end``."""

    last: list[Event]

    def read_event(self, event: ServerSentEvent, events: list[Event]) -> RunAgentError | None:
        if event.event != "end":
            return super().read_event(event, events)
        self.ignore(event.event)
        return None

    def end_body(self, proven: bool) -> list[Event]:
        return [Completed(proven=proven)]


MUTANTS = [
    (ComparesNoIds, "run.resume-by-id"),
    (SendsNoLastId, "run.resume"),
    (AttachesToANewRun, "run.attach"),
    (LosesUsage, "session.usage"),
    (LosesUsage, "run.usage"),
    (TakesACleanEndForTheEnd, "session.truncated-by-framing"),
    (TakesACleanEndForTheEnd, "run.truncated"),
]


def kit(session: type[JournalSession], requirement: str) -> Any:
    transport = JournalTransport()
    transport.session = session
    return check_transport(
        transport,
        dialects=[JournalDialect()],
        only=[requirement],
        styles=["sync"],
        players=["memory"],
        requirements=1,
    )


@pytest.mark.parametrize(("mutant", "requirement"), MUTANTS)
def test_the_kit_catches_each_mutant(mutant: type[JournalSession], requirement: str) -> None:
    kit(JournalSession, requirement).check()
    assert [requirement] == [result.requirement.id for result in kit(mutant, requirement).failed]


# What is special about the protocol, end to end.


class FailingDialect(JournalDialect):
    """Leaves requests for a journal to ``on_request``.

    Attributes:
        failing: How many of the next ones.
        unknown: The status of a run that it does not know.
    """

    failing = 0
    unknown = 404

    def parse_request(self, request: Request) -> RunRequest | None:
        if self.failing and request.method == "GET":
            self.failing -= 1
            return None
        return super().parse_request(request)

    def unknown_run(self, run_request: RunRequest) -> Status:
        return Status(self.unknown, message="it is over")


@pytest.fixture
def dialect() -> FailingDialect:
    return FailingDialect()


@pytest.fixture
def server(dialect: FailingDialect) -> Iterator[FakeAgentServer]:
    with FakeAgentServer(dialects=[dialect]) as server:
        yield server


def client_of(style: Style, server: FakeAgentServer, **options: Any) -> Any:
    options = {"transport": JournalTransport(), "max_retry_wait": 0, "retry_delay": 0.001} | options
    return style.client("writer", base_url=server.url, **options)


def run(style: Style, server: FakeAgentServer, **options: Any) -> Any:
    """Run the agent once: the events of the stream and its report, or its error."""

    async def scenario() -> Any:
        async with client_of(style, server, **options) as client:
            stream = client.run_generic_stream("x")
            try:
                return [event async for event in stream.events()], stream.report
            except RunAgentError as exc:
                return exc

    return style.run(scenario)


def text_of(events: list[Any]) -> str:
    return "".join(event.content for event in events if hasattr(event, "content"))


def starts(server: FakeAgentServer) -> list[str]:
    """The idempotency keys of the requests that start a run."""
    return [other.headers["idempotency-key"] for other in server.other_requests if other.method == "POST"]


def test_a_run_is_started_and_then_read(style: Style, server: FakeAgentServer) -> None:
    server.agent("writer").reply(*TEXTS, done(usage=USAGE, stop_reason="stop"))
    events, report = run(style, server)
    assert Started(invocation_id="run-1") == events[0]
    assert ("".join(TEXTS), USAGE, "stop") == (text_of(events), events[-1].usage, events[-1].stop_reason)
    assert (1, 1) == (len(starts(server)), len(report.attempts))
    [exchange] = server.requests
    assert ("/runs/run-1/events", {"query": "x"}) == (exchange.path, exchange.input)


@pytest.mark.parametrize("read", range(len(TEXTS) + 1))
def test_a_broken_journal_is_read_on_behind_its_last_id(
    style: Style, server: FakeAgentServer, read: int
) -> None:
    server.agent("writer").reply(*TEXTS[:read], ending("cut")).reply(*TEXTS, done(usage=USAGE))
    events, report = run(style, server)
    assert ("".join(TEXTS), USAGE) == (text_of(events), events[-1].usage)
    assert 2 == len(report.attempts)
    first, second = (exchange.headers.get("last-event-id") for exchange in server.requests)
    assert (None, (read // 4, 8 + read % 4)) == (first, _place(second))
    assert 1 == len(starts(server))
    server.check()


def _place(event_id: str | None) -> tuple[int, int]:
    assert event_id is not None
    milliseconds, number = place_of(event_id)
    return milliseconds - 1_764_000_000_000, number


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\n"
DOWN = {
    "502": status(502),
    "503": status(503),
    "no answer": raw_response(b""),
    "half a head": raw_response(HEAD[:30]),
    "no event": raw_response(HEAD + b": hi\n\n"),
}


@pytest.mark.parametrize("how", DOWN)
def test_a_run_that_was_started_is_never_started_again(
    style: Style, server: FakeAgentServer, dialect: FailingDialect, how: str
) -> None:
    server.agent("writer").reply(*TEXTS)
    server.on_request("GET /runs/run-1/events", DOWN[how], times=2)
    dialect.failing = 2
    events, report = run(style, server)
    assert "".join(TEXTS) == text_of(events)
    assert (1, 3) == (len(starts(server)), len(report.attempts))
    server.check()


@pytest.mark.parametrize("answer", [raw_response(b""), status(502)], ids=repr)
def test_a_start_that_may_have_succeeded_is_repeated_only_if_allowed(
    style: Style, server: FakeAgentServer, answer: Any
) -> None:
    server.on_request("POST /runs", answer, times=2)
    server.agent("writer").reply(*TEXTS)
    failure = run(style, server)
    assert isinstance(failure, RunAgentError)
    assert (1, 0) == (len(starts(server)), len(server.requests))
    events, _ = run(style, server, retry_unsafe=True)
    assert "".join(TEXTS) == text_of(events)
    first, *others = starts(server)
    assert first not in others
    assert (2, 1) == (len(others), len(set(others)))  # the same run, to a service that knows its key
    server.check()


def test_a_refused_start_is_repeated(style: Style, server: FakeAgentServer) -> None:
    server.agent("writer").fails(2).reply(*TEXTS)
    events, report = run(style, server)
    assert ("".join(TEXTS), 3) == (text_of(events), len(report.attempts))


@pytest.mark.parametrize("code", [404, 410])
def test_a_run_that_is_gone_is_reported_as_gone(
    style: Style, server: FakeAgentServer, dialect: FailingDialect, code: int
) -> None:
    dialect.unknown = code
    server.agent("writer").reply("Once", ending("cut"))
    handle = _broken(style, server)
    server.clear()
    server.agent("writer").always("another run")
    assert "GONE" == _attached(style, server, handle).code
    assert [] == starts(server)
    server.on_request("GET /runs/run-1/events", status(code))
    dialect.failing = 1
    gone = run(style, server)
    assert isinstance(gone, StreamError)
    assert "GONE" == gone.code
    assert 1 == len(starts(server))


def _broken(style: Style, server: FakeAgentServer) -> str:
    """Run the agent until the stream breaks, and return its handle."""

    async def scenario() -> Any:
        async with client_of(style, server, max_retries=0) as client:
            stream = client.run_generic_stream("x")
            with pytest.raises(StreamTruncatedError):
                await stream.text()
            return stream.handle

    handle: str = style.run(scenario)
    return handle


def _attached(style: Style, server: FakeAgentServer, handle: str) -> Any:
    async def scenario() -> Any:
        async with client_of(style, server, max_retries=0) as client:
            with pytest.raises(StreamError) as caught:
                await client.attach(handle).text()
            return caught.value

    return style.run(scenario)


READER = """
import json, sys
from runagent import RunAgentClient
from tests.plugins.protocols.journals import JournalTransport

url, *handles = sys.argv[1:]
with RunAgentClient("writer", base_url=url, transport=JournalTransport()) as client:
    for handle in handles:
        stream = client.attach(handle)
        print(json.dumps([stream.text(), stream.report.usage]))
"""


def _handles(style: Style, server: FakeAgentServer) -> list[str]:
    """Break a run before each of its chunks, and at its end; script the rest of each."""
    reads = range(len(TEXTS) + 1)
    for read in reads:
        server.agent("writer").reply(*TEXTS[:read], ending("cut"))
    handles = [_broken(style, server) for _ in reads]
    for _ in reads:
        server.agent("writer").reply(*TEXTS, done(usage=USAGE))
    return handles


RESTS = [["".join(TEXTS[read:]), USAGE] for read in range(len(TEXTS) + 1)]


def test_who_has_a_handle_reads_exactly_the_rest(style: Style, server: FakeAgentServer) -> None:
    handles = _handles(style, server)

    async def scenario() -> Any:
        rests = []
        async with client_of(style, server) as client:
            for handle in handles:
                stream = client.attach(handle)
                rests.append([await stream.text(), stream.report.usage])
        return rests

    assert RESTS == style.run(scenario)
    assert len(RESTS) == len(starts(server))
    server.check()


def test_another_process_reads_exactly_the_rest(server: FakeAgentServer) -> None:
    handles = _handles(Style("asyncio"), server)
    assert RESTS == [json.loads(line) for line in run_python(READER, server.url, *handles).splitlines()]
    assert len(RESTS) == len(starts(server))
    server.check()


def test_an_attached_journal_that_breaks_is_read_on(style: Style, server: FakeAgentServer) -> None:
    agent = server.agent("writer")
    agent.reply(*TEXTS[:2], ending("cut")).reply(*TEXTS[:4], ending("cut")).reply(*TEXTS)
    handle = _broken(style, server)

    async def scenario() -> Any:
        async with client_of(style, server) as client:
            return await client.attach(handle).text()

    assert "".join(TEXTS[2:]) == style.run(scenario)
    assert 1 == len(starts(server))
    server.check()


@pytest.mark.parametrize("answer", [{}, {"run_id": 7}, {"run_id": ""}, {"run_id": ".."}, ["run-1"]], ids=repr)
def test_a_start_that_names_no_run_is_a_protocol_error(
    style: Style, server: FakeAgentServer, answer: Any
) -> None:
    server.agent("writer")
    server.on_request("POST /runs", status(202, body=answer))
    assert isinstance(run(style, server), ProtocolError)
    assert [] == server.requests
