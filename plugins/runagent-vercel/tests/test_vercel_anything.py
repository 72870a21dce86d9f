"""Any answer of a server leads to an error at worst: known types and fields with any values, cut anywhere."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import Completed, RunAgentError
from tests.support.peer import sse
from tests.support.sessions import feed, open_session

TYPES = [
    *("start", "finish", "error", "abort", "text-delta", "reasoning-delta", "tool-input-start", "data-x"),
    *("tool-input-delta", "tool-input-available", "tool-input-error", "tool-output-available"),
    *("tool-approval-request", "message-metadata", "text-start", "new"),
]
NAMES = [
    *("id", "delta", "toolCallId", "toolName", "inputTextDelta", "input", "inputEncoding", "approvalId"),
    *("data", "messageId", "messageMetadata", "finishReason", "errorText", "reason", "providerMetadata"),
]
VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.sampled_from(["", "a", "stop", "\ud83d", "\ude00"])),
    *(st.just([1]), st.just({"a": {"b": 1}})),
)
CHUNKS = st.builds(
    lambda kind, fields: {"type": kind, **fields},
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
)


@settings(max_examples=60)
@given(drawn=st.lists(CHUNKS, max_size=6), step=st.integers(1, 20))
def test_any_stream(drawn: list[dict[str, Any]], step: int) -> None:
    texts = [*map(json.dumps, drawn), '{"type": "finish"}', "[DONE]"]
    answer = sse(*(f"data: {text}\n\n".encode() for text in texts))
    seen, cut = (
        feed(open_session("vercel", run_id="r"), answer, step=each, eof=True) for each in (len(answer), step)
    )
    assert seen.outcome == cut.outcome
    ends = [isinstance(event, Completed) for event in seen.events]
    assert any(ends[-1:]) != isinstance(seen.error, RunAgentError)
    assert not any(ends[:-1])
