"""What is shipped, and that the metadata matches the code."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from runagent_vercel import VercelTransport

from runagent.capabilities import parse_declaration
from tests.docs.pages import ROOT
from tests.support.wheels import build_wheel

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / "runagent_vercel"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    return zipfile.Path(build_wheel(PROJECT, tmp_path_factory.mktemp("wheel")))


def test_the_wheel_contains_the_package_and_its_licence(wheel: zipfile.Path) -> None:
    names = {name for name in wheel.root.namelist() if not name.endswith("/")}
    about = {name for name in names if name.startswith("runagent_vercel-")}
    sources = {path.relative_to(PROJECT).as_posix() for path in FOLDER.rglob("*.py")}
    assert sources | {"runagent_vercel/py.typed"} == names - about
    (licence,) = (name for name in about if name.endswith("/licenses/LICENSE"))
    assert (ROOT / "LICENSE").read_bytes() == wheel.root.read(licence)


def test_the_wheel_depends_on_runagent_and_what_it_decodes_with(wheel: zipfile.Path) -> None:
    (metadata,) = (name for name in wheel.root.namelist() if name.endswith("/METADATA"))
    lines = wheel.root.read(metadata).decode().splitlines()
    wanted = {
        line.removeprefix("Requires-Dist: ").partition(">")[0] for line in lines if "Requires-Dist" in line
    }
    assert {"msgspec", "runagent"} == wanted


def test_the_metadata_matches_the_class() -> None:
    (entry,) = entry_points(group="runagent.capabilities", name="vercel")
    declared = parse_declaration(entry.value)
    assert declared is not None
    assert (VercelTransport.api_version, VercelTransport.capabilities) == (
        declared.api_version,
        declared.capabilities,
    )
    assert "0.1.0" == version("runagent-vercel")


def test_nothing_of_it_is_imported_before_its_name_is_asked_for() -> None:
    code = (
        "import sys, runagent; from runagent._plugins.registry import default_registry as r;"
        "r().installed(); assert 'runagent_vercel' not in sys.modules;"
        "r().get('vercel'); assert 'runagent_vercel' in sys.modules;"
        "assert not {'asyncio', 'runagent_testing', 'ssl', 'trio'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
