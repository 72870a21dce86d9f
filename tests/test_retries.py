"""What is tried again and what is not: DESIGN rules 2 and 3, in every style."""

from __future__ import annotations

import random
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentError,
    AgentServerError,
    NetworkError,
    ProtocolError,
    RateLimitError,
    RunAgentError,
    RunTimeoutError,
    StreamError,
    StreamTimeoutError,
    StreamTruncatedError,
)
from runagent.call import ResumePoint
from runagent.config import Timeouts
from runagent.policy import Deadlines, RetryPolicy
from tests.support.peer import Peer, PeerConnection, answers, http, ndjson, sse

if TYPE_CHECKING:
    from tests.support.styles import Style

DONE: tuple[str, Any] = ("done", {})
BUSY = http(503, {"error": {"message": "busy"}}, connection="close")


def chunk(index: int) -> tuple[str, Any]:
    return "chunk", {"content": f"{index} ", "index": index}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Let no run wait between its attempts, and note the bounds of every wait."""
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return 0.0

    monkeypatch.setattr(random, "uniform", uniform)
    return bounds


class Outcome:
    """What came of a run.

    Attributes:
        chunks: What was delivered before the end.
        error: How it ended, None for a good end.
        report: The run's report.
    """

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.error: Any = None
        self.report: Any = None


def run(style: Style, peer: Peer | str, *, times: int = 1, **options: Any) -> Outcome:
    """Run an agent, several times if asked, and tell of the last run."""

    async def scenario() -> Outcome:
        url = peer if isinstance(peer, str) else peer.url
        client = style.client("a", base_url=url, **options)
        for _ in range(times):
            outcome = Outcome()
            stream = client.run_generic_stream("x")
            try:
                async for content in stream:
                    outcome.chunks.append(content)
            except RunAgentError as exc:
                outcome.error = exc
            outcome.report = stream.report
        return outcome

    found: Outcome = style.run(scenario)
    return found


# Before anything was answered


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
    assert all("refused" in attempt.error for attempt in outcome.report.attempts)


def test_a_connect_that_fails_once_is_forgotten(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    import runagent.net.resolve as resolve

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


@pytest.mark.parametrize("status", [429, 503])
def test_busy_is_tried_again_with_the_same_idempotency_key(style: Style, transport: str, status: int) -> None:
    refusal = http(status, {"error": {"message": "busy"}}, retry_after="0", connection="close")
    with Peer(answers(refusal)) as peer:
        outcome = run(style, peer, transport=transport, max_retries=2)
        keys = {request.headers["idempotency-key"] for request in peer.requests}
        assert (3, 1) == (len(peer.requests), len(keys))
    assert (status, 0.0, 2) == (outcome.error.status, outcome.error.retry_after, outcome.report.retries)


def test_every_run_has_a_key_of_its_own(style: Style) -> None:
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
    assert [None] == [a.error for a in outcome.report.attempts if "Error" not in (a.error or "")]


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


@pytest.mark.parametrize(
    "answer",
    [http(500, connection="close"), http(502, connection="close"), b"", sse(), sse(end=False)],
    ids=str,
)
def test_unless_the_caller_says_that_it_is_safe(style: Style, answer: bytes) -> None:
    with Peer(answers(answer), answers(sse(chunk(0), DONE))) as peer:
        outcome = run(style, peer, retry_unsafe=True)
        assert 1 == len({request.headers["idempotency-key"] for request in peer.requests})
    assert (["0 "], None, 1) == (outcome.chunks, outcome.error, outcome.report.retries)


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


# A connection that was kept and has died


def dies_after_one_answer(how: str) -> Any:
    def act(connection: PeerConnection) -> None:
        connection.read_request()
        connection.send(sse(chunk(0), DONE))
        connection.read_request()  # the next run's, which is not answered
        if how == "reset":
            connection.reset()

    return act


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_kept_connection_that_dies_with_the_request_is_replaced_at_once(
    style: Style, how: str, waits: list[Any]
) -> None:
    with Peer(dies_after_one_answer(how), answers(sse(chunk(0), DONE))) as peer:
        outcome = run(style, peer, times=2, max_retries=0)
        assert 2 == peer.connections
        keys = [request.headers["idempotency-key"] for request in peer.requests]
    assert (["0 "], None, []) == (outcome.chunks, outcome.error, waits)
    assert [True, False] == [attempt.reused for attempt in outcome.report.attempts]
    assert keys[1] == keys[2] != keys[0]


def test_a_kept_connection_that_died_meanwhile_is_not_used(style: Style) -> None:
    with Peer(answers(sse(chunk(0), DONE))) as peer:
        outcome = run(style, peer, times=3)
        assert 3 == peer.connections
    assert (["0 "], None) == (outcome.chunks, outcome.error)


def test_a_kept_connection_that_answers_something_is_not_replaced(style: Style) -> None:
    def act(connection: PeerConnection) -> None:
        answers(sse(chunk(0), DONE))(connection)
        connection.read_request()
        connection.send(b"HTTP/1.1 2")

    with Peer(act) as peer:
        outcome = run(style, peer, times=2)
        assert 1 == peer.connections
    assert type(outcome.error) is StreamTruncatedError


# A stream that breaks


def test_a_broken_stream_goes_on_where_it_was(style: Style) -> None:
    parts = [sse(*map(chunk, range(at, at + 3)), end=False) for at in (0, 3, 6)]
    with Peer(*(answers(part) for part in parts), answers(sse(*map(chunk, range(9, 12)), DONE))) as peer:
        outcome = run(style, peer, max_retries=1)
        resumed = [request.json.get("parameters") for request in peer.requests]
        assert 4 == len({request.headers["idempotency-key"] for request in peer.requests})
    assert ([f"{i} " for i in range(12)], None) == (outcome.chunks, outcome.error)
    assert [None, *({"resume_from_index": i} for i in (3, 6, 9))] == resumed
    assert (4, 12) == (len(outcome.report.attempts), outcome.report.chunks)


def test_ndjson_resumes_as_well(style: Style) -> None:
    first = ndjson({"type": "start"}, {"type": "chunk", "content": "a", "index": 0}, end=False)
    second = ndjson({"type": "start"}, {"type": "chunk", "content": "b", "index": 1}, {"type": "done"})
    with Peer(answers(first), answers(second)) as peer:
        outcome = run(style, peer, transport="chunked")
    assert (["a", "b"], None) == (outcome.chunks, outcome.error)


def test_the_last_event_id_travels_as_well(style: Style) -> None:
    first = sse(b'id: 7\nevent: chunk\ndata: {"content": "a", "index": 0}\n\n', end=False)
    with Peer(answers(first), answers(sse(("chunk", {"content": "b", "index": 1}), DONE))) as peer:
        outcome = run(style, peer)
        assert "7" == peer.requests[1].headers["last-event-id"]
    assert ["a", "b"] == outcome.chunks


@pytest.mark.parametrize(
    ("event_id", "sent"),
    [
        ("caf\u00e9 \u2603", "caf\u00e9 \u2603"),  # as UTF-8
        *((event_id, None) for event_id in (" 7", "7 ", "a\tb", "a\x1b[2J", "\x7f", "\u2028", "x" * 1025)),
    ],
)
def test_an_event_id_that_no_header_can_carry_is_not_sent(
    style: Style, event_id: str, sent: str | None
) -> None:
    first = sse(f'id: {event_id}\nevent: chunk\ndata: {{"content": "a", "index": 0}}\n\n'.encode(), end=False)
    with Peer(answers(first), answers(sse(("chunk", {"content": "b", "index": 1}), DONE))) as peer:
        outcome = run(style, peer)
        field = peer.requests[1].headers.get("last-event-id")
    assert (["a", "b"], None) == (outcome.chunks, outcome.error)
    assert sent == (field and field.encode("latin-1").decode())


@pytest.mark.parametrize("first", [0, 1, 3, None])
def test_a_stream_that_goes_on_elsewhere_is_refused(style: Style, first: int | None) -> None:
    resumed = sse(("chunk", {"content": "z", "index": first}), DONE)
    with Peer(answers(sse(chunk(0), chunk(1), end=False)), answers(resumed)) as peer:
        outcome = run(style, peer)
        assert 2 == peer.connections
    assert (["0 ", "1 "], StreamError) == (outcome.chunks, type(outcome.error))
    assert "did not resume at chunk 2" in str(outcome.error)
    assert isinstance(outcome.error.__cause__, StreamTruncatedError)
    assert 2 == outcome.error.chunks_received


@pytest.mark.parametrize(
    ("stream", "options"),
    [
        (sse(chunk(0), end=False), {"resume": False}),
        (sse(("chunk", {"content": "0 "}), end=False), {}),
        (sse(b'id: 7\nevent: chunk\ndata: {"content": "0 "}\n\n', end=False), {}),
        (sse(chunk(0), ("error", {"error": "no", "code": "X"})), {}),
        (sse(chunk(0), b"event: chunk\ndata: {\n\n"), {}),
    ],
)
def test_what_proves_no_place_is_not_resumed(style: Style, stream: bytes, options: dict[str, Any]) -> None:
    with Peer(answers(stream)) as peer:
        outcome = run(style, peer, retry_unsafe=True, **options)
        assert 1 == peer.connections
    assert (["0 "], 1) == (outcome.chunks, len(outcome.report.attempts))
    assert isinstance(outcome.error, StreamError | ProtocolError)
    if isinstance(outcome.error, StreamError):
        assert 1 == outcome.error.chunks_received


def test_trust_resumes_by_id(style: Style) -> None:
    first = sse(b'id: 7\nevent: chunk\ndata: {"content": "a"}\n\n', end=False)
    with Peer(answers(first), answers(sse(("chunk", {"content": "b"}), DONE))) as peer:
        outcome = run(style, peer, resume="trust")
        assert "7" == peer.requests[1].headers["last-event-id"]
    assert (["a", "b"], None) == (outcome.chunks, outcome.error)


def test_trust_needs_an_id_that_can_be_sent(style: Style) -> None:
    stream = sse(b'id: a\tb\nevent: chunk\ndata: {"content": "a"}\n\n', end=False)
    with Peer(answers(stream)) as peer:
        outcome = run(style, peer, resume="trust")
        assert 1 == peer.connections
    assert (["a"], StreamTruncatedError) == (outcome.chunks, type(outcome.error))


def test_resuming_gives_up_after_max_retries_without_progress(style: Style) -> None:
    with Peer(answers(sse(chunk(0), end=False)), answers(sse(end=False))) as peer:
        outcome = run(style, peer, max_retries=2)
        assert 3 == peer.connections
    assert (["0 "], StreamTruncatedError) == (outcome.chunks, type(outcome.error))


@pytest.mark.parametrize(
    ("then", "code", "told"),
    [
        (b"", "NO_ANSWER", "without an answer"),
        (http(502, b"<html>Bad Gateway"), None, "502"),
        (http(401, {"error": {"message": "who?", "code": "EXPIRED_API_KEY"}}), "EXPIRED_API_KEY", "who?"),
    ],
    ids=["no answer", "a proxy's refusal", "the service's refusal"],
)
def test_a_stream_that_cannot_be_resumed_is_cut_short_whatever_stopped_it(
    style: Style, then: bytes, code: str | None, told: str
) -> None:
    with Peer(answers(sse(chunk(0), end=False)), answers(then)) as peer:
        outcome = run(style, peer, max_retries=1)
    assert (["0 "], StreamTruncatedError, code) == (outcome.chunks, type(outcome.error), outcome.error.code)
    assert 1 == outcome.error.chunks_received
    assert told in str(outcome.error)
    assert isinstance(outcome.error.__cause__, AgentError if then else NetworkError)


def test_a_refusal_on_the_way_is_waited_out(style: Style) -> None:
    with Peer(answers(sse(chunk(0), end=False)), answers(BUSY), answers(sse(chunk(1), DONE))) as peer:
        outcome = run(style, peer)
        assert {"resume_from_index": 1} == peer.requests[2].json["parameters"]
    assert (["0 ", "1 "], None) == (outcome.chunks, outcome.error)


@pytest.mark.parametrize("indexes", [(0, 2), (0, 1, 1), (0, 0)])
def test_a_gap_or_a_repeat_is_never_papered_over(style: Style, indexes: tuple[int, ...]) -> None:
    with Peer(answers(sse(*map(chunk, indexes), DONE))) as peer:
        outcome = run(style, peer, retry_unsafe=True)
        assert 1 == peer.connections
    assert type(outcome.error) is ProtocolError
    assert [f"{i} " for i in indexes[:-1]] == outcome.chunks


def test_a_stream_that_falls_silent_is_resumed(style: Style) -> None:
    def silent(connection: PeerConnection) -> None:
        connection.read_request()
        connection.send(sse(chunk(0), end=False))
        connection.wait_gone()

    with Peer(silent, answers(sse(chunk(1), DONE))) as peer:
        outcome = run(style, peer, timeout=Timeouts(idle=0.1))
    assert (["0 ", "1 "], None) == (outcome.chunks, outcome.error)
    assert "StreamTimeoutError" in outcome.report.attempts[0].error


def test_silence_before_the_first_event_is_not_tried_again(style: Style) -> None:
    def silent(connection: PeerConnection) -> None:
        connection.read_request()
        connection.wait_gone()

    with Peer(silent) as peer:
        outcome = run(style, peer, timeout=0.1, retry_unsafe=True)
        assert 1 == peer.connections
    assert (RunTimeoutError, "first_event") == (type(outcome.error), outcome.error.phase)
    assert not isinstance(outcome.error, StreamTimeoutError)


# The decisions themselves


def test_the_streams_own_wish_is_the_first_bound(waits: list[tuple[float, float]]) -> None:
    policy = RetryPolicy(delay=1.0, backoff=2.0, max_wait=60.0, max_retries=9)
    for failures in (1, 2, 9):
        policy.wait(failures, StreamTruncatedError("cut"), 3.0)
    policy.wait(9, StreamTruncatedError("cut"), None)
    assert [(0, 3.0), (0, 6.0), (0, 60.0), (0, 60.0)] == waits
    assert policy.wait(10, StreamTruncatedError("cut"), None) is None


def test_the_bound_stays_one_however_often_it_grows(waits: list[tuple[float, float]]) -> None:
    for delay in (1.0, 0.0):
        RetryPolicy(delay=delay, max_retries=10**6).wait(10**6, StreamTruncatedError("cut"), None)
    assert [(0, 60.0), (0, 0.0)] == waits


def test_total_timeouts_are_not_resumed() -> None:
    error, point = StreamTimeoutError("late", phase="total"), ResumePoint(3)
    assert RetryPolicy().resume_from(error, point, may_retry=False) is None
    idle = StreamTimeoutError("late", phase="idle")
    assert point == RetryPolicy().resume_from(idle, point, may_retry=False)


def test_the_nearest_limit_gives_the_phase() -> None:
    deadlines = Deadlines(Timeouts(connect=1, first_event=2, idle=3, progress=10, total=100), 1000.0)
    deadlines.begin_attempt()
    assert (1001.0, 1002.0, "first_event") == (
        deadlines.connect(1000.0),
        deadlines.read(1000.0),
        deadlines.phase(1002.0),
    )
    deadlines.received(0.0, events=True)
    assert (1003.0, "idle") == (deadlines.read(1000.0), deadlines.phase(1003.0))
    for _ in range(4):
        deadlines.received(2.0, events=False)
    assert (1002.0, "progress") == (deadlines.read(1000.0), deadlines.phase(1002.0))
    assert "total" == deadlines.phase(1100.0)
