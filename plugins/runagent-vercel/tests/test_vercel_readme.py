"""The README is true: its examples run and print what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing import FakeAgentServer, custom, done, tool_call
from tests.docs.pages import Page
from tests.support.plugin_readmes import check_examples, check_links

if TYPE_CHECKING:
    import pytest

README = Page(Path(__file__).parents[1] / "README.md")
WEATHER = (
    tool_call("weather", {"city": "Oslo"}, id="c1"),
    custom("tool_result", {"toolCallId": "c1", "output": "sunny"}),
    custom("city", "Oslo"),
)
SCRIPTS: dict[str, list[Any]] = {
    "Tell me a story": ["Once", " upon", " a", " time"],
    "What is the weather in Oslo?": [*WEATHER],
    "Book a seat": ["Hm.", tool_call("book", {}, id="c1"), done(interrupts=[{}])],
}


def answer(request: Any) -> list[Any]:
    """The script of the answer to each question of the README."""
    last = request.body["messages"][-1]
    return SCRIPTS[last["parts"][0]["text"]] if last["role"] == "user" else ["Booked."]


def test_its_examples_do_what_it_shows(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.agent("storyteller").responds(answer)
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "vercel")
    monkeypatch.setenv("RUNAGENT_API_URL", f"{server.url}/vercel/storyteller")
    check_examples(README, capsys)


def test_its_links_lead_somewhere() -> None:
    check_links(README)
