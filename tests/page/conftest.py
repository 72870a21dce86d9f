"""The page's clients name nothing but the agent: where it is and how to talk to it is in the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runagent_testing import Agent, FakeAgentServer


@pytest.fixture
def agent(server: FakeAgentServer, transport: str, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """The agent of the page, at the other end of each transport in turn."""
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    monkeypatch.setenv("RUNAGENT_TRANSPORT", transport)
    monkeypatch.setenv("RUNAGENT_TIMEOUT", "10")
    return server.agent("your-agent-id")
