"""The README is true: its examples run and print what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing import FakeAgentServer, tool_call
from tests.docs.pages import Page
from tests.support.plugin_readmes import check_examples, check_links

if TYPE_CHECKING:
    import pytest

README = Page(Path(__file__).parents[1] / "README.md")
STORY = ("Once", " upon", " a", " time")


def test_its_examples_do_what_it_shows(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(asked: Any) -> Any:
        if "It rains in Oslo." in str(asked.input):
            return ["Take an umbrella."]
        return [tool_call("weather", {"city": "Oslo"})] if "weather" in str(asked.input) else [*STORY]

    server.agent("storyteller").responds(answer)
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "anthropic")
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    check_examples(README, capsys)


def test_its_links_lead_somewhere() -> None:
    check_links(README)
