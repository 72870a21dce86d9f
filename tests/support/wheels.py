"""Wheels, built from this tree by the installed backend: no network."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["build_wheel"]


def build_wheel(project: Path, directory: Path) -> Path:
    """Build the wheel of a project."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    built = subprocess.run(
        [*command, directory, project], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=100
    )
    assert 0 == built.returncode, built.stdout + built.stderr
    (path,) = directory.glob("*.whl")
    return path
