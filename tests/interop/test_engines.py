"""Plugins for engines are typed as their engines are; `make types` takes the names of those as Any."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import ROOT
from tests.interop.programs import environment, needs_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop


@pytest.mark.parametrize(
    "engine", [pytest.param(name, marks=needs_environment(name)) for name in ("locust", "ray")]
)
def test_mypy_takes_the_plugin_with_the_types_of_its_engine(engine: str, tmp_path: Path) -> None:
    options = ("--follow-imports", "silent", "--cache-dir", tmp_path)
    command = (sys.executable, "-m", "mypy", "--python-executable", environment(engine), *options)
    ran = subprocess.run(
        [*map(str, command), ROOT / f"plugins/runagent-{engine}/runagent_{engine}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr), ran.stdout
