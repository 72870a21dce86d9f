"""The conformance kit, with streams as the AI SDK's servers write them."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from runagent_testing import custom, done, error, heartbeat, raw, reasoning, tool_call
from runagent_testing.conformance import TransportConformance
from tests.support.kit import in_short


def written(kind: str, **fields: Any) -> Any:
    """A chunk in a form that no step makes."""
    return raw(f"data: {json.dumps({'type': kind, **fields})}\n\n".encode())


SAMPLES = {
    "a tool of the server": (
        *(reasoning("so "), "Let me see.", tool_call("count", {"to": 2}, id="c1"), heartbeat()),
        custom("tool_result", {"toolCallId": "c1", "output": {"count": 1}}),
        *(written("finish-step"), written("start-step"), "It is ", "1.", done(metadata={"a": 1})),
    ),
    "an approval": (
        *("Hm.", tool_call("book", {"seat": "7A"}, id="c1")),
        done(interrupts=[{"approvalId": "a1", "toolCallId": "c1"}]),
    ),
    "what is shown next to the text": (
        custom("source-url", {"sourceId": "s", "url": "https://x.test", "title": "X"}),
        custom("file", {"url": "data:text/plain,x", "mediaType": "text/plain"}),
        custom("weather", {"city": "Oslo"}),
        custom("message-metadata", {"model": "m"}),
        *("Once", done(stop_reason="length")),
    ),
    "a call that is not streamed": (
        written("tool-input-available", toolCallId="c1", toolName="now", input={"a": 1}),
        written("tool-input-error", toolCallId="c2", toolName="now", input=1, errorText="why"),
    ),
    "what a provider adds": (
        written("reasoning-start", id="r", providerMetadata={"x": {"signature": "s"}}),
        written("data-plan", id="p", data={"steps": 2}, transient=True),
    ),
    "a chunk that is new": ("Once", written("weather-changed", city="Oslo"), " upon"),
    "a failure": ("Once", tool_call("now"), error("BUSY", "no room left")),
}


class TestConformance(TransportConformance):
    requirements = 1
    styles = in_short("sync")
    options = MappingProxyType({"transport_options": {"vercel_path": "/vercel/{agent_id}"}})

    @pytest.fixture
    def transport(self) -> str:
        return "vercel"

    @pytest.fixture
    def samples(self) -> dict[str, Any]:
        return SAMPLES
