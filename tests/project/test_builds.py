"""Builds are the same bytes each time, from this tree and from the source distribution that it makes."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.support.wheels import build_sdist, build_wheel

ROOT = Path(__file__).resolve().parents[2]
# One plugin is enough here; make packages builds every one.
PROJECTS = [ROOT, ROOT / "plugins/runagent-openai"]


@pytest.fixture(scope="module", params=PROJECTS, ids=["runagent", "runagent-openai"])
def project(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def sdist(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    return build_sdist(project, tmp_path_factory.mktemp("sdist"))


def test_a_source_distribution_builds_the_same_wheel(project: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    of_this_tree = build_wheel(project, tmp_path / "tree")
    of_the_source = build_wheel(source, tmp_path / "source")
    assert of_this_tree.name == of_the_source.name
    assert of_this_tree.read_bytes() == of_the_source.read_bytes()


def test_a_source_distribution_is_the_same_each_time(project: Path, sdist: Path, tmp_path: Path) -> None:
    assert sdist.read_bytes() == build_sdist(project, tmp_path).read_bytes()


def test_a_source_distribution_has_no_files_of_this_machine(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert not [each.name for each in members if "__pycache__" in each.name or "/.venv" in each.name]
    assert {("", "", 0, 0)} == {(each.uname, each.gname, each.uid, each.gid) for each in members}
