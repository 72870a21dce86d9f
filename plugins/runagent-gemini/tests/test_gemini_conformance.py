"""The conformance kit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent_testing import custom, done, error, raw, reasoning, tool_call
from runagent_testing.conformance import TransportConformance
from tests.support.kit import in_short

CITY = "Malm\u00f6 \U0001f98a"
SIGNED = {"functionCall": {"name": "clock", "args": {}}, "thoughtSignature": "c2ln"}


def piece(*parts: Any, **fields: Any) -> bytes:
    answer = {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **fields}]}
    return f"data: {json.dumps(answer)}\n\n".encode()


class TestConformance(TransportConformance):
    requirements = 1
    styles = in_short("trio")

    @pytest.fixture
    def transport(self) -> str:
        return "gemini"

    @pytest.fixture
    def samples(self) -> dict[str, tuple[Any, ...]]:
        return {
            "a question of two tools": (
                reasoning("Hm. "),
                "Let me see. ",
                tool_call("weather", {"city": CITY}, id="c1"),
                tool_call("clock", {}),
                done(usage={"promptTokenCount": 4, "totalTokenCount": 7}, stop_reason="STOP"),
            ),
            "a signed call": ("Well. ", raw(piece(SIGNED)), "It is late."),
            "other parts": (
                custom("executableCode", {"code": "1 + 1"}),
                custom("groundingMetadata", {"a": [1]}),
                "2",
            ),
            "a failure": ("Once", error("UNAVAILABLE", "overloaded")),
        }
