"""Runs of several requests: steps before the run's own one and after the stream."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    NetworkError,
    PluginError,
    ProtocolError,
    RunAgentClient,
    RunAgentError,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
    Timeouts,
)
from runagent.transports import Chunk, Completed, HttpRequest, MessageSession, Step, Wants
from tests.support.peer import Peer, PeerConnection, answers, http, opens_websocket, sends, websocket_frame
from tests.support.sessions import feed
from tests.support.steps import LETTERS, THREAD, Thread, made, run
from tests.support.transports import LettersSession

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import Event, StepAnswer
    from tests.support.styles import Style

DOWN = http(502, "down", connection="close")


class Starting(Thread):
    """Begins the run on its step, behind another one, and reads it."""

    def before(self) -> Generator[Step, StepAnswer, None]:
        yield self.step("/models")
        answer = yield self.step("/threads", begins_run=True)
        self.thread = answer.json()["thread_id"]


class Readers(Thread):
    """Does the same with a list of steps and readers."""

    def before(self) -> list[Step]:  # type: ignore[override]
        return [self.step("/threads", read=self.read_thread)]

    def read_thread(self, answer: StepAnswer) -> None:
        self.thread = answer.json()["thread_id"]


class Status(LettersSession):
    """Asks for the run's status after the stream."""

    def end_body(self, proven: bool) -> list[Event]:
        self.follow(self.status_of_run())
        return []

    def status_of_run(self) -> Generator[Step, StepAnswer, list[Event]]:
        answer = yield Step(HttpRequest("GET", "/status", self.call.request_headers(accept="*/*")))
        status = answer.json()["status"]
        if status != "success":
            self.fail(StreamError(f"the run ended with {status}"))
        return [Completed(stop_reason=status)]


class ThreadOverWebSocket(MessageSession):
    """Makes a thread first, and runs on it over a WebSocket that ends with a Close frame."""

    def before(self) -> list[Step]:
        request = HttpRequest("POST", "/threads", self.call.request_headers(accept="*/*"))
        return [Step(request, read=self.read_thread)]

    def read_thread(self, answer: StepAnswer) -> None:
        self.thread = answer.json()["thread_id"]

    def make_target(self) -> str:
        return f"/threads/{self.thread}/socket"

    def read_message(self, message: str | bytes) -> list[Event]:
        return [Chunk(letter) for letter in str(message)]

    def closed(self, code: int, reason: str) -> list[Event]:
        return [Completed()]


class PlainOnThread(Thread):
    """Gives the whole answer of a run on a thread."""

    def read_body(self, data: bytes) -> list[Event]:
        return []


@pytest.mark.parametrize("session", [Thread, Readers])
def test_a_step_and_the_run_share_a_connection(style: Style, session: Any) -> None:
    with Peer(answers(THREAD, LETTERS)) as peer:
        [outcome] = run(style, peer.url, session)
        first, second = peer.requests
        assert (1, "ab") == (peer.connections, outcome.text)
    assert ("/threads", "/threads/t1/runs") == (first.target, second.target)
    assert ["Bearer secret"] * 2 == [r.headers["authorization"] for r in peer.requests]
    report = outcome.report
    assert [report.run_id + "-before-1", report.run_id] == [
        r.headers["idempotency-key"] for r in peer.requests
    ]
    assert (1, 200, "completed") == (len(report.attempts), report.status, report.outcome)


def test_a_step_whose_answer_closes_the_connection_is_followed_by_another_one(style: Style) -> None:
    thread = http(201, {"thread_id": "t1"}, connection="close")
    with Peer(answers(thread), answers(LETTERS)) as peer:
        [outcome] = run(style, peer.url, Thread)
        assert (2, "ab", 1) == (peer.connections, outcome.text, len(outcome.report.attempts))


def test_a_retry_takes_only_the_steps_whose_answers_were_not_kept(style: Style) -> None:
    busy = http(503, {"error": {"message": "busy"}})
    with Peer(answers(THREAD, busy, LETTERS), answers(LETTERS)) as peer:
        [outcome] = run(style, peer.url, Thread, max_retry_wait=0)
        assert ["/threads", "/threads/t1/runs", "/threads/t1/runs"] == [r.target for r in peer.requests]
        assert ("ab", 2) == (outcome.text, len(outcome.report.attempts))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Len", http(502, "down")])
def test_a_failed_step_is_repeated_as_it_cannot_have_begun_the_run(style: Style, answer: bytes) -> None:
    with Peer(answers(answer), answers(THREAD, LETTERS)) as peer:
        [outcome] = run(style, peer.url, Thread, max_retry_wait=0)
        assert ("ab", 2) == (outcome.text, len(outcome.report.attempts))
        assert 1 == len({r.headers["idempotency-key"] for r in peer.requests if r.target == "/threads"})


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Len", DOWN])
def test_a_failed_step_that_begins_the_run_is_not_repeated_unasked(style: Style, answer: bytes) -> None:
    with Peer(answers(THREAD, answer)) as peer:
        [error] = run(style, peer.url, Starting, max_retry_wait=0)
        assert ["/models", "/threads"] == [r.target for r in peer.requests]
    assert isinstance(error, NetworkError | StreamTruncatedError | AgentServerError)
    with Peer(answers(THREAD, answer), answers(THREAD, THREAD, LETTERS)) as peer:
        [outcome] = run(style, peer.url, Starting, max_retry_wait=0, retry_unsafe=True)
        assert ("ab", 2) == (outcome.text, len(outcome.report.attempts))


def test_a_failed_step_before_the_one_that_begins_the_run_is_repeated(style: Style) -> None:
    with Peer(answers(b""), answers(THREAD, THREAD, LETTERS)) as peer:
        [outcome] = run(style, peer.url, Starting, max_retry_wait=0)
        assert ("ab", 2) == (outcome.text, len(outcome.report.attempts))


def test_a_run_that_breaks_off_behind_its_steps_is_not_repeated(style: Style) -> None:
    with Peer(answers(THREAD, b"")) as peer:
        [error] = run(style, peer.url, Thread, max_retry_wait=0)
        assert ["/threads", "/threads/t1/runs"] == [r.target for r in peer.requests]
    assert isinstance(error, NetworkError)
    assert "retry_unsafe" in error.hint


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(200, {"id": "t1"}), "before could not use the answer.*KeyError"),
        (http(200, "[1]"), "before could not use the answer.*TypeError"),
        (http(200, "{"), "expected JSON"),
        (http(101, "", upgrade="x", connection="upgrade"), "switched to another protocol"),
        (http(302, "", location="http://127.0.0.1/"), "redirects"),
    ],
)
def test_an_answer_that_a_step_cannot_use_is_a_protocol_error(
    style: Style, answer: bytes, words: str
) -> None:
    with Peer(answers(answer)) as peer:
        [error] = run(style, peer.url, Thread)
        assert 1 == len(peer.requests)
    assert isinstance(error, ProtocolError)
    with pytest.raises(ProtocolError, match=words):
        raise error


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (404, AgentNotFoundError)])
def test_a_refused_step_is_a_refused_run(style: Style, status: int, kind: type[RunAgentError]) -> None:
    with Peer(answers(http(status, {"error": {"message": "no", "code": "NO"}}))) as peer:
        [error] = run(style, peer.url, Thread)
    assert (kind, "NO", status) == (type(error), error.code, error.report.status)


@pytest.mark.parametrize("status", [204, 404])
def test_a_step_gets_the_statuses_that_it_accepts(style: Style, status: int) -> None:
    class Accepting(Thread):
        def before(self) -> Generator[Step, StepAnswer, None]:
            answer = yield self.step("/threads", accept={404})
            self.thread = f"none-{answer.status}"

    with Peer(answers(http(status, connection="keep-alive"), LETTERS)) as peer:
        [outcome] = run(style, peer.url, Accepting)
        assert ("ab", f"/threads/none-{status}/runs") == (outcome.text, peer.requests[1].target)


def test_the_answer_to_a_step_is_decoded_and_limited(style: Style) -> None:
    body = gzip.compress(json.dumps({"thread_id": "t1", "more": "x" * 10_000}).encode())
    for limit, expected in [(20_000, "ab"), (5_000, StreamLimitError)]:
        with Peer(answers(http(200, body, content_encoding="gzip"), LETTERS)) as peer:
            [outcome] = run(style, peer.url, Thread, transport_options={"max_event_bytes": limit})
        assert expected in (getattr(outcome, "text", None), type(outcome))


def test_a_step_after_the_stream_ends_the_run(style: Style) -> None:
    for status, expected in [("success", "success"), ("error", "ended with error")]:
        with Peer(answers(LETTERS, http(200, {"status": status}))) as peer:
            [outcome] = run(style, peer.url, Status)
            assert 1 == peer.connections
        if status == "success":
            assert ("ab", expected) == (outcome.text, outcome.completed.stop_reason)
        else:
            assert isinstance(outcome, StreamError)
            assert ("ab", expected in outcome.message) == (outcome.partial_text, True)


def thread_then_socket(connection: PeerConnection) -> None:
    connection.read_request()
    connection.send(THREAD)
    opens_websocket(connection)
    connection.send(websocket_frame(b"ab") + websocket_frame(b"\x03\xe8", 8))
    connection.wait_gone()


def test_a_websocket_is_opened_behind_a_step_over_the_same_connection(style: Style) -> None:
    with Peer(thread_then_socket) as peer:
        [outcome] = run(style, peer.url, ThreadOverWebSocket)
        assert ("ab", 1) == (outcome.text, peer.connections)
        assert ["/threads", "/threads/t1/socket"] == [request.target for request in peer.requests]


def test_a_plain_run_takes_steps_as_well(style: Style) -> None:
    async def scenario() -> Any:
        client = style.client("a", base_url=peer.url, transport=made(PlainOnThread))
        result = await client.run_generic("x")
        await client.aclose()
        return result

    with Peer(answers(THREAD, LETTERS)) as peer:
        assert "all" == style.run(scenario)


@pytest.mark.parametrize("wrong", ["x", None, [], {"a": 1}])
def test_something_else_than_a_step_is_refused_with_the_name_of_the_hook(wrong: Any) -> None:
    class Wrong(Thread):
        def before(self) -> Any:
            return [wrong]

    with pytest.raises(PluginError, match="'steps' cannot send its request: before: expected a Step"):
        RunAgentClient("a", transport=made(Wrong), base_url="http://127.0.0.1:1").run_generic("x")


def test_no_steps_at_all_are_refused_if_they_are_none() -> None:
    class Forgotten(Thread):
        def before(self) -> Any:
            return None

    with pytest.raises(PluginError, match="before: expected an iterable of steps"):
        RunAgentClient("a", transport=made(Forgotten), base_url="http://127.0.0.1:1").run_generic("x")


def test_leaving_during_a_step_closes_its_generator(style: Style) -> None:
    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, transport=made(Thread))
        async with client.run_generic_stream("x"):
            Thread.left = False
        assert Thread.left
        await client.aclose()

    with Peer(sends()) as peer:
        style.run(scenario)


def test_time_to_the_first_event_runs_over_all_steps() -> None:
    client = RunAgentClient("a", transport=made(Thread), timeout=Timeouts(connect=5, first_event=10))
    attempt = client._new_run("stream", "x")
    attempt.begin_attempt(0.0)
    attempt.connected(1.0, reused=False)
    assert attempt.data_to_send()
    assert 10.0 == attempt.deadlines.read(0.0)
    attempt.received(http(200, {"thread_id": "t"}, connection="close"), 1.0, 7.0)
    attempt.begin_attempt(7.0)
    attempt.connected(8.0, reused=False)
    assert b"/threads/t/runs" in attempt.data_to_send()
    assert 11.0 == attempt.deadlines.read(8.0)  # 6 s for the step and 1 s for the second connection are spent
    attempt.timed_out(11.0, 3.0)
    assert "first_event" == getattr(attempt.error, "phase", None)
    attempt.abandon()


def test_a_service_has_accepted_nothing_during_steps() -> None:
    client = RunAgentClient("a", transport=made(Thread))
    attempt = client._new_run("stream", "x")
    attempt.begin_attempt(0.0)
    attempt.connected(0.0, reused=False)
    attempt.received(THREAD, 0.0, 0.0)
    assert not attempt.notes.accepted
    attempt.received(LETTERS[:-1], 0.0, 0.0)
    assert attempt.notes.accepted
    attempt.abandon()


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 16])
def test_steps_and_stream_are_read_in_pieces_of_any_size(size: int) -> None:
    client = RunAgentClient("a", transport=made(Thread))
    attempt = client._new_run("stream", "x")
    attempt.begin_attempt(0.0)
    session: Any = attempt.session
    asked = [session.data_to_send()]
    for answer in (THREAD, LETTERS):
        seen = feed(session, answer, step=size)
        asked.append(seen.sent)
    assert [b"POST /threads ", b"POST /threads/t1"] == [asked[0][:14], asked[1][:16]]
    assert ["a", "b"] == [getattr(event, "content", None) for event in seen.events[:2]]
    assert Wants.DONE is session.wants
