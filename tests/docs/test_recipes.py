"""The recipes of the cookbook: all are in its index, and some do more than their programs show."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AsyncRunAgentClient, StreamTruncatedError
from runagent_testing import FakeAgentServer, ending
from tests.docs.pages import COOKBOOK, RECIPES, ROOT, Page, anchor

if TYPE_CHECKING:
    from pathlib import Path

INDEX = COOKBOOK["index"]


@pytest.mark.parametrize("page", RECIPES, ids=lambda page: page.name)
def test_every_recipe_is_in_the_index(page: Page) -> None:
    _, *recipes = page.headings()
    listed = [target for target in INDEX.links() if target.startswith(page.path.name)]
    assert [f"{page.path.name}#{anchor(recipe)}" for recipe in recipes] == listed


def test_there_are_twenty_five_situations_and_more() -> None:
    situations = [row for row in INDEX.rows() if len(row) == 2 and "test-" not in row[1]]
    assert len(situations) > 25 + 5  # the heads of tables are rows, too


@pytest.mark.parametrize("page", RECIPES, ids=lambda page: page.name)
def test_every_recipe_has_a_program(page: Page) -> None:
    for recipe in page.headings()[1:]:
        assert re.search("^```(?:py|console)", page.section(anchor(recipe)), re.MULTILINE), recipe


def test_every_reader_of_a_broadcast_gets_the_error_behind_all_chunks(
    server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    agent = server.agent("your-agent-id").reply("good").reply("a", "b", ending("cut"), indexed=False)
    (text,) = (each.text for each in COOKBOOK["the-text"].examples() if "class Broadcast" in each.text)
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(text, "the-text", "exec", dont_inherit=True), names)

    async def read(answer: Any, seen: list[Any]) -> None:
        async for chunk in answer:
            seen.append(chunk)  # noqa: PERF401 - it ends with an error

    async def scenario() -> list[list[Any]]:
        answer = names["Broadcast"](AsyncRunAgentClient(agent.id).run_generic_stream("x"))
        seen: list[list[Any]] = [[], [], []]
        early = [asyncio.create_task(read(answer, each)) for each in seen[:2]]
        for reading in [*early, read(answer, seen[2])]:
            with pytest.raises(StreamTruncatedError):
                await reading
        return seen

    assert [["a", "b"]] * 3 == asyncio.run(scenario())


def test_the_commands_of_a_shell_script_print_what_is_shown(server: FakeAgentServer, tmp_path: Path) -> None:
    lines = COOKBOOK["production"].block("$ runagent").splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    server.agent("your-agent-id").always("Once", " upon", " a", " time")
    environment = {**os.environ, "RUNAGENT_API_URL": server.url, "PYTHONPATH": str(ROOT)}
    script = f'runagent() {{ "{sys.executable}" -m runagent "$@"; }}\n' + "\n".join(commands)
    result = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert [line for line in lines if not line.startswith("$ ")] == result.stdout.splitlines()
    assert (0, "") == (result.returncode, result.stderr)
    assert "Once upon a time" == (tmp_path / "story.txt").read_text("utf-8").strip()
