"""Any answer of a server leads to an error at worst: known fields with any values, cut anywhere."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import Completed, RunAgentError
from tests.support.peer import http, sse
from tests.support.sessions import feed, open_session

NAMES = [
    *("candidates", "content", "parts", "text", "thought", "functionCall", "name", "args", "index", "id"),
    *("finishReason", "finishMessage", "usageMetadata", "promptFeedback", "blockReason", "error", "code"),
    *("groundingMetadata", "responseId", "thoughtSignature", "inlineData", "message", "details"),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "a", "STOP", "\ud83d", "\ude00", "3s"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)
PARTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)
CANDIDATES = st.builds(
    lambda parts, fields: {"content": {"parts": parts}, **fields}, st.lists(PARTS, max_size=3), PARTS
)
PIECES = st.builds(
    lambda candidates, fields: {"candidates": candidates, **fields}, st.lists(CANDIDATES, max_size=2), PARTS
)
END = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {}}


@settings(max_examples=60)
@given(drawn=st.lists(PIECES | VALUES, max_size=5), step=st.integers(1, 20))
def test_any_stream(drawn: list[Any], step: int) -> None:
    answer = sse(*(f"data: {json.dumps(event)}\n\n".encode() for event in [*drawn, END]))
    seen, cut = (feed(open_session("gemini"), answer, step=each, eof=True) for each in (len(answer), step))
    assert seen.outcome == cut.outcome
    ends = [isinstance(event, Completed) for event in seen.events]
    assert any(ends[-1:]) != isinstance(seen.error, RunAgentError)
    assert not any(ends[:-1])


@settings(max_examples=60)
@given(status=st.sampled_from([200, 400, 429, 500]), body=PIECES | PARTS | st.lists(VALUES, max_size=2))
def test_any_plain_answer(status: int, body: Any) -> None:
    answer = http(status, json.dumps(body), content_type="application/json")
    seen = feed(open_session("gemini", mode="invoke"), answer)
    assert (len(seen.events) == 1) != isinstance(seen.error, RunAgentError)
