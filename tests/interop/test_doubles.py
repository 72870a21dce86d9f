"""docs/situations.md shows what other test doubles do: trials of each, compared with its cells."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.docs.pages import DOCS
from tests.interop.programs import (
    NODE_PACKAGES,
    ROOT,
    environment,
    find,
    needs_environment,
    needs_node_packages,
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(sys.platform == "win32", reason="trials run in forks of their script"),
]
FOLDER = ROOT / "tests/interop/doubles"
DOUBLES = ("aimock", "MockServer", "WireMock", "respx", "pytest-httpserver", "vcrpy")
BY_PYTHON = needs_environment("doubles")


def cells(double: str) -> dict[str, str]:
    """The verdicts of the page about a double that were found by a run, by situation."""
    rows = re.findall(r"^\| (\d+) \| ([^|]+(?: \| [^|]+){5}) \|$", DOCS["situations"].text, re.MULTILINE)
    shown = {number: row.split(" | ")[DOUBLES.index(double)] for number, row in rows}
    return {number: cell.removesuffix(", run") for number, cell in shown.items() if cell.endswith(", run")}


@pytest.mark.parametrize(
    ("double", "script"),
    [
        pytest.param("aimock", "aimock_trials.mjs", marks=needs_node_packages()),
        pytest.param("respx", "respx_trials.py", marks=BY_PYTHON),
        pytest.param("pytest-httpserver", "httpserver_trials.py", marks=BY_PYTHON),
        pytest.param("vcrpy", "vcrpy_trials.py", marks=BY_PYTHON),
    ],
)
def test_the_page_shows_what_a_double_does(double: str, script: str) -> None:
    program = str(environment("doubles")) if script.endswith(".py") else str(find("node"))
    result = subprocess.run(
        [program, str(FOLDER / script)],
        env={"NODE_PACKAGES": str(NODE_PACKAGES), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    shown = json.loads(result.stdout)
    assert cells(double) == shown["verdicts"]
    assert f"{double} {shown['version']}, run" in DOCS["situations"].text
