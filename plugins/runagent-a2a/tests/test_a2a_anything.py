"""Any answer of a service leads to an error at worst: known names with any values, over each version."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import Chunk, Completed, Custom, RunAgentError, Started
from tests.support.peer import sse
from tests.support.sessions import feed, open_session

NAMES = ["artifact", "artifactId", "artifacts", "contextId", "data", "error", "file", "id", "kind", "message"]
NAMES += ["metadata", "parts", "result", "role", "state", "status", "statusUpdate", "taskId", "text", "url"]
WORDS = ["", "TASK_STATE_COMPLETED", "artifact-update", "completed", "failed", "input-required", "message"]
WORDS += ["status-update", "t", "task", "text", "working", "\ud83d"]
KINDS = ["artifactUpdate", "artifact-update", "message", "statusUpdate", "status-update", "task"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
EVENTS = st.builds(lambda kind, value: {kind: value, "kind": kind, **value}, st.sampled_from(KINDS), OBJECTS)
OPTIONS = [{"a2a_version": "1.0"}, {"a2a_binding": "HTTP+JSON"}, {"a2a_version": "0.3"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@settings(max_examples=30)
@given(events=st.lists(EVENTS | OBJECTS, max_size=6), step=st.integers(1, 20))
def test_a_stream_of_anything(options: dict[str, Any], events: list[dict[str, Any]], step: int) -> None:
    wrapped = events if "a2a_binding" in options else [{"result": event} for event in events]
    answer = sse(*(f"data: {json.dumps(event)}\n\n".encode() for event in wrapped))
    seen, cut = (
        feed(open_session("a2a", options=options), answer, step=size, eof=True)
        for size in (len(answer), step)
    )
    assert seen.outcome == cut.outcome
    kinds = [type(event) for event in seen.events]
    assert {Started, Chunk, Custom, Completed} >= set(kinds)
    assert (Completed in kinds[-1:]) != isinstance(seen.error, RunAgentError)
    assert Completed not in kinds[:-1]
