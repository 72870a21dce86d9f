"""The README is true: its examples run and print what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing import FakeAgentServer, done
from tests.docs.pages import Page

if TYPE_CHECKING:
    import pytest

README = Page(Path(__file__).parents[1] / "README.md")


def test_its_examples_do_what_it_shows(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = done(usage={"totalTokenCount": 7})
    server.agent("gemini-2.5-flash").reply("Once", " upon a time", usage, writes="per-step")
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "gemini")
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    namespace: dict[str, Any] = {}
    for example in README.examples():
        exec(compile(example.text, README.name, "exec"), namespace)  # the examples are the project's
        shown = capsys.readouterr().out
        assert (example.line, (example.output or "").rstrip("\n")) == (example.line, shown.rstrip("\n"))


def test_its_links_lead_somewhere() -> None:
    targets = [target.partition("#")[0] for target in README.links() if "://" not in target]
    assert targets
    assert [] == [target for target in targets if not (README.path.parent / target).exists()]
