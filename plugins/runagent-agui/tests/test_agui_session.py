"""AG-UI without sockets: what each event means, whole and byte by byte."""

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
    Tokens,
    ToolCall,
)
from tests.support.peer import sse
from tests.support.sessions import WHOLE, Seen, feed, open_session

STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "outcome": {"type": "success"}}
OTHER = {"subagentRunId": "s"}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def text(delta: Any, kind: str = "CONTENT", id: str = "m", **fields: Any) -> dict[str, Any]:
    return event(
        f"TEXT_MESSAGE_{kind}", messageId=id, **({} if delta is None else {"delta": delta}), **fields
    )


def call(kind: str, id: Any = "c1", **fields: Any) -> dict[str, Any]:
    return event(f"TOOL_CALL_{kind}", **({} if id is None else {"toolCallId": id}), **fields)


def run(*events: Any, step: int = WHOLE, end: bool = True, **fields: Any) -> Seen:
    """Feed a run of these events; a text is sent as it is."""
    texts = [each if isinstance(each, str) else json.dumps(each) for each in events]
    answer = sse(*(f"data: {each}\n\n".encode() for each in texts), end=end)
    return feed(open_session("agui", **fields), answer, step=step, eof=True)


def seen_in(*events: Any, **fields: Any) -> list[Any]:
    """What a whole run of these events has between its begin and its end."""
    seen = run(STARTED, *events, FINISHED, **fields)
    assert seen.error is None
    return seen.events[1:-1]


@pytest.mark.parametrize("step", [1, 7, WHOLE])
def test_a_run(step: int) -> None:
    seen = run(
        STARTED | {"protocolVersion": "1.0", "timestamp": 1},
        text(None, "START", role="assistant"),
        text("Once"),
        text(""),
        text(" up\ud83d"),
        text("\ude00"),
        text(None, "END"),
        FINISHED | {"result": {"a": 1}, "usage": [{"model": "m", "inputTokens": 4, "cachedInputTokens": 1}]},
        step=step,
    )
    usage = {"model": "m", "inputTokens": 4, "cachedInputTokens": 1}
    assert [
        Started(session_id="t", invocation_id="r"),
        Chunk("Once"),
        Chunk(" up"),
        Chunk("\N{GRINNING FACE}"),
        Completed(usage=usage, stop_reason="success", metadata={"result": {"a": 1}}),
    ] == seen.events
    assert ({}, None, Tokens(input=4, cached=1)) == (
        seen.session.ignored,
        seen.session.resume_point,
        seen.session.tokens,
    )


def test_tool_calls_come_once_they_are_whole() -> None:
    assert [
        Chunk("x"),
        ToolCall("c2", "now", "", 1),
        ToolCall("c1", "weather", '{"city": "Oslo"}', 0),
    ] == seen_in(
        call("START", toolCallName="weather", parentMessageId="m"),
        call("ARGS", delta='{"city": '),
        call("START", "c2", toolCallName="now"),
        text("x"),
        call("END", "c2"),
        call("ARGS", delta='"Oslo"}'),
        call("END"),
    )


def test_chunks_in_place_of_begin_and_end() -> None:
    assert [
        Chunk("Once"),
        Chunk(" upon"),
        Reasoning("so ", "th"),
        Reasoning("it is", "th"),
        ToolCall("c1", "a", "{}", 0),
        ToolCall("c2", "b", "[1]", 1),
        Custom("STEP_STARTED", {"stepName": "s"}),
        Custom("RAW", {"event": 1}),
        ToolCall("c3", "c", "", 2),
    ] == seen_in(
        text("Once", "CHUNK", role="assistant"),
        event("TEXT_MESSAGE_CHUNK", delta=" upon"),
        event("TEXT_MESSAGE_CHUNK"),
        event("REASONING_MESSAGE_CHUNK", messageId="th", delta="so "),
        event("REASONING_MESSAGE_CHUNK", delta="it is"),
        call("CHUNK", toolCallName="a", delta="{"),
        call("CHUNK", None, delta="}"),
        call("CHUNK", "c2", toolCallName="b", delta="[1]"),
        event("STEP_STARTED", stepName="s"),
        call("CHUNK", "c3", toolCallName="c"),
        event("RAW", event=1),
    )


def test_each_subagent_has_its_call_in_chunks() -> None:
    assert [ToolCall("c1", "a", "{}", 0), ToolCall("c2", "b", "[]", 1)] == seen_in(
        call("CHUNK", toolCallName="a", delta="{"),
        call("CHUNK", "c2", toolCallName="b", delta="[", **OTHER),
        call("CHUNK", None, delta="}"),
        call("CHUNK", None, delta="]", **OTHER),
    )


def test_reasoning_of_this_version_and_of_those_before() -> None:
    assert [Reasoning("so", "th"), Reasoning("then")] == seen_in(
        event("REASONING_START", messageId="th"),
        event("REASONING_MESSAGE_START", messageId="th", role="reasoning"),
        event("REASONING_MESSAGE_CONTENT", messageId="th", delta="so"),
        event("REASONING_MESSAGE_END", messageId="th"),
        event("REASONING_END", messageId="th"),
        event("THINKING_START", title="hm"),
        event("THINKING_TEXT_MESSAGE_START"),
        event("THINKING_TEXT_MESSAGE_CONTENT", delta="then"),
        event("THINKING_TEXT_MESSAGE_END"),
        event("THINKING_END"),
    )


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (event("STATE_SNAPSHOT", snapshot={"a": 1}), Custom("state", {"a": 1})),
        (event("STATE_SNAPSHOT"), Custom("state", None)),
        (event("STATE_DELTA", delta=[]), Custom("STATE_DELTA", {"delta": []})),
        (event("CUSTOM", name="mood", value=[1], timestamp=1), Custom("mood", [1])),
        (
            call("RESULT", messageId="m", content="sunny", role="tool"),
            Custom("tool_result", {"toolCallId": "c1", "messageId": "m", "content": "sunny", "role": "tool"}),
        ),
        (event("STEP_STARTED", stepName="s", timestamp=1), Custom("STEP_STARTED", {"stepName": "s"})),
        (event("SUBAGENT_STARTED", name="n", **OTHER), Custom("SUBAGENT_STARTED", {"name": "n", **OTHER})),
        (event("MESSAGES_SNAPSHOT", messages=[]), Custom("MESSAGES_SNAPSHOT", {"messages": []})),
        (event("NEW_IN_2", a=1), Custom("NEW_IN_2", {"a": 1})),
    ],
)
def test_other_events(sent: Any, expected: Custom) -> None:
    assert [expected] == seen_in(sent)


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (text(None, "START", role="user"), [text("hi"), text(None, "END")]),
        (text(None, "START", **OTHER), [text("hi", **OTHER), text(None, "END", **OTHER)]),
        (text("h", "CHUNK", role="user"), [event("TEXT_MESSAGE_CHUNK", delta="i", messageId="m")]),
    ],
)
def test_text_that_is_not_the_answer_is_an_event_apart(begin: Any, more: list[Any]) -> None:
    events = seen_in(begin, text("Once", id="other"), *more)
    apart = [Custom(sent["type"], {name: sent[name] for name in sent if name != "type"}) for sent in more]
    assert [Chunk("Once"), *apart] == events[1:]
    assert isinstance(events[0], Custom)


def test_counts_of_several_models_are_not_added_up() -> None:
    usage = [{"model": "a", "inputTokens": 1}, {"model": "b", "inputTokens": 2}]
    seen = run(STARTED, FINISHED | {"usage": usage})
    assert ({"models": usage}, None) == (seen.session.usage, seen.session.tokens)


# How it ends


def test_an_interrupt_is_a_good_end() -> None:
    interrupt = {"id": "i", "reason": "tool_call", "toolCallId": "c1"}
    outcome = {"type": "interrupt", "interrupts": [interrupt]}
    assert (
        Completed(stop_reason="interrupt", interrupts=[interrupt])
        == run(STARTED, FINISHED | {"outcome": outcome}).events[-1]
    )


@pytest.mark.parametrize(
    ("fields", "completed"),
    [
        ({"outcome": None}, Completed()),
        (
            {"outcome": {"type": "success", "pendingToolCallIds": ["c1"]}, "metadata": {"a": 1}},
            Completed(stop_reason="success", metadata={"pendingToolCallIds": ["c1"], "metadata": {"a": 1}}),
        ),
    ],
)
def test_other_good_ends(fields: dict[str, Any], completed: Completed) -> None:
    assert completed == run(STARTED, FINISHED | fields, text("late")).events[-1]


def test_a_run_that_was_cancelled() -> None:
    seen = run(STARTED, text("Once"), FINISHED | {"outcome": {"type": "cancelled"}})
    assert ([Chunk("Once")], StreamError, "CANCELLED") == (seen.events[1:], type(seen.error), seen.error.code)


@pytest.mark.parametrize(
    ("fields", "message", "code"),
    [
        ({"message": "no room left", "code": "BUSY"}, "no room left", "BUSY"),
        ({"message": ""}, "the agent reported an error without a message", None),
        ({"message": 5, "code": 5}, "the agent reported an error without a message", None),
    ],
)
def test_a_run_that_fails(fields: dict[str, Any], message: str, code: str | None) -> None:
    seen = run(STARTED, text("Once"), event("RUN_ERROR", usage=[{"inputTokens": 4}], **fields))
    assert ([Chunk("Once")], StreamError) == (seen.events[1:], type(seen.error))
    assert (message, code, Tokens(input=4)) == (seen.error.message, seen.error.code, seen.session.tokens)


def test_a_run_may_fail_before_it_begins() -> None:
    assert "no room left" == run(event("RUN_ERROR", message="no room left")).error.message


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize(
    "last",
    [text("Once"), text(None, "END"), call("START", toolCallName="a"), call("CHUNK", toolCallName="a")],
)
def test_the_end_without_run_finished_is_a_cut(last: Any, end: bool) -> None:
    seen = run(STARTED, last, end=end)
    assert isinstance(seen.error, StreamTruncatedError)
    assert not any(isinstance(event, ToolCall | Completed) for event in seen.events)


def test_an_error_in_an_event_that_was_cut_is_found() -> None:
    answer = sse(
        f"data: {json.dumps(STARTED)}\n\n".encode(), b'data: {"type": "RUN_ERROR", "message": "why"}\n'
    )
    assert "why" == feed(open_session("agui"), answer, eof=True).error.message


@pytest.mark.parametrize(
    "events",
    [
        [text("Once")],
        [FINISHED],
        [STARTED, STARTED],
        [STARTED, "[]"],
        [STARTED, "oops"],
        [STARTED, "{}"],
        [STARTED, {"type": 5}],
        [STARTED, text(5)],
        [STARTED, event("REASONING_MESSAGE_CONTENT", messageId="m")],
        [STARTED, call("START")],
        [STARTED, call("START", None, toolCallName="a")],
        [STARTED, call("START", toolCallName="a"), call("START", toolCallName="a")],
        [STARTED, call("ARGS", delta="{")],
        [STARTED, call("END", ["c1"])],
        [STARTED, call("START", toolCallName="a"), call("ARGS", delta={})],
        [STARTED, call("START", toolCallName="a"), FINISHED],
        [STARTED, call("CHUNK", None, delta="{")],
        [STARTED, event("CUSTOM", name=5)],
        [STARTED, text(None, "START", id=5, role="user")],  # type: ignore[arg-type]
        [STARTED, FINISHED | {"outcome": {"type": "interrupt", "interrupts": ["i"]}}],
    ],
)
def test_what_the_protocol_does_not_allow(events: list[Any]) -> None:
    seen = run(*events, FINISHED)
    assert isinstance(seen.error, ProtocolError)
    assert not any(isinstance(event, Completed) for event in seen.events)


@pytest.mark.parametrize(
    "events",
    [
        [call("START", toolCallName="a"), *([call("ARGS", delta="x" * 100)] * 100)],
        [call("START", f"c{n}", toolCallName="a") for n in range(100)],
        [text(None, "START", id=f"m{n}", role="user") for n in range(100)],
        [call("CHUNK", f"c{n}", toolCallName="a", subagentRunId=f"s{n}" * 20) for n in range(50)],
    ],
)
def test_what_is_kept_is_limited(events: list[Any]) -> None:
    seen = run(STARTED, *events, limits={"max_event_bytes": 4000})
    assert isinstance(seen.error, StreamLimitError)
    assert "max_event_bytes" == seen.error.limit_name
