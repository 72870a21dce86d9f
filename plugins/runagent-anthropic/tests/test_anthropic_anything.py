"""Any answer of a server leads to an error at worst: known names with any values, cut anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runagent import Chunk, Completed, Custom, Reasoning, RunAgentError, Started, ToolCall
from tests.support.messages_api import STOP, run
from tests.support.peer import http
from tests.support.sessions import feed, open_session

NAMES = st.sampled_from(
    [
        *(
            "type",
            "index",
            "message",
            "content_block",
            "delta",
            "usage",
            "id",
            "text",
            "thinking",
            "signature",
        ),
        *("partial_json", "citation", "stop_reason", "stop_details", "name", "input", "error", "content"),
    ]
)
WORDS = st.sampled_from(
    ["", "error", "text", "tool_use", "thinking", "refusal", "max_tokens", "\ud83d", "ping", "{", "x"]
)
KINDS = st.sampled_from(
    [
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop", "ping", "error", "new"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6)
BLOCKS = st.fixed_dictionaries({"type": WORDS, "name": WORDS, "id": WORDS}, optional={"input": VALUES})
DELTAS = st.fixed_dictionaries(
    {}, optional={"partial_json": WORDS, "text": WORDS, "thinking": WORDS, "x": VALUES}
)
EVENTS = st.builds(
    lambda fields, kind, index, block, delta: {
        "type": kind,
        "index": index,
        "content_block": block,
        "delta": delta,
        **fields,
    },
    st.dictionaries(NAMES, VALUES, max_size=1),
    KINDS,
    st.integers(0, 2),
    BLOCKS,
    DELTAS,
)


@settings(max_examples=60)
@given(drawn=st.lists(EVENTS | OBJECTS, max_size=8), step=st.integers(1, 20), named=st.booleans())
def test_any_stream(drawn: list[dict[str, Any]], step: int, named: bool) -> None:
    payloads = [f"data: {json.dumps(each)}\n\n".encode() for each in drawn]
    seen, cut = (run(*payloads, STOP, step=size, named=named) for size in (1 << 30, step))
    assert seen.outcome == cut.outcome
    kinds = [type(event) for event in seen.events]
    assert {Started, Chunk, Reasoning, ToolCall, Custom, Completed} >= set(kinds)
    assert (Completed in kinds[-1:]) != isinstance(seen.error, RunAgentError)
    assert Completed not in kinds[:-1]


@settings(max_examples=60)
@given(body=OBJECTS)
@example(body={"content": [{"type": []}]})
def test_any_plain_answer(body: dict[str, Any]) -> None:
    seen = feed(
        open_session("anthropic", mode="invoke"), http(200, json.dumps(body), content_type="application/json")
    )
    assert (len(seen.events) == 1) != isinstance(seen.error, RunAgentError)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529])
@settings(max_examples=15)
@given(body=OBJECTS)
def test_any_refusal(status: int, body: dict[str, Any]) -> None:
    seen = feed(open_session("anthropic"), http(status, json.dumps(body)))
    assert isinstance(seen.error, RunAgentError)
