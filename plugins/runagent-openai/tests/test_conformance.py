"""The conformance kit, over both endpoints."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from runagent_testing.conformance import TransportConformance
from tests.support.kit import in_short


class TestChat(TransportConformance):
    requirements = 1
    styles = in_short("asyncio")
    options = MappingProxyType({"transport_options": {"openai_api": "chat"}})

    @pytest.fixture
    def transport(self) -> str:
        return "openai"


class TestResponses(TestChat):
    styles = in_short("trio")
    options = MappingProxyType({"transport_options": {"openai_api": "responses"}})
