"""The UI message stream without sockets: what each chunk means, whole and byte by byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent import (
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    Reasoning,
    Started,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
    ToolCall,
)
from tests.support.peer import sse
from tests.support.sessions import WHOLE, Seen, feed, open_session

START = {"type": "start", "messageId": "m"}
FINISH = {"type": "finish", "finishReason": "stop"}
DONE = "[DONE]"


def chunk(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def text(delta: Any) -> dict[str, Any]:
    return chunk("text-delta", id="t", delta=delta)


def call(kind: str, id: Any = "c1", **fields: Any) -> dict[str, Any]:
    return chunk(f"tool-{kind}", **({} if id is None else {"toolCallId": id}), **fields)


def run(*chunks: Any, step: int = WHOLE, end: bool = True, **fields: Any) -> Seen:
    """Feed a run of these chunks; a text is sent as it is."""
    texts = [each if isinstance(each, str) else json.dumps(each) for each in chunks]
    answer = sse(*(f"data: {each}\n\n".encode() for each in texts), end=end)
    return feed(open_session("vercel", **fields), answer, step=step, eof=True)


def seen_in(*chunks: Any) -> list[Any]:
    """What a whole run of these chunks has between its begin and its end."""
    seen = run(START, *chunks, FINISH, DONE)
    assert seen.error is None
    return seen.events[1:-1]


@pytest.mark.parametrize("step", [1, 7, WHOLE])
def test_a_run(step: int) -> None:
    seen = run(
        START,
        chunk("start-step"),
        chunk("text-start", id="t"),
        *(text("Once"), text(" up\ud83d"), text("\ude00")),
        chunk("text-end", id="t"),
        chunk("finish-step"),
        FINISH | {"messageMetadata": {"a": 1}},
        DONE,
        step=step,
        input={"query": "x", "session_id": "chat"},
    )
    assert [
        Started(session_id="chat", invocation_id="m"),
        Chunk("Once"),
        Chunk(" up"),
        Chunk("\N{GRINNING FACE}"),
        Completed(stop_reason="stop", metadata={"a": 1}),
    ] == seen.events
    assert ({}, None) == (seen.session.ignored, seen.session.resume_point)


def test_a_run_need_not_begin_with_start() -> None:
    seen = run(text("Once"), chunk("finish"), DONE, run_id="r")
    assert [Started(session_id="r"), Chunk("Once"), Completed()] == seen.events


def test_tool_calls_come_once_they_are_whole() -> None:
    assert [
        Chunk("x"),
        ToolCall("c2", "now", "{}", 1),
        ToolCall("c1", "weather", '{"city": "Oslo"}', 0),
        ToolCall("c3", "add", '{"a":1}', 2),
        ToolCall("c4", "say", '"hi"', 3),
    ] == seen_in(
        call("input-start", toolName="weather"),
        call("input-delta", inputTextDelta='{"city": '),
        call("input-start", "c2", toolName="now"),
        text("x"),
        call("input-available", "c2", toolName="now", input={}),
        call("input-delta", inputTextDelta='"Oslo"}'),
        call("input-available", toolName="weather", input={"city": "Oslo"}),
        call("input-available", "c3", toolName="add", input={"a": 1}, dynamic=True),
        call("input-start", "c4", toolName="say", inputEncoding="text"),
        call("input-delta", "c4", inputTextDelta="hi"),
        call("input-available", "c4", toolName="say", input="hi"),
    )


def test_a_call_with_more_fields_is_followed_by_all_of_them() -> None:
    sent = call("input-available", toolName="a", input={}, providerMetadata={"p": {"signature": "s"}})
    fields = {name: value for name, value in sent.items() if name != "type"}
    assert [ToolCall("c1", "a", "{}", 0), Custom("tool_call", fields)] == seen_in(sent)


def test_a_call_that_the_service_rejects_is_none() -> None:
    sent = call("input-error", toolName="a", input="{", errorText="why")
    fields = {name: value for name, value in sent.items() if name != "type"}
    pieces = [call("input-start", toolName="a"), call("input-delta", inputTextDelta="{")]
    assert [Custom("tool-input-error", fields)] == seen_in(*pieces, sent)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (chunk("reasoning-delta", id="r", delta="so"), Reasoning("so", "r")),
        (chunk("reasoning-end", id="r"), None),
        (
            chunk("reasoning-end", id="r", providerMetadata={"p": 1}),
            Custom("reasoning-end", {"id": "r", "providerMetadata": {"p": 1}}),
        ),
        (
            call("output-available", output={"a": 1}),
            Custom("tool_result", {"toolCallId": "c1", "output": {"a": 1}}),
        ),
        (
            call("output-error", errorText="why"),
            Custom("tool-output-error", {"toolCallId": "c1", "errorText": "why"}),
        ),
        (chunk("data-weather", data=[1]), Custom("data-weather", [1])),
        (
            chunk("data-weather", data=[1], id="w", transient=True),
            Custom("data-weather", {"id": "w", "data": [1]}),
        ),
        (
            chunk("source-url", sourceId="s", url="https://x.test"),
            Custom("source-url", {"sourceId": "s", "url": "https://x.test"}),
        ),
        (chunk("message-metadata", messageMetadata={"a": 1}), Custom("message-metadata", {"a": 1})),
        (chunk("new-in-2", a=1), Custom("new-in-2", {"a": 1})),
    ],
)
def test_other_chunks(sent: Any, expected: Any) -> None:
    assert ([] if expected is None else [expected]) == seen_in(sent)


# How it ends


@pytest.mark.parametrize(
    ("approval", "id"), [({"approvalId": "c1"}, "c1"), ({"approvalId": "a1", "signature": "s"}, "c1/a1")]
)
def test_requests_for_approval_are_interrupts(approval: dict[str, Any], id: str) -> None:
    last = run(START, call("approval-request", **approval), FINISH, DONE).events[-1]
    assert isinstance(last, Completed)
    assert [{"id": id, "toolCallId": "c1", **approval}] == last.interrupts


@pytest.mark.parametrize(
    ("chunks", "message", "code"),
    [
        ([chunk("error", errorText="no room left"), FINISH], "no room left", None),
        ([chunk("error", errorText="")], "the agent reported an error without a message", None),
        (
            [FINISH | {"finishReason": "error"}],
            "the agent ended with an error that it does not describe",
            "error",
        ),
        ([chunk("abort", reason="too long")], "too long", "CANCELLED"),
        ([chunk("abort"), FINISH], "the run was cancelled", "CANCELLED"),
    ],
)
def test_a_run_that_fails(chunks: list[Any], message: str, code: str | None) -> None:
    seen = run(START, text("Once"), *chunks, DONE)
    assert [Chunk("Once")] == seen.events[1:]
    assert (StreamError, message, code) == (type(seen.error), seen.error.message, seen.error.code)


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize(
    "chunks", [[text("Once")], [FINISH], [text("Once"), DONE], [call("input-start", toolName="a")]]
)
def test_the_end_needs_finish_and_the_marker(chunks: list[Any], end: bool) -> None:
    seen = run(START, *chunks, end=end)
    assert isinstance(seen.error, StreamTruncatedError)
    assert not any(isinstance(event, ToolCall | Completed) for event in seen.events)


def test_an_error_in_a_chunk_that_was_cut_is_found() -> None:
    answer = sse(f"data: {json.dumps(START)}\n\n".encode(), b'data: {"type": "error", "errorText": "why"}\n')
    assert "why" == feed(open_session("vercel"), answer, eof=True).error.message


@pytest.mark.parametrize(
    "sent",
    [
        *("[]", "oops", "{}", {"type": 5}),
        *(
            text(5),
            chunk("reasoning-delta", id="r"),
            call("input-start"),
            call("input-start", 5, toolName="a"),
        ),
        *(call("input-delta", inputTextDelta="{"), call("input-available"), call("approval-request")),
        call("input-available", None, toolName="a", input={}),
    ],
)
def test_what_the_protocol_does_not_allow(sent: Any) -> None:
    seen = run(START, sent, FINISH, DONE)
    assert isinstance(seen.error, ProtocolError)
    assert not any(isinstance(event, Completed) for event in seen.events)


@pytest.mark.parametrize(
    "sent",
    [
        [call("input-start", toolName="a"), *([call("input-delta", inputTextDelta="x" * 100)] * 100)],
        [call("input-start", f"c{n}", toolName="a") for n in range(100)],
        [call("approval-request", approvalId=f"a{n}") for n in range(100)],
    ],
)
def test_what_is_kept_is_limited(sent: list[Any]) -> None:
    seen = run(START, *sent, limits={"max_event_bytes": 4000})
    assert isinstance(seen.error, StreamLimitError)
    assert "max_event_bytes" == seen.error.limit_name
