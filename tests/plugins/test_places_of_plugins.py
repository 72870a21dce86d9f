"""Where plugins are installed: the working directory, folders of their developers, and real wheels."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from runagent._plugins.installed import search_path
from tests.support.computer import MARK, RUN, Computer
from tests.support.distributions import install, transport_module

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from runagent_testing import FakeAgentServer


def test_what_lies_in_the_working_directory_is_not_installed(computer: Computer) -> None:
    install(computer.home, "runagent-here", MARK + transport_module("here"), transports=("here",))
    for arguments in (("-m", "runagent", "stream", "a", "x"), ("-c", RUN)):
        ran = computer.run(*arguments, RUNAGENT_TRANSPORT="here")
        assert "unknown transport 'here'" in ran.stderr
    assert [] == computer.imported


def test_what_is_on_the_path_for_another_reason_is_installed(computer: Computer) -> None:
    install(computer.home, "runagent-here", MARK + transport_module("here"), transports=("here",))
    computer.path.append(computer.home)
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="here")
    assert "hello" == ran.stdout.strip(), ran.stderr


def test_old_metadata_in_the_working_directory_is_not_installed_either(computer: Computer) -> None:
    info = computer.home / "runagent_old.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: runagent-old\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[runagent.transports]\nold = runagent_old\n")
    assert "unknown transport 'old'" in computer.run("-c", RUN, RUNAGENT_TRANSPORT="old").stderr


def test_a_module_in_the_working_directory_does_not_take_a_plugins_place(computer: Computer) -> None:
    (computer.home / "runagent_good.py").write_text(MARK + transport_module("good"))
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="good")
    assert "would be imported from the working directory" in ran.stderr
    assert [] == computer.imported
    ran = computer.run("-P", "-c", RUN, RUNAGENT_TRANSPORT="good")
    assert "hello" == ran.stdout.strip(), ran.stderr


def test_plugins_are_developed_in_their_folders(computer: Computer) -> None:
    source = MARK + transport_module("mine")
    install(computer.site, "runagent-mine", source, transports=("mine",), editable_from=computer.home)
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="mine")
    assert ("hello", ["runagent_mine"]) == (ran.stdout.strip(), computer.imported), ran.stderr


def test_the_working_directory_is_left_out_of_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for first in ("", ".", str(tmp_path)):
        monkeypatch.setattr(sys, "path", [first, "/elsewhere"])
        assert ["/elsewhere"] == search_path()
    monkeypatch.setattr(sys, "path", ["/elsewhere", str(tmp_path)])
    assert ["/elsewhere", str(tmp_path)] == search_path()


# A real wheel and a real editable installation


PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "runagent-real"
version = "{version}"
[project.entry-points."runagent.transports"]
real = "runagent_real"
[project.entry-points."runagent.capabilities"]
real = "runagent.capabilities:v1.invoke.resume.heartbeats.structured.reuse"
[tool.hatch.build.targets.wheel]
only-include = ["runagent_real.py"]
"""


def build_and_install(folder: Path, version: str, kind: str, site: Path) -> None:
    """Build a wheel or an editable wheel with its backend, and let pip install it."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(PROJECT.format(version=version))
    (folder / "runagent_real.py").write_text(MARK + transport_module("real"))
    build = f"import hatchling.build as b; print(b.build_{kind}({str(folder)!r}))"
    ran = subprocess.run(
        [sys.executable, "-c", build], cwd=folder, capture_output=True, text=True, check=True
    )
    wheel = folder / ran.stdout.split()[-1]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True, stdin=subprocess.DEVNULL)


def test_a_real_wheel_and_a_real_editable_installation_count_once(
    tmp_path: Path, server: FakeAgentServer
) -> None:
    server.agent("a").always("hello")
    computer = Computer(tmp_path, server.url)
    editable = tmp_path / "editable"
    build_and_install(tmp_path / "project", "2.0", "editable", editable)
    build_and_install(tmp_path / "project", "1.0", "wheel", computer.site)
    code = (
        f"import site, sys; site.addsitedir({str(editable)!r}); sys.path.append({str(computer.site)!r});"
        "from runagent._cli import main; main(sys.argv[1:])"
    )
    computer.path = []
    listed = json.loads(computer.run("-c", code, "transports", "--json").stdout)
    (row,) = (row for row in listed if row["distribution"] == "runagent-real")
    assert ("ready", "2.0", 1, 5) == (
        row["status"],
        row["version"],
        row["api_version"],
        len(row["capabilities"]),
    )
    assert [] == computer.imported
    ran = computer.run("-c", code, "stream", "a", "x", "--transport", "real")
    assert ("hello", ["runagent_real"]) == (ran.stdout.strip(), computer.imported), ran.stderr
