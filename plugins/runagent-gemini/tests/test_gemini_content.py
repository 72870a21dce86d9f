"""What the pieces of an answer mean, and how answers end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent import (
    AgentError,
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    Reasoning,
    RunAgentClient,
    Started,
    StreamError,
    StreamTruncatedError,
    ToolCall,
)
from tests.support.peer import Peer, answers, http, sse

USAGE = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 7, "thoughtsTokenCount": 1}
STOP = {"finishReason": "STOP"}


def piece(*parts: Any, **fields: Any) -> dict[str, Any]:
    """Return a piece of an answer; ``usage`` and ``top`` go next to its candidate."""
    top = fields.pop("top", {})
    content = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    return {"candidates": [{**content, **fields}], "responseId": "r1", **top}


def text(content: str) -> dict[str, Any]:
    return {"text": content}


END = piece(**STOP, top={"usageMetadata": USAGE})


def client(peer: Peer) -> RunAgentClient:
    return RunAgentClient("m", base_url=peer.url, transport="gemini", max_retries=0)


def events_of(*pieces: Any, raw: bytes = b"", end: bool = True) -> list[Any]:
    """Read a stream; return its events."""
    written = [f"data: {json.dumps(each)}\r\n\r\n".encode() for each in pieces]
    with Peer(answers(sse(*written, raw, end=end))) as peer, client(peer) as user:
        return list(user.run_generic_stream("hi").events())


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (text("Once"), [Chunk("Once")]),
        ({"text": "Hm", "thought": True}, [Reasoning("Hm")]),
        ({"text": "", "thoughtSignature": "c2ln"}, [Custom("thoughtSignature", "c2ln")]),
        ({"functionCall": {"name": "f", "args": {"a": 1}}}, [ToolCall(None, "f", '{"a": 1}', 0)]),
        ({"functionCall": {"name": "f", "id": "c1"}}, [ToolCall("c1", "f", "{}", 0)]),
        (
            {"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"},
            [
                ToolCall(None, "f", "{}", 0),
                Custom("tool_call", {"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"}),
            ],
        ),
        (
            {"functionCall": {"name": "f", "args": {"a": "\ud83e"}}},
            [ToolCall(None, "f", '{"a": "\ud83e"}', 0)],
        ),
        ({"executableCode": {"code": "1"}}, [Custom("executableCode", {"code": "1"})]),
        ("no object", []),
    ],
)
def test_a_part(part: Any, expected: list[Any]) -> None:
    started, *events, completed = events_of(piece(part), END)
    assert Started(invocation_id="r1") == started
    assert (expected, "STOP") == (events, completed.stop_reason)


def test_calls_are_counted_over_all_pieces() -> None:
    calls: list[Any] = [{"functionCall": {"name": name, "args": {}}} for name in ("a", "b", "c")]
    events = events_of(piece(*calls[:2]), piece(text("and")), piece(calls[2], **STOP))
    assert [("a", 0), ("b", 1), ("c", 2)] == [(e.name, e.index) for e in events if isinstance(e, ToolCall)]


def test_what_a_candidate_has_next_to_its_parts() -> None:
    events = events_of(piece(text("x"), groundingMetadata={"a": 1}, citationMetadata={"b": 2}), END)
    assert [Custom("groundingMetadata", {"a": 1}), Custom("citationMetadata", {"b": 2})] == events[2:4]


@pytest.mark.parametrize("reason", ["STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER"])
@pytest.mark.parametrize("late", [False, True])
def test_an_end_with_a_reason(reason: str, late: bool) -> None:
    usage = {"usageMetadata": USAGE}
    pieces = [piece(text("x"), finishReason=reason, top={} if late else usage)]
    *_, end = events_of(*pieces, *([usage] if late else []))
    assert isinstance(end, Completed)
    assert (USAGE, reason, True) == (end.usage, end.stop_reason, end.proven)
    assert {"finishReason": reason, "responseId": "r1"} == end.metadata


def test_what_comes_behind_the_reason_is_counted_and_left_out() -> None:
    written = [
        f"data: {json.dumps(each)}\n\n".encode() for each in (piece(text("x"), **STOP), piece(text("y")))
    ]
    with Peer(answers(sse(*written))) as peer, client(peer) as user:
        stream = user.run_generic_stream("hi")
        assert "x" == stream.text()
    assert {"a part behind the finishReason": 1} == stream.report.ignored


def test_the_second_candidate_is_left_out() -> None:
    two = {
        "candidates": [
            {"index": 1, "content": {"parts": [text("no")]}},
            piece(text("yes"), **STOP)["candidates"][0],
        ]
    }
    assert [Chunk("yes")] == [event for event in events_of(two) if isinstance(event, Chunk)]


@pytest.mark.parametrize(
    ("pieces", "options", "kind", "code"),
    [
        ([piece(text("Once"))], {}, StreamTruncatedError, None),
        ([piece(text("Once"), finishReason="")], {}, StreamTruncatedError, None),
        ([END], {"raw": b"data: {"}, None, None),
        ([piece(text("Once"), **STOP)], {"raw": b"data: {"}, StreamTruncatedError, None),
        ([piece(text("Once"))], {"end": False}, StreamTruncatedError, None),
        ([], {}, StreamTruncatedError, None),
        ([{"promptFeedback": {"blockReason": "SAFETY"}}], {}, StreamError, "SAFETY"),
        (
            [piece(finishReason="MALFORMED_FUNCTION_CALL", finishMessage="bad")],
            {},
            StreamError,
            "MALFORMED_FUNCTION_CALL",
        ),
        (
            [piece(text("a")), {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}],
            {},
            StreamError,
            "UNAVAILABLE",
        ),
        ([[1]], {}, ProtocolError, None),
        ([piece({"functionCall": {}})], {}, ProtocolError, None),
        ([{"candidates": "none"}], {}, ProtocolError, None),
    ],
)
def test_how_streams_end(pieces: Any, options: Any, kind: type[Exception] | None, code: str | None) -> None:
    if kind is None:
        assert isinstance(events_of(*pieces, **options)[-1], Completed)
        return
    with pytest.raises(kind) as caught:
        events_of(*pieces, **options)
    assert code is None or code == getattr(caught.value, "code", None)


def test_an_error_in_the_stream_has_the_delay() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}]
    error = {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": details}
    with pytest.raises(StreamError, match="slow down") as caught:
        events_of(piece(text("a")), {"error": error})
    assert 2.5 == caught.value.retry_after


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (piece({"text": "Hm", "thought": True}, text("Once"), text(" upon"), **STOP), "Once upon"),
        (
            piece(text("x"), {"functionCall": {"name": "f"}}, **STOP),
            [text("x"), {"functionCall": {"name": "f"}}],
        ),
        (piece(**STOP), ""),
    ],
)
def test_a_plain_answer(answer: dict[str, Any], expected: Any) -> None:
    with Peer(answers(http(200, {**answer, "usageMetadata": USAGE}))) as peer, client(peer) as user:
        result = user.run_generic_with_metadata("hi")
    assert (expected, USAGE, "STOP") == (result.result, result.usage, (result.metadata or {})["finishReason"])


@pytest.mark.parametrize(
    ("answer", "kind", "problem"),
    [
        (
            {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "no"}},
            AgentError,
            "blocked: no",
        ),
        (piece(finishReason="UNEXPECTED_TOOL_CALL"), AgentError, "UNEXPECTED_TOOL_CALL"),
        ({"error": {"code": 500, "message": "broken", "status": "INTERNAL"}}, AgentError, "broken"),
        (piece(text("x")), ProtocolError, "no candidate with a finishReason"),
        ({}, ProtocolError, "no candidate with a finishReason"),
    ],
)
def test_a_plain_run_that_fails(answer: dict[str, Any], kind: type[Exception], problem: str) -> None:
    with Peer(answers(http(200, answer))) as peer, client(peer) as user, pytest.raises(kind, match=problem):
        user.run_generic("hi")
