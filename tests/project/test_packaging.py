"""What is shipped, what it imports, and what lies at the top of the repository."""

from __future__ import annotations

import itertools
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from runagent._version import __version__
from tests.docs.pages import DOCS, code_in
from tests.support.plugin_packages import links_of_the_package_page
from tests.support.wheels import build_wheel

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("runagent", "runagent_testing")
CI = ROOT / ".github/workflows/ci.yml"
MAKEFILE = ROOT / "Makefile"
REQUIREMENTS = ROOT / "tests/interop/requirements"
PROJECTS = [ROOT / "pyproject.toml", *sorted((ROOT / "plugins").glob("*/pyproject.toml"))]

TOP_LEVEL = {
    *PACKAGES,
    "plugins",
    "tests",
    "docs",
    "pyproject.toml",
    "conftest.py",
    "README.md",
    "SECURITY.md",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "constraints.txt",
    "constraints-lowest.txt",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_contains_the_two_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    } | {f"{package}/py.typed" for package in PACKAGES}
    template = ROOT / "runagent_testing/_starter/template"
    sources |= {str(path.relative_to(ROOT)) for path in template.rglob("*.txt")}
    kit = ROOT / "runagent_testing/conformance"
    sources |= {str(path.relative_to(ROOT)) for path in kit.rglob("*.pem")}
    sources.add("runagent_testing/_control/page.html")
    metadata = {name for name in names if name.startswith(f"runagent-{__version__}.dist-info/")}
    assert sources == names - metadata
    assert f"runagent-{__version__}.dist-info/licenses/LICENSE" in metadata


def test_the_version_is_the_same_everywhere(wheel: Path) -> None:
    assert f"runagent-{__version__}-py3-none-any.whl" == wheel.name


def test_the_package_page_has_no_links_into_the_repository(wheel: Path, tmp_path: Path) -> None:
    assert [] == links_of_the_package_page(zipfile.Path(wheel), tmp_path)


def test_the_wheel_installs_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        entry_points = archive.read(name).decode()
    assert "[console_scripts]\nrunagent = runagent._cli:main\n" in entry_points


def test_the_top_level_has_only_what_belongs_there() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout
    names = {name.partition("/")[0] for name in listed.split("\0") if name}
    assert "pyproject.toml" in names
    assert set() == {name for name in names - TOP_LEVEL if not name.startswith(".")}


def tables(project: Path) -> dict[str, Any]:
    content = tomllib.loads(project.read_text(encoding="utf-8"))
    about = content["project"]
    return {
        "addresses": about.get("urls"),
        "authors": about.get("authors"),
        "licence": (about["license"], about["license-files"]),
        "package page": content["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"],
        "Pythons": {line for line in about["classifiers"] if line.startswith("Programming Language")},
    }


@pytest.mark.parametrize("project", PROJECTS[1:], ids=lambda path: path.parent.name)
def test_every_plugin_has_the_same_tables_as_the_project(project: Path) -> None:
    of_the_project = tables(PROJECTS[0])
    of_the_project["Pythons"].discard("Programming Language :: Python :: Implementation :: CPython")
    assert of_the_project == tables(project)


def test_the_addresses_are_all_there_once_the_owners_fill_them() -> None:
    addresses = tables(PROJECTS[0])["addresses"] or {}
    assert addresses.keys() in (set(), {"Changelog", "Documentation", "Issues", "Source"})


def test_pythons_are_the_same_for_make_the_index_and_ci() -> None:
    makefile = MAKEFILE.read_text(encoding="utf-8")
    (supported,) = re.findall(r"^SUPPORTED := (.*)$", makefile, re.MULTILINE)
    classified = {line.rpartition(" ")[2] for line in tables(PROJECTS[0])["Pythons"]}
    (matrix,) = re.findall(r"^ +python: \[(.*)\]$", CI.read_text(encoding="utf-8"), re.MULTILINE)
    pythons = supported.split()
    assert set(pythons) == {name for name in classified if name.startswith("3.")}
    assert ", ".join(f'"{python}"' for python in pythons) == matrix


def test_the_page_about_installing_names_each_extra_package_and_python() -> None:
    page = DOCS["install"]
    extras = tomllib.loads(PROJECTS[0].read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {name for row in page.rows() for cell in row for name in code_in(cell)}
    assert extras.keys() - {"dev"} == named & extras.keys()
    assert {path.parent.name for path in PROJECTS[1:]} == {x for x in named if x.startswith("runagent-")}
    pythons = {name for row in page.rows() for name in re.findall(r"3\.\d+", row[0])}
    assert pythons == {line.rpartition(" ")[2] for line in tables(PROJECTS[0])["Pythons"] if "3." in line}


def requirements(project: Path) -> list[str]:
    """Everything that a pyproject.toml has installed, but this project itself."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))
    extras = table["project"].get("optional-dependencies", {}).values()
    named = [*table["build-system"]["requires"], *table["project"]["dependencies"], *itertools.chain(*extras)]
    return [requirement for requirement in named if Requirement(requirement).name != "runagent"]


def pinned(path: Path) -> dict[str, Version]:
    """The versions that a file of requirements gives exactly."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(each.name): Version(str(each.specifier)[2:]) for each in found}


def engine_at_its_bound(plugin: str) -> dict[str, Version]:
    """The versions that an engine's plugin is tested with: only that environment has the engine."""
    name = plugin.removeprefix("runagent-")
    (engines,) = re.findall(r"^FOR_ENGINES := \$\(filter (.*),", MAKEFILE.read_text("utf-8"), re.MULTILINE)
    if f"%-{name}" not in engines.split():
        return {}
    lowest = REQUIREMENTS / f"{name}-lowest.txt"
    return pinned(lowest if lowest.exists() else REQUIREMENTS / f"{name}.txt")


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_every_lower_bound_is_what_make_installs_for_its_test(project: Path) -> None:
    pins = engine_at_its_bound(project.parent.name) | pinned(ROOT / "constraints-lowest.txt")
    for requirement in map(Requirement, requirements(project)):
        (bound,) = requirement.specifier
        assert ">=" == bound.operator, requirement
        assert pins[canonicalize_name(requirement.name)] == Version(bound.version), requirement


def test_the_benchmarks_peers_pin_no_package_that_the_constraints_pin() -> None:
    """Both are given to one installation."""
    peers = pinned(ROOT / "tests" / "benchmarks" / "peers.txt")
    assert {"anthropic"} <= peers.keys()
    assert set() == peers.keys() & pinned(ROOT / "constraints.txt").keys()
