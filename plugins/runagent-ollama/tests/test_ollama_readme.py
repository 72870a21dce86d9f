"""The README is true: its examples run and print what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing import FakeAgentServer, tool_call
from tests.docs.pages import Page

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
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "ollama")
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    namespace: dict[str, Any] = {}
    for example in README.examples():
        exec(compile(example.text, README.name, "exec"), namespace)  # the examples are the project's
        shown = capsys.readouterr().out
        assert (example.line, (example.output or "").rstrip("\n")) == (example.line, shown.rstrip("\n"))


def test_its_links_lead_somewhere() -> None:
    targets = [target.partition("#")[0] for target in README.links()]
    assert targets
    assert [] == [target for target in targets if not (README.path.parent / target).exists()]
