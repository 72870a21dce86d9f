"""Reasoning, tool calls and custom events, over the three transports and without sockets."""

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
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
    ToolCall,
)
from runagent.transports import ResumePoint
from tests.support.peer import message, ndjson, sse
from tests.support.sessions import Seen, feed, handshake_answer, open_session

TRANSPORTS = ("sse", "chunked", "websocket")
NUMBERED = ("sse", "chunked")
DONE: dict[str, Any] = {"type": "done"}
REASONING = {"type": "reasoning", "text": "hm", "id": "r1"}
TOOL_CALL = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": '{"city": "Oslo"}', "index": 0}
CUSTOM = {"type": "custom", "name": "state", "value": {"step": [1, None]}}
EVENTS = [
    Reasoning("hm", "r1"),
    ToolCall("c1", "weather", '{"city": "Oslo"}', 0),
    Custom("state", {"step": [1, None]}),
]


@pytest.fixture(params=[1, 7, 1 << 30], ids=["byte by byte", "by sevens", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


def chunk(content: Any, index: int | None = None) -> dict[str, Any]:
    return {"type": "chunk", "content": content} | ({} if index is None else {"index": index})


def answer(transport: str, messages: tuple[dict[str, Any], ...], *, end: bool = True) -> Any:
    """Write messages as a transport wants them."""
    if transport == "websocket":
        frames = [message(each) for each in messages]
        return lambda request: handshake_answer(request, *frames)
    if transport == "chunked":
        return ndjson(*messages, end=end)
    events = [(each["type"], {k: v for k, v in each.items() if k != "type"}) for each in messages]
    return sse(*events, end=end)


def run(
    transport: str, *messages: dict[str, Any], step: int = 1 << 30, end: bool = True, **fields: Any
) -> Seen:
    return feed(open_session(transport, **fields), answer(transport, messages, end=end), step=step, eof=True)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_they_come_as_events_and_in_their_place(transport: str, step: int) -> None:
    seen = run(transport, REASONING, chunk("a"), TOOL_CALL, CUSTOM, chunk("b"), DONE, step=step)
    assert [EVENTS[0], Chunk("a"), *EVENTS[1:], Chunk("b"), Completed()] == seen.events
    assert (None, {}) == (seen.error, seen.session.ignored)


@pytest.mark.parametrize("transport", NUMBERED)
def test_they_are_not_counted(transport: str, step: int) -> None:
    seen = run(
        transport, chunk("a", 0), REASONING, chunk("b", 1), TOOL_CALL, CUSTOM, chunk("c", 2), DONE, step=step
    )
    assert ("abc", None) == ("".join(seen.contents), seen.error)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_they_may_leave_out(transport: str) -> None:
    seen = run(
        transport,
        {"type": "reasoning", "text": ""},
        {"type": "tool_call", "name": "now"},
        {"type": "tool_call", "name": "now", "arguments": None, "id": None},
        {"type": "custom", "name": "ping"},
        DONE,
    )
    assert [
        Reasoning(""),
        ToolCall(None, "now"),
        ToolCall(None, "now"),
        Custom("ping"),
        Completed(),
    ] == seen.events
    assert {} == seen.session.ignored


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "bad",
    [
        {"type": "reasoning"},
        {"type": "reasoning", "text": 3},
        {"type": "reasoning", "text": ["a"]},
        {"type": "tool_call"},
        {"type": "tool_call", "name": None, "arguments": "{}"},
        {"type": "tool_call", "name": "f", "arguments": {"a": 1}},
        {"type": "custom"},
        {"type": "custom", "name": {}, "value": 1},
    ],
    ids=json.dumps,
)
def test_without_what_they_need_the_format_is_broken(transport: str, bad: dict[str, Any], step: int) -> None:
    seen = run(transport, chunk("a"), bad, chunk("b"), DONE, step=step)
    assert ([Chunk("a")], ProtocolError) == (seen.events, type(seen.error))
    assert f"the {bad['type']} message has no" in seen.error.message


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_optional_fields_of_the_wrong_type_are_counted(transport: str) -> None:
    messages: list[dict[str, Any]] = [REASONING | {"id": 3}, TOOL_CALL | {"id": [], "index": True}]
    seen = run(transport, *messages, DONE | {"stop_reason": 1, "interrupts": [1]})
    assert [Reasoning("hm"), ToolCall(None, "weather", '{"city": "Oslo"}'), Completed()] == seen.events
    wrong = {"id": 2, "index": 1, "stop_reason": 1, "interrupts": 1}
    assert {f"{name} of the wrong type": count for name, count in wrong.items()} == seen.session.ignored


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_why_it_stopped_and_what_it_waits_for(transport: str, step: int) -> None:
    seen = run(transport, DONE | {"stop_reason": "tool_calls", "interrupts": [{"id": "i1"}]}, step=step)
    assert [Completed(stop_reason="tool_calls", interrupts=[{"id": "i1"}])] == seen.events


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_half_a_character_of_reasoning_waits_for_the_other_half(transport: str, step: int) -> None:
    halves: list[dict[str, Any]] = [
        {"type": "reasoning", "text": text} for text in ("a\ud83d", "\ude00b", "\ud83d")
    ]
    seen = run(transport, *halves[:1], chunk("x"), *halves[1:], DONE, step=step)
    assert [
        Reasoning("a"),
        Chunk("x"),
        Reasoning("\U0001f600b"),
        Reasoning("\ufffd"),
        Completed(),
    ] == seen.events


@pytest.mark.parametrize("transport", NUMBERED)
def test_a_stream_is_resumed_only_behind_a_chunk(transport: str, step: int) -> None:
    for messages, place in (
        ([chunk("a", 0)], 1),
        ([chunk("a", 0), REASONING], None),
        ([chunk("a", 0), REASONING, chunk("b", 1)], 2),
        ([chunk("a", 0), TOOL_CALL, CUSTOM, chunk("b", 1), chunk("c", 2)], 3),
        ([REASONING], None),
        ([chunk("a\ud83d", 0)], None),
        ([chunk("a\ud83d", 0), chunk("\ude00", 1)], 2),
        ([chunk("a", 0), REASONING | {"text": "\ud83d"}], None),
    ):
        seen = run(transport, *messages, step=step, end=False)
        assert StreamTruncatedError is type(seen.error)
        point = seen.session.resume_point
        assert place == (point and point.next_index)


@pytest.mark.parametrize("transport", NUMBERED)
def test_on_a_resumed_stream_they_wait_for_the_chunk_that_proves_its_place(transport: str, step: int) -> None:
    point = ResumePoint(2, proof="index")
    good = run(
        transport,
        {"type": "start"},
        TOOL_CALL,
        REASONING,
        chunk("c", 2),
        CUSTOM,
        DONE,
        step=step,
        resume=point,
    )
    assert [EVENTS[1], EVENTS[0], Chunk("c", 2), EVENTS[2], Completed()] == good.events
    over = run(transport, TOOL_CALL, DONE, step=step, resume=point)
    assert [EVENTS[1], Completed()] == over.events
    for first in (0, 3, None):
        seen = run(transport, TOOL_CALL, REASONING, chunk("c", first), DONE, step=step, resume=point)
        assert ([], StreamError) == (seen.events, type(seen.error))
    cut = run(transport, TOOL_CALL, step=step, resume=point, end=False)
    assert ([], StreamTruncatedError) == (cut.events, type(cut.error))


@pytest.mark.parametrize("transport", NUMBERED)
def test_on_the_word_of_the_agent_they_do_not_wait(transport: str, step: int) -> None:
    point = ResumePoint(2)
    seen = run(transport, TOOL_CALL, step=step, resume=point, end=False)
    assert [EVENTS[1]] == seen.events


@pytest.mark.parametrize("transport", NUMBERED)
def test_what_waits_for_the_proof_has_a_limit(transport: str) -> None:
    many = [REASONING] * 100
    seen = run(
        transport,
        *many,
        chunk("c", 2),
        resume=ResumePoint(2, proof="index"),
        limits={"max_event_bytes": 1000},
    )
    assert ([], StreamLimitError, "max_event_bytes") == (seen.events, type(seen.error), seen.error.limit_name)
    assert 101 == len(run(transport, *many, chunk("c", 0), DONE, limits={"max_event_bytes": 1000}).events) - 1
