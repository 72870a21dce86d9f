"""Every line that shows how to install something is run as its reader would, with an index but no network.

The index holds an empty wheel of each distribution that is installed here or that docs/cookbook is about, and
runagent 0.1.49: the package of that name that is on the package index today.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

from runagent._version import __version__, install_command
from runagent_testing._starter import write_starter
from tests.support.wheels import build_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "plugins").glob("**/README.md")]
OTHER_PACKAGE = "0.1.49"
PLUGINS = sorted(f"./plugins/{path.name}" for path in (ROOT / "plugins").glob("runagent-*"))
CLIENTS = ("a2a-sdk", "anthropic", "google-genai", "langgraph-sdk", "ollama", "rich", "uvicorn")
ENGINES = ("locust", "ray")  # which no environment of the project has
_LINE = re.compile(r"pip install ([^`#\n]+?)\s*(?:`|#|$|&&)", re.MULTILINE)


def install_lines() -> Iterator[tuple[str, str]]:
    """Give each page and what it has pip install."""
    for page in PAGES:
        for line in _LINE.findall(page.read_text(encoding="utf-8")):
            yield page.relative_to(ROOT).as_posix(), line
    for extras in (["testing"], ["trio"], ["testing", "trio"]):
        yield "a message", install_command(*extras).partition(" install ")[2]


LINES = sorted({line for _, line in install_lines()})  # one test each, on however many pages it is


def empty_wheel(folder: Path, name: str, version: str, *extras: str) -> None:
    """Write a wheel with nothing in it but its metadata."""
    stem = f"{re.sub('[-_.]+', '_', name)}-{version}"
    about = f"{stem}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Provides-Extra: {extra}" for extra in extras]
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{about}/METADATA", "\n".join(metadata) + "\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package index as it is before the release."""
    folder = tmp_path_factory.mktemp("index")
    for distribution in distributions():
        if not distribution.name.startswith("runagent"):
            empty_wheel(folder, distribution.name, distribution.version)
    for client in CLIENTS:
        empty_wheel(folder, client, "1.0")
    for engine in ENGINES:
        empty_wheel(folder, engine, "99.0", "data")
    empty_wheel(folder, "runagent", OTHER_PACKAGE, "testing", "trio")
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a release adds to the index."""
    folder = tmp_path_factory.mktemp("release")
    build_wheel(ROOT, folder)
    return folder


def installed(words: list[str], *indexes: Path, cwd: Path = ROOT) -> dict[str, str] | None:
    """Have pip choose what it would install; None if it refuses."""
    options = ["--dry-run", "--ignore-installed", "--no-build-isolation", "--quiet", "--report", "-"]
    links = [f"--find-links={index}" for index in indexes]
    command = [
        sys.executable,
        "-m",
        "pip",
        "--isolated",
        "--disable-pip-version-check",
        "install",
        "--no-index",
    ]
    result = subprocess.run(
        [*command, *options, *links, *words], cwd=cwd, capture_output=True, text=True, timeout=100
    )
    if result.returncode:
        assert re.search(r"No matching distribution found for runagent(\[[a-z,]+\])?>=", result.stderr), (
            result.stderr
        )
        return None
    report: dict[str, Any] = json.loads(result.stdout)
    return {item["metadata"]["name"]: item["metadata"]["version"] for item in report["install"]}


def from_a_checkout(line: str) -> bool:
    return any(word.startswith(".") for word in shlex.split(line))


@pytest.mark.parametrize("line", [line for line in LINES if not from_a_checkout(line)])
def test_what_a_page_has_pip_install_is_this_package(line: str, index: Path, release: Path) -> None:
    words = shlex.split(line)
    assert installed(words, index) is None  # better than the other package
    chosen = installed(words, index, release)
    assert chosen is not None
    assert __version__ == chosen["runagent"]


def test_what_a_page_has_pip_install_from_a_checkout_is_this_package(index: Path) -> None:
    lines = [shlex.split(line) for line in LINES if from_a_checkout(line)]
    for words in lines:  # pip takes the project from there, however many other things it is given
        assert any(word.partition("[")[0] == "." for word in words), words
    chosen = installed(sorted({word for words in lines for word in words}), index)
    assert chosen is not None
    assert __version__ == chosen["runagent"]


def test_the_starter_installs_as_its_readme_shows(tmp_path: Path, index: Path) -> None:
    folder = write_starter("acme", tmp_path)
    (line,) = _LINE.findall((folder / "README.md").read_text(encoding="utf-8"))
    chosen = installed(shlex.split(line.replace("/path/to/runagent", str(ROOT))), index, cwd=folder)
    assert chosen is not None
    assert (__version__, "0.1.0") == (chosen["runagent"], chosen["runagent-acme"])


@pytest.mark.parametrize("plugin", PLUGINS)
def test_no_plugin_takes_the_other_package(plugin: str) -> None:
    about = tomllib.loads((ROOT / plugin / "pyproject.toml").read_text(encoding="utf-8"))
    (needed,) = (
        requirement
        for requirement in map(Requirement, about["project"]["dependencies"])
        if requirement.name == "runagent"
    )
    assert __version__ in needed.specifier
    assert OTHER_PACKAGE not in needed.specifier


def test_a_plugin_alone_does_not_bring_the_other_package(index: Path) -> None:
    assert installed([PLUGINS[0]], index) is None


def test_all_plugins_bring_this_package(index: Path, release: Path) -> None:
    chosen = installed(list(PLUGINS), index, release)
    assert chosen is not None
    assert __version__ == chosen["runagent"]


def test_pages_show_how_to_install() -> None:
    assert {"README.md", "docs/testing.md", "docs/fake.md", "a message"} <= {
        page for page, _ in install_lines()
    }


@pytest.mark.parametrize("folder", ["runagent", "runagent_testing", "plugins"])
def test_no_message_writes_a_line_of_the_log(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"pip install .*runagent\b(?!-)", line) and path.name != "_version.py"
    ]
    assert [] == found
