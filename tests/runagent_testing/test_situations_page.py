"""docs/situations.md is true: a situation is a test, and a cell about another tool shows how it was found."""

from __future__ import annotations

import ast
import itertools
import re

import pytest

from tests.docs.pages import DOCS, ROOT

PAGE = DOCS["situations"]
FOLDER = ROOT / "tests/runagent_testing/situations"
TRIALS = {
    "aimock": ("aimock_trials.mjs", r"^  (\d+): \["),
    "respx": ("respx_trials.py", r"^@situation\((\d+)"),
    "pytest-httpserver": ("httpserver_trials.py", r"^@situation\((\d+)"),
    "vcrpy": ("vcrpy_trials.py", r"^@situation\((\d+)"),
}
TOOLS = ("aimock", "MockServer", "WireMock", "respx", "pytest-httpserver", "vcrpy")
VERDICTS = ("yes", "partly", "no", "not found")


def table(beginning):
    """Read the rows of the table whose head begins so, without the head."""
    lines = PAGE.text.splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith(beginning)) + 2
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[begin:])
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


SITUATIONS = table("| | situation |")
OTHERS = table("| | aimock |")
READ = {row[0]: row for row in table("| key |")}


def named_by(row):
    """The tests that a row names, each with its file."""
    links = re.findall(r"\[(test_\w+)\]\(([^)]+)\)", row[5])
    return [((PAGE.path.parent / file).resolve(), name) for name, file in links]


def defined_in(path):
    """The names of the tests of a file, without those that it writes for another process."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {one.name for one in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(one, kinds)}


def test_both_tables_have_the_same_situations():
    numbers = [row[0] for row in SITUATIONS]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)] == [row[0] for row in OTHERS]
    assert len(numbers) > 40


@pytest.mark.parametrize("row", SITUATIONS, ids=lambda row: row[1])
def test_a_situation_is_a_test(row):
    assert named_by(row)
    assert [] == [(path, name) for path, name in named_by(row) if name not in defined_in(path)]
    assert row[3] in VERDICTS
    assert row[4]


def test_every_test_of_a_situation_is_on_the_page():
    named = {test for row in SITUATIONS for test in named_by(row)}
    written = {
        (path, name) for path in FOLDER.glob("test_*.py") for name in defined_in(path) if name[:5] == "test_"
    }
    assert written
    assert set() == written - named


@pytest.mark.parametrize("row", OTHERS, ids=lambda row: row[0])
def test_a_cell_about_another_tool_shows_how_it_was_found(row):
    assert len(row) == len(TOOLS) + 1
    for tool, cell in zip(TOOLS, row[1:], strict=True):
        verdict, _, key = cell.partition(", ")
        is_found = key == "run" or READ.get(key, ["", ""])[1].startswith(tool)
        assert cell == "–" or (verdict in VERDICTS and is_found), (tool, cell)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_cell_that_was_run_has_a_trial_and_every_trial_a_cell(tool):
    at = 1 + TOOLS.index(tool)
    script, pattern = TRIALS.get(tool, ("trials.py", "no trial$"))
    text = (ROOT / "tests/interop/doubles" / script).read_text(encoding="utf-8")
    assert re.findall(pattern, text, re.MULTILINE) == [row[0] for row in OTHERS if row[at].endswith(", run")]


def test_every_page_that_was_read_is_used_and_has_its_date():
    used = {cell.partition(", ")[2] for row in OTHERS for cell in row[1:]} - {"", "run"}
    assert set(READ) == used
    assert [] == [key for key, row in READ.items() if not re.search(r"\b20\d\d\b", row[2])]
