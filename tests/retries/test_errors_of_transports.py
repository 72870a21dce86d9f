"""Failures that a transport reports itself: after a chunk, and in a first event that permits another try."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AuthenticationError,
    NetworkError,
    RateLimitError,
    RunAgentError,
    StreamError,
    StreamTruncatedError,
    register_observer,
)
from runagent_testing import status
from tests.support.failing import failure
from tests.support.peer import Peer, answers, http
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from runagent import AgentCall, Attempt
    from runagent.transports import Event
    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style


class Failing(LettersSession):
    """Reports an error after the first letters."""

    reported: RunAgentError

    def read_body(self, data: bytes) -> list[Event]:
        self.fail(self.reported)
        return super().read_body(data)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (AuthenticationError("expired", code="C", details=[1]), StreamError, "expired"),
        (RateLimitError("slow down", code="C", details=[1], retry_after=9), StreamError, "slow down"),
        (
            NetworkError("it broke", code="C", details=[1]),
            StreamTruncatedError,
            "the stream was cut short: it broke",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_refusal_after_a_chunk_is_the_failure_of_the_run(
    style: Style, error: RunAgentError, kind: type, message: str
) -> None:
    session = type("Failed", (Failing,), {"reported": copy.copy(error)})
    answer = http(200, "ab", content_type="text/plain", connection="close")
    with Peer(answers(answer)) as peer:
        failed = failure(
            style, "a", base_url=peer.url, transport=OwnTransport(session=session), api_key=lambda: "key"
        )
    assert (kind, message, "C", [1], 2) == (
        type(failed),
        failed.message,
        failed.code,
        failed.details,
        failed.chunks_received,
    )
    assert type(error) is type(failed.__cause__)
    assert getattr(error, "retry_after", None) == failed.retry_after


def test_a_first_event_may_report_that_the_run_may_be_repeated(style: Style) -> None:
    class Overloaded(LettersSession):
        def read_body(self, data: bytes) -> list[Event]:
            if data == b"!":
                self.fail(StreamError("overloaded", retryable=True, retry_after=0.0))
                return []
            return super().read_body(data)

    replies = [http(200, body, content_type="text/plain", connection="close") for body in ("!", "ab")]

    async def scenario() -> tuple[str, Any]:
        client = style.client("w", base_url=peer.url, transport=OwnTransport(session=Overloaded))
        stream = client.run_generic_stream("x")
        return await stream.text(), stream.report

    with Peer(*map(answers, replies)) as peer:
        text, report = style.run(scenario)
    assert ("ab", 2, "agent") == (text, len(report.attempts), report.attempts[0].waited_for)


def test_the_error_of_each_attempt_shows_whether_to_try_again(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").reply(status(503, retry_after=0)).always(status(500))
    seen: list[tuple[int | None, bool]] = []

    class Watch:
        def attempt_ended(self, attempt: Attempt) -> None:
            seen.append((attempt.status, attempt.error is not None and attempt.error.retryable))

    class Observer:
        def observe_call(self, call: AgentCall) -> Watch:
            return Watch()

    with register_observer(Observer()):
        failed = failure(style, "a", base_url=server.url, max_retries=1)
    assert [(503, True), (500, False)] == seen
    assert [True, False] == [attempt.error.retryable for attempt in failed.report.attempts]
