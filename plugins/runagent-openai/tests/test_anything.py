"""Any answer of a server leads to an error at worst: known names with any values, cut anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import (
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    Reasoning,
    RunAgentError,
    Started,
    ToolCall,
)
from tests.support.peer import http, sse
from tests.support.sessions import feed, open_session

NAMES = [
    *("arguments", "choices", "code", "content", "custom", "delta", "error", "finish_reason", "function"),
    *("function_call", "id", "incomplete_details", "index", "input", "item", "message", "name", "object"),
    *(
        "output",
        "reason",
        "reasoning",
        "reasoning_content",
        "summary",
        "item_id",
        "refusal",
        "response",
        "retry_after",
        "status",
        "text",
        "tool_calls",
    ),
    *("type", "usage", "reasoning", "reasoning_content", "summary", "item_id"),
]
WORDS = [
    *("", "[DONE]", "error", "function_call", "incomplete", "length", "message", "output_text", "reasoning"),
    *("refusal", "response.completed", "response.created", "response.failed", "response.incomplete"),
    *(
        "response.output_item.done",
        "response.reasoning_text.delta",
        "response.new",
        "response.output_text.delta",
        "response.refusal.delta",
        "stop",
        "\ud83d",
    ),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
CHUNKS = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries({"delta": OBJECTS}, optional={"finish_reason": VALUES}), max_size=2
        )
    }
)
EVENTS = st.builds(lambda fields, kind: {**fields, "type": kind}, OBJECTS, st.sampled_from(WORDS))
STREAMS: dict[str, st.SearchStrategy[list[dict[str, Any]]]] = {
    "chat": st.lists(CHUNKS | OBJECTS, max_size=6),
    "responses": st.lists(EVENTS | OBJECTS, max_size=6),
}


@pytest.mark.parametrize("api", STREAMS)
@settings(max_examples=40)
@given(data=st.data())
def test_any_stream(api: str, data: st.DataObject) -> None:
    drawn = data.draw(STREAMS[api])
    answer = sse(*(f"data: {json.dumps(event)}\n\n".encode() for event in drawn), b"data: [DONE]\n\n")
    seen, cut = (
        feed(open_session("openai", options={"openai_api": api}), answer, step=step, eof=True)
        for step in (len(answer), data.draw(st.integers(1, 20)))
    )
    assert seen.outcome == cut.outcome
    kinds = [type(event) for event in seen.events]
    assert {Started, Chunk, Reasoning, ToolCall, Custom, Completed} >= set(kinds)
    assert (Completed in kinds[-1:]) != isinstance(seen.error, RunAgentError)
    assert Completed not in kinds[:-1]


@pytest.mark.parametrize(
    "drawn",
    [
        *('{"choices": "\\ud83d"}', '{"choices": [{"index": "\\ud83d"}]}', '{"\\ud83d": 1}'),
        '{"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "\\ud83d"}]}}]}',
        '{"choices": [{"delta": {"tool_calls": [{"function": {"name": "\\ud83d"}}]}}]}',
        '{"choices": [{"delta": {"tool_calls": [{"function": {"arguments": ["\\ud83d"]}}]}}]}',
    ],
)
def test_half_a_character_where_none_belongs(drawn: str) -> None:
    answer = sse(
        f"data: {drawn}\n\n".encode(),
        b'data: {"choices": [{"finish_reason": "stop"}]}\n\n',
        b"data: [DONE]\n\n",
    )
    seen = feed(open_session("openai"), answer)
    assert isinstance(seen.events[-1] if seen.error is None else seen.error, Completed | ProtocolError)


@pytest.mark.parametrize("odd", [1.5, True, "x", {"a": 1}, [1], None])
def test_invalid_lists(odd: Any) -> None:
    chat = {"choices": [{"message": {"content": "here", "tool_calls": odd}}]}
    response = {"status": "completed", "output": [{"type": "message", "content": odd}]}
    for api, answer in (("chat", chat), ("responses", response)):
        session = open_session("openai", options={"openai_api": api}, mode="invoke")
        seen = feed(session, http(200, answer))
        assert (api, len(seen.events)) == (api, 1)


@pytest.mark.parametrize("api", STREAMS)
@settings(max_examples=40)
@given(body=OBJECTS | CHUNKS)
def test_any_plain_answer(api: str, body: dict[str, Any]) -> None:
    session = open_session("openai", options={"openai_api": api}, mode="invoke")
    seen = feed(session, http(200, json.dumps(body), content_type="application/json"))
    assert (len(seen.events) == 1) != isinstance(seen.error, RunAgentError)


@pytest.mark.parametrize("api", STREAMS)
@settings(max_examples=30)
@given(body=OBJECTS, status=st.sampled_from([400, 401, 404, 429, 500]))
def test_any_refusal(api: str, body: dict[str, Any], status: int) -> None:
    seen = feed(open_session("openai", options={"openai_api": api}), http(status, json.dumps(body)))
    assert isinstance(seen.error, RunAgentError)
