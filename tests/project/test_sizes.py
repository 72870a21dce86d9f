"""The sizes of files and classes, as CONTRIBUTING.md limits them."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.project.layers import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MAX_LINES = 400
MAX_METHODS = 25
FOLDERS = [
    *(ROOT / name for name in ("runagent", "runagent_testing", "tests")),
    *sorted((ROOT / "plugins").glob("*/*_*")),
]
# Above the class that has more, with the reason behind it.
REASON = re.compile(r"# Many methods: \S")


def long_files(folder: Path) -> list[str]:
    return [
        path.name
        for path in folder.rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES
    ]


def large_classes(source: str) -> list[str]:
    """Name the classes that have more methods, public and private, than allowed, and no reason."""
    lines = source.splitlines()
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in node.body) > MAX_METHODS
        and not REASON.match(lines[node.lineno - 2])
    ]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_file_is_too_long(folder: Path) -> None:
    assert [] == long_files(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_class_has_too_many_methods_without_a_reason(folder: Path) -> None:
    sources = [path.read_text(encoding="utf-8") for path in folder.rglob("*.py")]
    assert sources
    assert [] == [name for source in sources for name in large_classes(source)]


def test_what_is_too_large_is_found(tmp_path: Path) -> None:
    source = "class Large:\n" + "".join(f"    def f{n}(self): ...\n" for n in range(MAX_METHODS + 1))
    assert ["Large"] == large_classes(f"\n{source}")
    assert [] == large_classes(f"# Many methods: a plugin overrides each of them.\n{source}")
    for lines in (MAX_LINES, MAX_LINES + 1):
        (tmp_path / f"of_{lines}.py").write_text("\n" * lines, encoding="utf-8")
    assert [f"of_{MAX_LINES + 1}.py"] == long_files(tmp_path)
