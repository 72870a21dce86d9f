"""Any answer of a server leads to an error at worst: known types and fields with any values, cut anywhere."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import Completed, RunAgentError
from tests.support.peer import http, sse
from tests.support.sessions import feed, open_session

TYPES = [
    *("RUN_STARTED", "RUN_FINISHED", "RUN_ERROR", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT"),
    *("TEXT_MESSAGE_END", "TEXT_MESSAGE_CHUNK", "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"),
    *("TOOL_CALL_CHUNK", "TOOL_CALL_RESULT", "STATE_SNAPSHOT", "CUSTOM", "REASONING_MESSAGE_CONTENT"),
    *("REASONING_MESSAGE_CHUNK", "MESSAGES_SNAPSHOT", "NEW"),
]
NAMES = [
    *("messageId", "delta", "role", "subagentRunId", "toolCallId", "toolCallName", "threadId", "runId"),
    *("name", "value", "snapshot", "message", "code", "outcome", "usage", "result", "metadata"),
]
VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.sampled_from(["", "a", "user", "\ud83d", "\ude00"])),
    *(st.just([{"inputTokens": 1}, 2]), st.just({"type": "interrupt", "interrupts": [{"id": "i"}]})),
    *(st.just({"type": "cancelled"}), st.just({"type": ["x"], "interrupts": 1})),
)
EVENTS = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
)


@settings(max_examples=60)
@given(drawn=st.lists(EVENTS, max_size=6), step=st.integers(1, 20))
def test_any_stream(drawn: list[dict[str, Any]], step: int) -> None:
    events = [{"type": "RUN_STARTED"}, *drawn, {"type": "RUN_FINISHED"}]
    answer = sse(*(f"data: {json.dumps(event)}\n\n".encode() for event in events))
    seen, cut = (feed(open_session("agui"), answer, step=each, eof=True) for each in (len(answer), step))
    assert seen.outcome == cut.outcome
    ends = [isinstance(event, Completed) for event in seen.events]
    assert any(ends[-1:]) != isinstance(seen.error, RunAgentError)
    assert not any(ends[:-1])


@settings(max_examples=30)
@given(body=st.dictionaries(st.sampled_from(NAMES), VALUES) | st.lists(VALUES, max_size=2))
def test_any_refusal(body: Any) -> None:
    seen = feed(open_session("agui"), http(422, json.dumps(body), content_type="application/json"))
    assert isinstance(seen.error, RunAgentError)
