"""Wheels and source distributions, built from this tree by the installed backend: no network."""

from __future__ import annotations

import email
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path
    from zipfile import ZipFile

__all__ = ["build_sdist", "build_wheel", "metadata"]


def build_wheel(project: Path, directory: Path) -> Path:
    """Build the wheel of a project."""
    return _build(project, directory, "wheel", "*.whl")


def build_sdist(project: Path, directory: Path) -> Path:
    """Build the source distribution of a project."""
    return _build(project, directory, "sdist", "*.tar.gz")


def _build(project: Path, directory: Path, kind: str, pattern: str) -> Path:
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir"]
    built = subprocess.run(
        [*command, directory, project], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=100
    )
    assert 0 == built.returncode, built.stdout + built.stderr
    (path,) = directory.glob(pattern)
    return path


def metadata(wheel: ZipFile) -> Message[str, str]:
    """Return the metadata of a wheel: its payload is the text of the page on a package index."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_string(wheel.read(name).decode())
