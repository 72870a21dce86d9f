"""The conformance kit, over both endpoints."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from runagent_testing.conformance import TransportConformance


class TestChat(TransportConformance):
    requirements = 1
    options = MappingProxyType({"transport_options": {"openai_api": "chat"}})

    @pytest.fixture
    def transport(self) -> str:
        return "openai"


class TestResponses(TestChat):
    options = MappingProxyType({"transport_options": {"openai_api": "responses"}})
