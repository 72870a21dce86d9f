"""The built-in transports pass the conformance kit, whatever they are asked to read."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from runagent_testing.conformance import TransportConformance
from tests.support.kit import in_short


class TestSSE(TransportConformance):
    requirements = 1

    @pytest.fixture
    def transport(self):
        return "sse"


class TestChunked(TransportConformance):
    requirements = 1

    @pytest.fixture
    def transport(self):
        return "chunked"


class TestPlainText(TransportConformance):
    """What chunked HTTP reads where the agent has nothing better."""

    requirements = 1
    styles = in_short("sync")
    skip_capabilities = ("heartbeats", "resume", "structured", "tools", "reasoning")
    options = MappingProxyType({"headers": {"Accept": "text/plain"}})

    @pytest.fixture
    def transport(self):
        return "chunked"


class TestWebSocket(TransportConformance):
    requirements = 1

    @pytest.fixture
    def transport(self):
        return "websocket"
