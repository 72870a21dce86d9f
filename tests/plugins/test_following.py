"""Steps that take the place of a refused stream, events before a failure found by a step, late acceptance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import AgentError, AgentServerError, RunAgentClient, StreamError
from runagent.transports import Chunk, Completed, HttpRequest, Step
from tests.support.peer import Peer, answers, http
from tests.support.steps import LETTERS, made, run
from tests.support.transports import LettersSession

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent import RunAgentError
    from runagent.transports import Event, StepAnswer
    from tests.support.styles import Style

OVER = http(409, {"error": {"code": "OVER", "message": "the run is over"}})
CUT = http(409, {"error": {"code": "OVER"}}).replace(b"content-length: ", b"content-length: 9")


class Rest(LettersSession):
    """Asks for the rest of a run if its stream is refused, because the run is over."""

    refuses_inside = True

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        if status == 409 and not self.following:
            self.follow(self.ask_for_the_rest())
        return super().make_refusal(status, body)

    def ask_for_the_rest(self) -> Generator[Step, StepAnswer, list[Event]]:
        answer = yield Step(HttpRequest("GET", "/rest", self.call.request_headers(accept="*/*")))
        rest = answer.json()
        if rest.get("failed"):
            self.fail(StreamError("the run has failed"))
        return [Chunk(rest["text"]), Completed()]


def test_steps_can_take_the_place_of_a_refused_stream(style: Style) -> None:
    with Peer(answers(OVER, http(200, {"text": "ab"}))) as peer:
        [outcome] = run(style, peer.url, Rest)
        assert ("ab", 1, 1) == (outcome.text, len(outcome.report.attempts), peer.connections)
    assert ["/letters", "/rest"] == [request.target for request in peer.requests]


def test_they_do_so_too_if_the_body_of_the_refusal_is_cut(style: Style) -> None:
    with Peer(answers(CUT), answers(http(200, {"text": "ab"}))) as peer:
        [outcome] = run(style, peer.url, Rest)
        assert ("ab", 1, 2) == (outcome.text, len(outcome.report.attempts), peer.connections)


def test_a_refusal_of_such_a_step_is_the_failure_of_the_run(style: Style) -> None:
    with Peer(answers(OVER, OVER)) as peer:
        [outcome] = run(style, peer.url, Rest)
        assert (StreamError, 2) == (type(outcome), len(peer.requests))
    assert isinstance(outcome.__cause__, AgentError)
    assert "OVER" == outcome.__cause__.code


def test_another_refusal_is_that_of_the_run(style: Style) -> None:
    with Peer(answers(http(500, "down"))) as peer:
        [outcome] = run(style, peer.url, Rest)
    assert (AgentServerError, 1) == (type(outcome), len(peer.requests))


def test_events_that_a_step_has_found_precede_the_failure_that_it_reports(style: Style) -> None:
    with Peer(answers(OVER, http(200, {"text": "ab", "failed": True}))) as peer:
        [outcome] = run(style, peer.url, Rest)
    assert (StreamError, "the run has failed", "ab") == (
        type(outcome),
        outcome.message,
        outcome.partial_text,
    )


def test_a_service_that_refuses_inside_of_a_good_answer_has_accepted_with_the_first_event() -> None:
    attempt: Any = RunAgentClient("a", transport=made(Rest))._new_run("stream", "x")
    attempt.begin_attempt(0.0)
    attempt.connected(0.0, reused=False)
    head, body = LETTERS[:-2], LETTERS[-2:]
    attempt.received(head, 0.0, 0.0)
    assert not attempt.notes.accepted
    attempt.received(body, 0.0, 0.0)
    assert attempt.notes.accepted
    attempt.abandon()
