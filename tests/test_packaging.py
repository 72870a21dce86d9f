"""What is shipped, what it imports, and what lies at the top of the repository."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from runagent._version import __version__
from tests.support.wheels import build_wheel

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("runagent", "runagent_testing")
PROJECTS = [ROOT / "pyproject.toml", *sorted((ROOT / "plugins").glob("*/pyproject.toml"))]

TOP_LEVEL = {
    *PACKAGES,
    "plugins",
    "tests",
    "docs",
    "pyproject.toml",
    "conftest.py",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "constraints.txt",
    "constraints-lowest.txt",
}

# The sans-IO layers: bytes and events in, bytes and events out, no clock and no loop.
IO = {"socket", "ssl", "asyncio", "trio", "anyio", "threading", "time"}
ABOVE_SESSIONS = {
    f"runagent.{name}" for name in ("client", "clientcore", "options", "stream", "policy", "cli", "__main__")
}
NETWORKS = {f"runagent._net.{name}" for name in ("blocking", "aio", "trio", "pool", "tls")}
MUST_NOT_IMPORT = {
    "runagent/wire": IO | ABOVE_SESSIONS | {"runagent._net", "runagent.transports", "runagent_testing"},
    "runagent/transports": IO | ABOVE_SESSIONS | NETWORKS | {"runagent_testing"},
    "runagent/net": ABOVE_SESSIONS | {"runagent.transports", "runagent_testing"},
    "runagent": {"tests"},
    "runagent_testing": {"tests"},
}

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


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def public_modules(package: str) -> list[str]:
    names = [module_name(path) for path in sorted((ROOT / package).rglob("*.py"))]
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


def imported_names(source: str, module: str, *, is_package: bool = False) -> set[str]:
    """Every dotted name that import statements in `source` mention, wherever they stand."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                parents = package[: len(package) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def violations(folder: Path, forbidden: set[str]) -> list[str]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        names = imported_names(source, module_name(path), is_package=path.name == "__init__.py")
        bad = {name for name in names for rule in forbidden if name == rule or name.startswith(f"{rule}.")}
        found += [f"{path.relative_to(ROOT)} imports {name}" for name in sorted(bad)]
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    } | {f"{package}/py.typed" for package in PACKAGES}
    template = ROOT / "runagent_testing/starter/template"
    sources |= {str(path.relative_to(ROOT)) for path in template.rglob("*.txt")}
    metadata = {name for name in names if name.startswith(f"runagent-{__version__}.dist-info/")}
    assert sources == names - metadata
    assert f"runagent-{__version__}.dist-info/licenses/LICENSE" in metadata


def test_the_version_is_the_same_everywhere(wheel: Path) -> None:
    assert f"runagent-{__version__}-py3-none-any.whl" == wheel.name


def test_the_wheel_installs_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        entry_points = archive.read(name).decode()
    assert "[console_scripts]\nrunagent = runagent._cli:main\n" in entry_points


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_module_can_be_the_first_import(package: str) -> None:
    names = public_modules(package)
    assert {package, f"{package}.cli"} <= set(names)
    command = [sys.executable, "-W", "error", "-c", IMPORT_EACH, *names]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120
    )
    assert ("", "") == (result.stdout, result.stderr)


@pytest.mark.parametrize("folder", MUST_NOT_IMPORT)
def test_imports_only_point_down(folder: str) -> None:
    assert list((ROOT / folder).rglob("*.py"))
    assert [] == violations(ROOT / folder, MUST_NOT_IMPORT[folder])


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
        ("from .. import client", False, "runagent._client.clients"),
        ("from ..net.tls import context", False, "runagent._net.tls"),
        ("from . import sse", True, "runagent._wire.x.sse"),
    ],
)
def test_relative_imports_are_resolved(source: str, is_package: bool, expected: str) -> None:
    assert expected in imported_names(source, "runagent._wire.x", is_package=is_package)


def test_the_top_level_holds_only_what_belongs_there() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout
    names = {name.partition("/")[0] for name in listed.split("\0") if name}
    assert "pyproject.toml" in names
    assert set() == {name for name in names - TOP_LEVEL if not name.startswith(".")}


def requirements(project: Path) -> list[str]:
    """Everything that a pyproject.toml has installed, but this project itself."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))
    extras = table["project"].get("optional-dependencies", {}).values()
    named = [*table["build-system"]["requires"], *table["project"]["dependencies"], *itertools.chain(*extras)]
    return [requirement for requirement in named if Requirement(requirement).name != "runagent"]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_every_lower_bound_is_what_make_installs_for_its_test(project: Path) -> None:
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        canonicalize_name(name): Version(version)
        for name, equals, version in (line.partition("==") for line in lines)
        if equals
    }
    for requirement in map(Requirement, requirements(project)):
        (bound,) = requirement.specifier
        assert ">=" == bound.operator, requirement
        assert pins[canonicalize_name(requirement.name)] == Version(bound.version), requirement
