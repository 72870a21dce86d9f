"""The conformance kit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import custom, done, raw, reasoning, tool_call
from runagent_testing.conformance import TransportConformance
from tests.support.kit import PLAYERS, in_short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
USAGE = {"input_tokens": 4, "cache_read_input_tokens": 3, "output_tokens": 2}


class TestConformance(TransportConformance):
    requirements = 1
    styles = in_short("asyncio")
    players = PLAYERS

    @pytest.fixture
    def transport(self) -> str:
        return "anthropic"

    @pytest.fixture
    def samples(self) -> Mapping[str, Iterable[Any]]:
        search = {"id": "srvtoolu_1", "name": "web_search", "input": {"query": "Oslo"}}
        return {
            "everything": (
                *(reasoning("let me "), reasoning("see"), "Once", raw(PING), " upon"),
                *(tool_call("weather", {"city": "Oslo"}, id="toolu_1"), custom("server_tool_use", search)),
                *(tool_call("time", {}), done(usage=USAGE, stop_reason="tool_use")),
            ),
            "a stop sequence": ("Once", done(stop_reason="stop_sequence", metadata={"stop_sequence": "\n"})),
        }
