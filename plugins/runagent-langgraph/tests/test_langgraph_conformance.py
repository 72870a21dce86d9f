"""The conformance kit, against the dialect with separate ids and with ids that events share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runagent_langgraph.testing import LangGraphDialect

from runagent_testing import custom, done, error, raw, reasoning, tool_call
from runagent_testing.conformance import TransportConformance, check_transport
from tests.support.kit import in_short

CITY = "Malm\u00f6 \U0001f98a"


class DevelopmentDialect(LangGraphDialect):
    """Gives events of one millisecond the same id, as the development server does."""

    events_per_id = 2


def messages(*pieces: dict[str, Any]) -> bytes:
    """Write pieces of a message, without ids; JSON escapes halves of an emoji."""
    about = {"langgraph_node": "agent"}
    common = {"type": "AIMessageChunk", "id": "m1"}
    written = [json.dumps([{**common, **piece}, about]) for piece in pieces]
    return "".join(f"event: messages\r\ndata: {data}\r\n\r\n" for data in written).encode()


def piece(index: int, args: str, **call: Any) -> dict[str, Any]:
    return {"content": "", "tool_call_chunks": [{"index": index, "args": args, **call}]}


TWO_CALLS = messages(
    piece(0, '{"city": "Malm\u00f6 \ud83e', id="c1", name="weather"),
    piece(1, "", id="c2", name="time"),
    piece(0, '\udd8a"}'),
    piece(1, "{}"),
    {"content": "", "chunk_position": "last"},
)


class TestConformance(TransportConformance):
    requirements = 1
    styles = in_short("asyncio")

    @pytest.fixture
    def transport(self) -> str:
        return "langgraph"

    @pytest.fixture
    def samples(self) -> dict[str, tuple[Any, ...]]:
        return {
            "two calls at once": (reasoning("Let me see. "), raw(TWO_CALLS), "It rains."),
            "a tool loop": (
                tool_call("weather", {"city": CITY}, id="c1"),
                custom("tool_result", {"content": "rain", "tool_call_id": "c1"}),
                "It rains.",
                custom("state", {"turns": 1}),
                done(usage={"input_tokens": 4, "total_tokens": 6}, stop_reason="stop"),
            ),
            "an interrupt": ("May I? ", done(interrupts=[{"id": "i1", "value": "approve"}])),
            "a failure": ("Once", tool_call("look", {"at": CITY}, id="c1"), error("ValueError", "broken")),
        }


def test_ids_that_events_share() -> None:
    checked = check_transport(
        "langgraph",
        dialects=[DevelopmentDialect()],
        only=["run.attach", "run.not-begun-again", "run.order", "run.other-events", "run.resume-by-id"],
        players=["memory"],
        requirements=1,
    )
    checked.check()
    assert any(result.status == "passed" for result in checked.results)


def test_events_behind_the_last_chunk_are_not_taken_for_an_end_marker() -> None:
    checked = check_transport("langgraph", only=["session.nothing-after-end"], requirements=1)
    assert ["not applicable"] == [result.status for result in checked.results]
