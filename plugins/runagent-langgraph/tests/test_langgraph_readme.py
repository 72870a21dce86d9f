"""The README is true: its examples run and print what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runagent_testing import FakeAgentServer, done
from tests.docs.pages import Page
from tests.support.plugin_readmes import check_examples, check_links

if TYPE_CHECKING:
    import pytest

README = Page(Path(__file__).parents[1] / "README.md")


def test_its_examples_do_what_it_shows(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = server.agent("chat").reply("Once", " upon a time", writes="per-step").reply("They lived happily")
    agent.reply(done(interrupts=[{"value": "Really?"}])).reply("It is deleted")
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "langgraph")
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    check_examples(README, capsys)


def test_its_links_lead_somewhere() -> None:
    check_links(README)
