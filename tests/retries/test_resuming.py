"""Streams that break, and where they go on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentError,
    NetworkError,
    ProtocolError,
    RunTimeoutError,
    StreamError,
    StreamTimeoutError,
    StreamTruncatedError,
    ToolCall,
)
from runagent._call import NOT_RESUMED
from runagent._config.timeouts import Timeouts
from tests.retries.attempts import BUSY, DONE, chunk, run
from tests.support.peer import Peer, PeerConnection, answers, http, ndjson, sse

if TYPE_CHECKING:
    from tests.support.styles import Style


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


@pytest.mark.parametrize("resume", [True, "trust"])
def test_half_an_emoji_is_never_lost(style: Style, resume: Any) -> None:
    """The reader has not been given the half yet, and the rest of the stream does not have it."""
    first = sse(("chunk", {"content": "a\ud83d", "index": 0}), end=False)
    with Peer(answers(first), answers(sse(("chunk", {"content": "\ude00b", "index": 1}), DONE))) as peer:
        outcome = run(style, peer, resume=resume)
        assert 1 == peer.connections
    assert (["a"], StreamTruncatedError) == (outcome.chunks, type(outcome.error))


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


@pytest.mark.parametrize(("total", "whole"), [(None, True), (2, True), (0, True), (1, False), (3, False)])
def test_the_end_alone_resumes_a_stream_unless_it_counts_other_chunks(
    style: Style, total: int | None, whole: bool
) -> None:
    end: dict[str, Any] = {"type": "status", "status": "stream_completed", "total_chunks": total}
    first = ndjson(
        {"type": "start"}, *({"type": "chunk", "content": "a", "index": i} for i in range(2)), end=False
    )
    with Peer(answers(first), answers(ndjson({"type": "start"}, end))) as peer:
        outcome = run(style, peer, transport="chunked")
    assert ["a", "a"] == outcome.chunks
    assert (None if whole else NOT_RESUMED) == getattr(outcome.error, "code", None)
    if not whole:
        assert f"did not resume at chunk 2 but ended after {total}" in outcome.error.message


@pytest.mark.parametrize("first", [0, 1, 3, None])
def test_a_stream_that_goes_on_elsewhere_is_refused(style: Style, first: int | None) -> None:
    resumed = sse(("chunk", {"content": "z", "index": first}), DONE)
    with Peer(answers(sse(chunk(0), chunk(1), end=False)), answers(resumed)) as peer:
        outcome = run(style, peer)
        assert 2 == peer.connections
    assert (["0 ", "1 "], StreamError) == (outcome.chunks, type(outcome.error))
    assert "did not resume at chunk 2" in str(outcome.error)
    assert "(the stream had broken before: " in outcome.error.message
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
    ("then", "code", "message"),
    [
        (b"", "NO_ANSWER", "without an answer"),
        (http(502, b"<html>Bad Gateway"), None, "502"),
        (http(401, {"error": {"message": "who?", "code": "EXPIRED_API_KEY"}}), "EXPIRED_API_KEY", "who?"),
    ],
    ids=["no answer", "a proxy's refusal", "the service's refusal"],
)
def test_a_stream_that_cannot_be_resumed_is_cut_short_whatever_stopped_it(
    style: Style, then: bytes, code: str | None, message: str
) -> None:
    with Peer(answers(sse(chunk(0), end=False)), answers(then)) as peer:
        outcome = run(style, peer, max_retries=1)
    assert (["0 "], StreamTruncatedError, code) == (outcome.chunks, type(outcome.error), outcome.error.code)
    assert 1 == outcome.error.chunks_received
    assert message in str(outcome.error)
    cut = outcome.report.attempts[0].error.message
    assert outcome.error.message.startswith(f"the stream was cut short ({cut}), and could not be resumed: ")
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
    assert isinstance(outcome.report.attempts[0].error, StreamTimeoutError)


def test_silence_before_the_first_event_is_not_tried_again(style: Style) -> None:
    def silent(connection: PeerConnection) -> None:
        connection.read_request()
        connection.wait_gone()

    with Peer(silent) as peer:
        outcome = run(style, peer, timeout=0.1, retry_unsafe=True)
        assert 1 == peer.connections
    assert (RunTimeoutError, "first_event") == (type(outcome.error), outcome.error.phase)
    assert not isinstance(outcome.error, StreamTimeoutError)


@pytest.mark.parametrize(
    "name_and_data",
    [
        ("reasoning", {"text": "hm"}),
        ("tool_call", {"name": "pay", "arguments": "{}"}),
        ("custom", {"name": "state", "value": 1}),
    ],
    ids=lambda event: event[0],
)
def test_what_a_reader_has_seen_is_never_repeated(style: Style, name_and_data: tuple[str, Any]) -> None:
    for before in ([], [chunk(0)]):
        cut = sse(("start", {}), *before, name_and_data, end=False)
        with Peer(answers(cut), answers(sse(chunk(0), DONE))) as peer:
            outcome = run(style, peer, retry_unsafe=True, resume=True)
        assert (StreamTruncatedError, 1) == (type(outcome.error), len(outcome.report.attempts))


def test_a_call_of_a_tool_before_the_proof_of_the_place_is_not_handed_out(style: Style) -> None:
    call = ("tool_call", {"name": "pay", "arguments": "{}"})
    again = sse(call, chunk(0), DONE)  # from the beginning, though the rest was asked for
    with Peer(answers(sse(chunk(0), end=False)), answers(again)) as peer:
        assert [] == events_of(style, peer, ToolCall)
    proven = sse(call, chunk(1), DONE)
    with Peer(answers(sse(chunk(0), end=False)), answers(proven)) as peer:
        assert [ToolCall(None, "pay", "{}")] == events_of(style, peer, ToolCall)


def events_of(style: Style, peer: Peer, kind: type) -> list[Any]:
    events: list[Any] = []

    async def scenario() -> list[Any]:
        client = style.client("a", base_url=peer.url, transport="sse", retry_delay=0)
        with contextlib.suppress(StreamError):
            async for event in client.run_generic_stream("q").events():
                events.append(event)  # noqa: PERF401  # what came before an error has to stay
        return [event for event in events if isinstance(event, kind)]

    found: list[Any] = style.run(scenario)
    return found
