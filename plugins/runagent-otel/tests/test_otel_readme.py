"""The README is true: its examples run and print what it shows, its lists have what the package records."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import runagent_otel
from runagent_otel import names

from runagent_testing import FakeAgentServer, status
from tests.docs.pages import Page
from tests.support.plugin_readmes import check_examples, check_links

if TYPE_CHECKING:
    import pytest

README = Page(Path(__file__).parents[1] / "README.md")


def test_its_examples_do_what_it_shows(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.agent("storyteller").reply(status(503)).reply("Once", " upon", " a", " time")
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    handles = []
    instrument = runagent_otel.instrument

    def instrument_until_the_end(*args: object) -> object:
        handles.append(instrument(*args))  # type: ignore[arg-type]
        return handles[-1]

    monkeypatch.setattr(runagent_otel, "instrument", instrument_until_the_end)
    try:
        check_examples(README, capsys)
    finally:
        for handle in handles:
            handle.close()


def test_its_links_lead_somewhere() -> None:
    check_links(README)


def test_it_names_everything_that_is_recorded_and_nothing_else() -> None:
    texts = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    recorded = {text for text in texts if "." in text} - {names.SCHEMA_URL}
    assert names.DURATION in recorded
    spans = {span for span in README.spans() if re.fullmatch(r"[a-z_]+\.[a-z_.]+", span)}
    assert recorded == {span for span in spans if not span.startswith(("gcp.", "report."))}
