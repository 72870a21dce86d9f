"""The conformance kit, over both endpoints."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import custom, done, raw, reasoning, tool_call
from runagent_testing.conformance import TransportConformance
from tests.support.kit import PLAYERS, in_short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HALVES = b'{"message": {"content": "\\ud83e"}}\n{"message": {"content": "\\udd8a"}}\n'


class TestChat(TransportConformance):
    requirements = 1
    styles = in_short("sync")
    players = PLAYERS
    options = MappingProxyType({"transport_options": {"ollama_api": "chat"}})

    @pytest.fixture
    def transport(self) -> str:
        return "ollama"

    @pytest.fixture
    def samples(self) -> Mapping[str, Iterable[Any]]:
        counts = {"prompt_eval_count": 4, "eval_count": 2}
        return {
            "a call": (reasoning("hm"), "Once", tool_call("weather", {"city": "Oslo"}), done(usage=counts)),
            "an emoji in two halves": ("Once", raw(HALVES), custom("logprobs", [{"token": "a"}])),
        }


class TestGenerate(TestChat):
    styles = in_short("trio")
    options = MappingProxyType({"transport_options": {"ollama_api": "generate"}})
    skip_capabilities = ("tools",)  # which only chat has

    @pytest.fixture
    def samples(self) -> Mapping[str, Iterable[Any]]:
        return {"thinking": (reasoning("hm"), "Once", done(usage={"eval_count": 2}, stop_reason="length"))}
