"""The settings of commands that talk to an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from runagent_testing import FakeAgentServer


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty home."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def settings(monkeypatch, server: FakeAgentServer) -> None:
    """Failures are reported at once, and the server needs no option."""
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    monkeypatch.setenv("RUNAGENT_MAX_RETRIES", "0")
    monkeypatch.setenv("TERM", "xterm")
