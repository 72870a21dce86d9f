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
RESULT = {"messageId": "m1", "toolCallId": "c1", "content": "sunny", "role": "tool"}
WEATHER = (
    tool_call("weather", {"city": "Oslo"}, id="c1"),
    custom("tool_result", RESULT),
    custom("state", {"city": "Oslo"}),
)


def answer(request: Any) -> list[Any]:
    """The script of the answer to each question of the README."""
    last = (request.input.get("messages") or [{"role": "user", "content": request.input.get("query")}])[-1]
    if "resume" in request.input:
        return ["Booked."]
    if last["role"] == "tool":
        return [f"It is {last['content']}."]
    answers: dict[str, list[Any]] = {
        "Tell me a story": ["Once", " upon", " a", " time"],
        "What is the weather in Oslo?": [*WEATHER],
        "What time is it?": [tool_call("now", {}, id="c1")],
        "Book a seat": [done(interrupts=[{"id": "i", "reason": "tool_call", "message": "Book seat 7A?"}])],
    }
    return answers[last["content"]]


def test_its_examples_do_what_it_shows(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.agent("storyteller").responds(answer)
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "agui")
    monkeypatch.setenv("RUNAGENT_API_URL", f"{server.url}/agui/storyteller")
    check_examples(README, capsys)


def test_its_links_lead_somewhere() -> None:
    check_links(README)
