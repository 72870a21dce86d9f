"""The README is true: its examples run and print what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing import FakeAgentServer, custom, done, tool_call
from tests.docs.pages import Page

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
    namespace: dict[str, Any] = {}
    for example in README.examples():
        exec(compile(example.text, README.name, "exec"), namespace)  # the examples are the project's
        shown = capsys.readouterr().out
        assert (example.line, (example.output or "").rstrip("\n")) == (example.line, shown.rstrip("\n"))


def test_its_links_lead_somewhere() -> None:
    targets = [target.partition("#")[0] for target in README.links() if not target.startswith("https://")]
    assert targets
    assert [] == [target for target in targets if not (README.path.parent / target).exists()]
