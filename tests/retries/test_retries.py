"""What is tried again, and what is not."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentServerError, NetworkError, RateLimitError
from runagent._config.timeouts import Timeouts
from runagent._run.policy import RetryPolicy
from tests.retries.attempts import BUSY, DONE, chunk, run
from tests.support.peer import Peer, PeerConnection, answers, http, sse

if TYPE_CHECKING:
    from tests.support.styles import Style


def test_a_failed_connect_is_tried_again_with_full_jitter(
    style: Style, waits: list[tuple[float, float]]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        outcome = run(style, url, max_retries=3, retry_delay=0.5, retry_backoff=3.0, max_retry_wait=2.0)
    assert (NetworkError, "REFUSED") == (type(outcome.error), outcome.error.code)
    assert [(0, 0.5), (0, 1.5), (0, 2.0)] == waits
    assert (4, 3) == (len(outcome.report.attempts), outcome.report.retries)
    assert outcome.error.message.endswith("(after 4 attempts)")
    assert all("refused" in str(attempt.error) for attempt in outcome.report.attempts)


def test_a_connect_that_fails_once_is_forgotten(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    import runagent._net.resolve as resolve

    real, failures = resolve.candidates_from, [1]

    def candidates(found: list[Any]) -> Any:
        if failures:
            failures.pop()
            raise ConnectionRefusedError
        return real(found)

    monkeypatch.setattr(resolve, "candidates_from", candidates)
    with Peer(answers(sse(chunk(0), DONE))) as peer:
        outcome = run(style, peer)
    assert (["0 "], None, 1) == (outcome.chunks, outcome.error, outcome.report.retries)
    assert [True, False] == [attempt.error is not None for attempt in outcome.report.attempts]


def test_without_retries_the_first_failure_counts(style: Style) -> None:
    with Peer(answers(BUSY)) as peer:
        outcome = run(style, peer, max_retries=0)
        assert (AgentServerError, 1) == (type(outcome.error), peer.connections)
        assert "attempts" not in str(outcome.error)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_is_tried_again_with_the_same_idempotency_key(style: Style, transport: str, status: int) -> None:
    refusal = http(status, {"error": {"message": "busy"}}, retry_after="0", connection="close")
    with Peer(answers(refusal)) as peer:
        outcome = run(style, peer, transport=transport, max_retries=2)
        keys = {request.headers["idempotency-key"] for request in peer.requests}
        assert (3, 1) == (len(peer.requests), len(keys))
    assert (status, 0.0, 2) == (outcome.error.status, outcome.error.retry_after, outcome.report.retries)


def test_every_run_has_another_key(style: Style) -> None:
    stream = sse(chunk(0), DONE)
    with Peer(answers(stream, stream)) as peer:
        run(style, peer, times=2)
        assert 2 == len({request.headers["idempotency-key"] for request in peer.requests})


def test_a_refusal_may_pass(style: Style) -> None:
    with Peer(
        answers(BUSY), answers(http(429, connection="close", retry_after="0")), answers(sse(chunk(0), DONE))
    ) as peer:
        outcome = run(style, peer)
    assert (["0 "], None, 200) == (outcome.chunks, outcome.error, outcome.report.status)
    assert 3 == len(outcome.report.attempts)
    assert [None] == [a.error for a in outcome.report.attempts if a.error is None]


def test_a_retry_after_is_kept_to(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = RetryPolicy(max_wait=60)
    assert 30 == policy.wait(1, RateLimitError("busy", retry_after=30.0), None)
    with Peer(answers(http(429, retry_after="1", connection="close")), answers(sse(chunk(0), DONE))) as peer:
        outcome = run(style, peer)
    assert 1.0 == outcome.report.attempts[0].waited_seconds
    assert 1.0 <= outcome.report.total_seconds


def test_a_retry_after_that_is_too_long_is_raised_at_once(style: Style) -> None:
    with Peer(answers(http(429, retry_after="61"))) as peer:
        outcome = run(style, peer)
        assert 1 == peer.connections
    assert (RateLimitError, 61.0, 0) == (
        type(outcome.error),
        outcome.error.retry_after,
        outcome.report.retries,
    )


def test_a_wait_beyond_the_total_is_not_begun(style: Style) -> None:
    with Peer(answers(http(429, retry_after="30"))) as peer:
        outcome = run(style, peer, timeout=Timeouts(total=20))
    assert (RateLimitError, 0) == (type(outcome.error), outcome.report.retries)


def test_nor_is_one_that_the_attempt_has_left_no_time_for(style: Style) -> None:
    def act(connection: PeerConnection) -> None:
        connection.read_request()
        hold.wait(0.4)
        connection.send(http(503, retry_after="1"))

    hold = threading.Event()  # never set: the agent takes its time
    with Peer(act) as peer:
        outcome = run(style, peer, timeout=Timeouts(total=1.2))
        assert 1 == peer.connections
    assert (AgentServerError, 503) == (type(outcome.error), outcome.error.status)


@pytest.mark.parametrize(
    "answer", [http(500), http(502), http(504), b"", sse(), sse(end=False), http(200, "{}")[:-1]], ids=str
)
def test_what_the_agent_may_have_begun_is_not_tried_again(style: Style, answer: bytes) -> None:
    with Peer(answers(answer)) as peer:
        outcome = run(style, peer)
        assert (1, 0) == (peer.connections, outcome.report.retries)
    assert outcome.error is not None
    broke = answer in (b"", sse(), sse(end=False))  # of a refusal the message is the service's
    assert broke == ("retry_unsafe=True" in outcome.error.hint)


@pytest.mark.parametrize(
    "answer",
    [http(500, connection="close"), http(502, connection="close"), b"", sse(), sse(end=False)],
    ids=str,
)
def test_unless_the_caller_declares_it_safe(style: Style, answer: bytes) -> None:
    with Peer(answers(answer), answers(sse(chunk(0), DONE))) as peer:
        outcome = run(style, peer, retry_unsafe=True)
        assert 1 == len({request.headers["idempotency-key"] for request in peer.requests})
    assert (["0 "], None, 1) == (outcome.chunks, outcome.error, outcome.report.retries)
    assert "not tried again" not in str(outcome.report.attempts[0].error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 501, 505])
def test_a_clear_no_is_never_tried_again(style: Style, status: int) -> None:
    with Peer(answers(http(status))) as peer:
        outcome = run(style, peer, retry_unsafe=True)
        assert (status, 1) == (outcome.error.status, peer.connections)


def test_a_certificate_is_not_tried_again() -> None:
    policy = RetryPolicy(unsafe=True)
    for code in ("CERTIFICATE", "TLS", "DNS", "PROXY_407"):
        assert not RetryPolicy().may_retry(NetworkError("no", code=code), connected=False)
    assert policy.may_retry(NetworkError("no", code="DNS_TEMPORARY"), connected=False)
