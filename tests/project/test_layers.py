"""The rooms of the code: imports point down, nothing goes in circles, and one line is promised."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import WITH_COOKBOOK, Page
from tests.project.layers import (
    LAYERS,
    PAGE,
    PROMISED,
    drawing,
    faults,
    import_graph,
    imported_names,
    promised,
    row_of,
    with_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]

# The sans-IO layers: bytes and events in, bytes and events out, no clock and no loop.
IO = {"socket", "ssl", "asyncio", "trio", "anyio", "threading", "time"}
PURE = ("runagent._wire", "runagent.transports", "runagent._address", "runagent._call")

# Imports each module alone, as the first one of its package: that also finds circular imports.
IMPORT_EACH = """
import importlib, sys
for name in sys.argv[1:]:
    for loaded in [m for m in sys.modules if m.partition(".")[0] in ("runagent", "runagent_testing")]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(f"{name}: {error!r}")
"""


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    """Who imports what."""
    return import_graph()


def test_imports_point_down_and_go_in_no_circle(graph: dict[str, set[str]]) -> None:
    assert [] == faults(graph)


def test_no_row_is_empty(graph: dict[str, set[str]]) -> None:
    assert set(LAYERS) == set(map(row_of, graph))


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("runagent._run.policy", "runagent._client.client"),
        ("runagent._run.run", "runagent._run.pump"),
        ("runagent._net.pool", "runagent._run.run"),
        ("runagent_testing._script.script", "runagent_testing._server.server"),
        ("runagent._wire.sse", "runagent.transports._sse"),
        ("runagent._errors", "runagent"),
    ],
)
def test_an_import_that_points_up_is_found(graph: dict[str, set[str]], module: str, imported: str) -> None:
    planted = graph | {module: graph[module] | {imported}}
    assert imported in graph
    assert any(module in fault and imported in fault for fault in faults(planted))


def test_a_module_in_no_row_is_found(graph: dict[str, set[str]]) -> None:
    assert ["runagent._new is in no row"] == faults(graph | {"runagent._new": set()})


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os, time as clock",
        "import time.sub",
        "from time import sleep",
        "def f():\n    from time import sleep",
        "if TYPE_CHECKING:\n    import time",
    ],
)
def test_no_form_of_an_import_goes_unseen(source: str) -> None:
    assert any(name.partition(".")[0] == "time" for name in imported_names(source, "runagent._wire.x"))


@pytest.mark.parametrize(
    ("source", "is_package", "expected"),
    [
        ("from . import client", False, "runagent._wire.client"),
        ("from .. import _client", False, "runagent._client"),
        ("from .._net.tls import context", False, "runagent._net.tls.context"),
        ("from . import sse", True, "runagent._wire.x.sse"),
    ],
)
def test_relative_imports_are_resolved(source: str, is_package: bool, expected: str) -> None:
    assert expected in imported_names(source, "runagent._wire.x", is_package=is_package)


@pytest.mark.parametrize("row", PURE)
def test_sessions_and_codecs_do_no_input_and_output(row: str) -> None:
    folder = ROOT / row.replace(".", "/")
    files = list(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    found = {
        f"{path.name} imports {name}"
        for path in files
        for name in imported_names(_without_type_checking(path.read_text(encoding="utf-8")), row)
        if name.partition(".")[0] in IO
    }
    assert files
    assert set() == found


def _without_type_checking(source: str) -> str:
    """Leave out what only type checkers read: the type of an SSL context is no input or output."""
    tree = ast.parse(source)
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    return ast.unparse(tree)


def reached_from(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Return the modules that one imports, and those that these import, also within functions."""
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        if (module := ahead.pop()) not in reached:
            reached.add(module)
            ahead += graph[module]
    return reached


@pytest.mark.parametrize("start", ["runagent_testing._server.server", "runagent_testing.faults"])
def test_the_fake_agent_imports_nothing_of_the_client(graph: dict[str, set[str]], start: str) -> None:
    reached = reached_from(graph, start)
    assert "runagent_testing._internal.clock" in reached
    assert set() == {module for module in reached if module.partition(".")[0] == "runagent"}


def test_an_import_of_the_client_is_found(graph: dict[str, set[str]]) -> None:
    planted = graph | {"runagent_testing._internal.clock": {"runagent._internal.clock"}}
    assert "runagent._internal.clock" in reached_from(planted, "runagent_testing._server.server")


def test_the_packages_import_no_tests(graph: dict[str, set[str]]) -> None:
    for path in [*(ROOT / "runagent").rglob("*.py"), *(ROOT / "runagent_testing").rglob("*.py")]:
        assert not any(
            name.partition(".")[0] == "tests" for name in imported_names(path.read_text("utf-8"), "x")
        )


def test_the_promised_modules_are_those_without_an_underscore(graph: dict[str, set[str]]) -> None:
    public = {
        name
        for name in graph
        if name.partition(".")[0] in ("runagent", "runagent_testing")
        and not any(part.startswith("_") for part in name.split("."))
    }
    assert PROMISED == public


def test_every_promised_module_can_be_the_first_import() -> None:
    command = [sys.executable, "-W", "error", "-c", IMPORT_EACH, *sorted(PROMISED)]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120
    )
    assert ("", "") == (result.stdout, result.stderr)


def private_imports(source: str) -> set[str]:
    """Return what is imported of the packages beyond the names that promised modules export."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in (
            "runagent",
            "runagent_testing",
        ):
            if node.module not in PROMISED:
                found.add(str(node.module))
                continue
            exported = __import__(str(node.module), fromlist=["__all__"]).__all__
            found |= {
                f"{node.module}.{alias.name}"
                for alias in node.names
                if alias.name not in (*exported, "*") and f"{node.module}.{alias.name}" not in PROMISED
            }
        elif isinstance(node, ast.Import):
            found |= {
                alias.name
                for alias in node.names
                if alias.name.partition(".")[0] in ("runagent", "runagent_testing")
                and alias.name not in PROMISED
            }
    return found


THIRD_PARTIES = [
    *sorted((ROOT / "plugins").glob("*/runagent_*/**/*.py")),
    *sorted((ROOT / "runagent_testing/_starter/template").rglob("*.py.txt")),
]


@pytest.mark.parametrize("path", THIRD_PARTIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_third_parties_import_promised_names_only(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert set() == private_imports(re.sub(r"\$\{?\w+\}?", "name", source))


@pytest.mark.parametrize("page", WITH_COOKBOOK, ids=lambda page: page.name)
def test_pages_import_promised_names_only(page: Page) -> None:
    assert set() == {name for example in page.examples() for name in private_imports(example.text)}


def test_a_private_import_is_found() -> None:
    assert {"runagent._net.base"} == private_imports("from runagent._net.base import Address")
    assert {"runagent.Nope"} == private_imports("from runagent import Nope, RunAgentClient")
    assert {"runagent._net"} == private_imports("import runagent._net")


def test_the_architecture_shows_the_layers() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert drawing() in page
    assert promised() in page
    assert with_blocks(page) == page, "run: python -m tests.project.layers --write"


def test_a_list_that_is_out_of_date_is_written_again() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_blocks(page.replace(drawing(), "runagent._old  a row that is gone"))


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no markers for 'layers'"):
        with_blocks("# Architecture\n")
