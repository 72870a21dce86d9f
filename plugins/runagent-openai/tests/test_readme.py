"""The README is true: its examples run and print what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing import FakeAgentServer, done
from tests.docs.pages import Page
from tests.support.plugin_readmes import check_examples, check_links

if TYPE_CHECKING:
    import pytest

README = Page(Path(__file__).parents[1] / "README.md")
STORY = ("Once", " upon", " a", " time")
USAGE = {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}


def test_its_examples_do_what_it_shows(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(asked: Any) -> Any:
        return [CALL] if "weather" in str(asked.input) else [*STORY, done(usage=USAGE)]

    server.agent("storyteller").responds(answer)
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "openai")
    monkeypatch.setenv("RUNAGENT_API_URL", f"{server.url}/v1")
    check_examples(README, capsys)


def test_its_links_lead_somewhere() -> None:
    check_links(README)
