"""The guides: each begins with a program, and the cells of a notebook run where a loop is running already."""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tests.docs import site
from tests.docs.pages import DOCS, Page

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from runagent_testing import FakeAgentServer

GUIDES = [
    *("streaming-responses", "errors-and-retries", "timeouts", "backpressure", "conversations", "sharing"),
    *("notebooks",),
]
CELLS = re.findall(r"^```(?:py|python)\n(.*?)^```$", DOCS["notebooks"].text, re.DOTALL | re.MULTILINE)


def test_the_guides_are_the_first_of_their_group() -> None:
    shown = [place for group, _, place in site.nav_pages() if group == "Guides"]
    assert [f"{name}.md" for name in GUIDES] == shown[: len(GUIDES)]


@pytest.mark.parametrize("page", [DOCS[name] for name in GUIDES[1:]], ids=lambda page: page.name)
def test_a_guide_begins_with_a_program_and_is_short(page: Page) -> None:
    before, heading, _ = page.text.partition("\n## ")
    assert heading
    assert "```python\n" in before
    assert page.text.count("\n") <= 150


class Shown:
    """What a cell displays, and displays again."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def update(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Be IPython, which is not installed here."""
    shown, module = Shown(), ModuleType("IPython.display")
    module.Markdown = str  # type: ignore[attr-defined]
    module.display = lambda text, *, display_id: shown  # type: ignore[attr-defined]  # noqa: ARG005
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


@pytest.fixture
def service(server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch) -> FakeAgentServer:
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    server.agent("your-agent-id").always("Once", " upon")
    return server


def run_cell(source: str) -> dict[str, Any]:
    """Run a cell in a running loop, as ipykernel does; return its names."""
    names: dict[str, Any] = {"__name__": "__main__"}
    code = compile(source, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)

    async def run() -> None:
        result: Coroutine[Any, Any, None] | None = eval(code, names)
        if result is not None:  # the cell awaits something
            await result

    asyncio.run(run())
    return names


def test_every_cell_of_a_notebook_runs_in_a_running_loop(service: FakeAgentServer, shown: Shown) -> None:
    for cell in CELLS:
        run_cell(cell)
    assert 8 == len(service.requests)
    assert ["Once", "Once upon"] == shown.texts


def test_a_cell_of_a_notebook_prints_the_answer(
    service: FakeAgentServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for cell in CELLS[:2]:
        run_cell(cell)
        assert "Once upon" == capsys.readouterr().out
    assert 2 == len(service.requests)
