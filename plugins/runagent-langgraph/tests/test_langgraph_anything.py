"""Any events of a server lead to an error at worst: known names and fields with any values, cut anywhere."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import RunAgentError
from runagent.transports import RunIds
from tests.support.peer import sse
from tests.support.sessions import feed, open_session

EVENTS = ["metadata", "messages", "messages|a:1", "updates", "values", "custom", "end", "error", "new"]
NAMES = [
    *("type", "id", "content", "text", "thinking", "tool_calls", "tool_call_chunks", "invalid_tool_calls"),
    *("name", "args", "index", "usage_metadata", "response_metadata", "additional_kwargs", "chunk_position"),
    *("tool_call_id", "run_id", "__interrupt__", "error", "message", "finish_reason", "input_tokens"),
]
WORDS = ["", "a", "..", "AIMessageChunk", "ai", "tool", "last", "text", "thinking", "\ud83d", "\ude00"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.builds(
    lambda kind, fields: [{"type": kind, **fields}, {}],
    st.sampled_from(["AIMessageChunk", "ai", "tool"]),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
)
IDS = st.sampled_from([None, "", "x", "1-0", "1-1", "2-0", "3-0", "10-0"])
DRAWN = st.tuples(st.sampled_from(EVENTS), MESSAGES | VALUES, IDS)


def write(name: str, value: Any, id: str | None) -> bytes:
    place = "" if id is None else f"id: {id}\r\n"
    return f"event: {name}\r\ndata: {json.dumps(value)}\r\n{place}\r\n".encode()


@settings(max_examples=60)
@given(drawn=st.lists(DRAWN, max_size=6), step=st.integers(1, 20), attached=st.booleans())
def test_any_stream(drawn: list[tuple[str, Any, str | None]], step: int, attached: bool) -> None:
    events = [("metadata", {"run_id": "r1"}, "0-1"), *drawn]
    answer = sse(*(write(*event) for event in events))
    call: dict[str, Any] = {"input": {"query": "x", "session_id": "t1"}}
    if attached:
        call["attach_to"] = RunIds({"thread": "t1", "run": "r1"})
    seen, cut = (
        feed(open_session("langgraph", **call), answer, step=each, eof=False) for each in (len(answer), step)
    )
    assert seen.outcome == cut.outcome
    assert seen.error is None or isinstance(seen.error, RunAgentError)
