"""The conformance kit, with streams as agents behind AG-UI write them."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from runagent_testing import custom, done, error, heartbeat, raw, reasoning, tool_call
from runagent_testing.conformance import TransportConformance
from tests.support.kit import in_short

USAGE = {"inputTokens": 50, "outputTokens": 9, "totalTokens": 59}
INTERRUPT = {"id": "int-1", "reason": "tool_call", "message": "Approve?", "toolCallId": "c1"}


def written(kind: str, **fields: Any) -> Any:
    """An event in a form that no step makes."""
    return raw(f"data: {json.dumps({'type': kind, **fields})}\n\n".encode())


SAMPLES = {
    "a tool of the server": (
        *(reasoning("so "), "Let me see.", tool_call("count", {}, id="c1"), heartbeat()),
        custom("tool_result", {"messageId": "m", "toolCallId": "c1", "content": "1", "role": "tool"}),
        custom("state", {"count": 1}),
        custom("STATE_DELTA", {"delta": [{"op": "replace", "path": "/count", "value": 2}]}),
        *("It is ", "1.", done(usage=USAGE, metadata={"a": 1})),
    ),
    "an approval": ("Hm.", tool_call("book", {"seat": "7A"}, id="c1"), done(interrupts=[INTERRUPT])),
    "everything that is custom": (
        custom("STEP_STARTED", {"stepName": "s"}),
        custom("ACTIVITY_SNAPSHOT", {"messageId": "a", "activityType": "plan", "content": {"x": 1}}),
        custom("RAW", {"event": [1], "source": "model"}),
        custom("STEP_FINISHED", {"stepName": "s"}),
        custom("mood", None),
    ),
    "chunks in place of begin and end": (
        written("TEXT_MESSAGE_CHUNK", messageId="t", role="assistant", delta="Once"),
        written("TEXT_MESSAGE_CHUNK", delta=" upon"),
        written("REASONING_MESSAGE_CHUNK", messageId="r", delta="hm"),
        written("TOOL_CALL_CHUNK", toolCallId="c1", toolCallName="now", delta='{"a":'),
        written("TOOL_CALL_CHUNK", delta="1}"),
    ),
    "a message of another role": (
        written("TEXT_MESSAGE_START", messageId="u", role="user"),
        written("TEXT_MESSAGE_CONTENT", messageId="u", delta="hi"),
        written("TEXT_MESSAGE_END", messageId="u"),
    ),
    "an event that is new": ("Once", written("WEATHER_CHANGED", city="Oslo"), " upon"),
    "a failure": ("Once", tool_call("now"), error("BUSY", "no room left")),
}


class TestConformance(TransportConformance):
    requirements = 1
    styles = in_short("sync")
    options = MappingProxyType({"transport_options": {"agui_path": "/agui/{agent_id}"}})

    @pytest.fixture
    def transport(self) -> str:
        return "agui"

    @pytest.fixture
    def samples(self) -> dict[str, Any]:
        return SAMPLES
