"""What follows the failure of a step: before the run it may be taken again, after the stream nothing may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import AuthenticationError, Completed, RunAgentError, StreamError, StreamTruncatedError
from runagent.transports import HttpRequest, Step
from tests.support.peer import Peer, answers, http
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import Event, StepAnswer
    from tests.support.styles import Style

THREAD = http(200, {"thread": "t1"})
NO_LETTERS = http(200, "", content_type="text/plain")


class Stepping(LettersSession):
    """Makes a thread first, and asks for the run's status at its end."""

    def step(self, target: str) -> Step:
        return Step(HttpRequest("POST", target, self.call.request_headers(accept="*/*")))

    def before(self) -> Generator[Step, StepAnswer, None]:
        yield self.step("/threads")

    def end_body(self, proven: bool) -> list[Event]:
        self.follow(self.status_of_run())
        return []

    def status_of_run(self) -> Generator[Step, StepAnswer, list[Event]]:
        yield self.step("/status")
        return [Completed()]


def run(style: Style, *replies: tuple[bytes, ...], **options: Any) -> tuple[Any, list[tuple[str, str]]]:
    """Run once; return the report or the error, and target and key of each request."""

    async def scenario() -> Any:
        given = {"api_key": lambda: keys.pop(0), "max_retry_wait": 0, **options}
        async with style.client(
            "a", base_url=peer.url, transport=OwnTransport(session=Stepping), **given
        ) as client:
            stream = client.run_generic_stream("x")
            try:
                await stream.text()
            except RunAgentError as exc:
                return exc
            return stream.report

    keys = ["old", "new", "newer"]
    with Peer(*(answers(*each) for each in replies)) as peer:
        result = style.run(scenario)
        sent = [
            (each.target, each.headers["authorization"].removeprefix("Bearer ")) for each in peer.requests
        ]
    return result, sent


def test_a_key_that_a_step_refuses_is_asked_for_once_more(style: Style) -> None:
    first, second = (http(401, connection="close"),), (THREAD, NO_LETTERS, http(200, {}))
    report, sent = run(style, first, second)
    assert ("completed", 2) == (report.outcome, len(report.attempts))
    assert [("/threads", "old"), ("/threads", "new"), ("/letters", "new"), ("/status", "new")] == sent


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http(401, connection="close"), StreamError),
        (http(503, connection="close"), StreamError),
        (http(429, retry_after="0", connection="close"), StreamError),
        (b"", StreamTruncatedError),
    ],
    ids=["401", "503", "429", "cut"],
)
@pytest.mark.parametrize("unsafe", [False, True])
def test_a_run_whose_stream_is_over_is_not_repeated(
    style: Style, answer: bytes, kind: type, unsafe: bool
) -> None:
    error, sent = run(
        style, (THREAD, NO_LETTERS, answer), (THREAD, NO_LETTERS, http(200, {})), retry_unsafe=unsafe
    )
    assert ["/threads", "/letters", "/status"] == [target for target, _ in sent]
    assert (kind, 1, False) == (type(error), len(error.report.attempts), error.retryable)


def test_the_cause_of_such_a_failure_is_the_refusal(style: Style) -> None:
    error, _ = run(style, (THREAD, NO_LETTERS, http(401, {"error": {"message": "no", "code": "C"}})))
    assert (AuthenticationError, "no", "C") == (type(error.__cause__), error.message, error.code)
