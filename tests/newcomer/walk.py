"""A newcomer's path, timed: python -m tests.newcomer.walk [--limit SECONDS]

From the built wheel and an index with nothing but it and what it needs: install, demo, the programs and the
tests of docs/start.md as they are written there, and a first transport from the starter with its conformance
kit. Each step prints its seconds; the path may take 300 in all.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docs.pages import ROOT, Page
from tests.support.wheels import build_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

START = Page(ROOT / "docs/start.md")
LIMIT = 300.0  # seconds for the whole path
_INSTALL = re.compile(r'^\$ python -m pip install "(runagent\[[^"]+)"$', re.MULTILINE)
_QUIET = ("--quiet", "--disable-pip-version-check", "--no-input")


class Walk:
    """One newcomer with an empty folder.

    Attributes:
        seconds: What each step has taken, by name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = folder / "index"
        self.bin = folder / "venv/bin"
        self.seconds: dict[str, float] = {}

    def prepare(self) -> None:
        """Fill the index; this is not a newcomer's time."""
        self.index.mkdir()
        wheel = build_wheel(ROOT, self.index)
        needed = [f"{wheel}[testing,trio]", "hatchling", "editables", "hypothesis", "pytest-trio"]
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        download = [sys.executable, "-m", "pip", "download", *_QUIET, *constraints]
        self._run([*download, "--dest", str(self.index), *needed])

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step, and show it."""
        begun = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - begun
        _show(self.seconds[name], name)

    def install(self) -> None:
        """Make an environment, and install what the page has its reader install."""
        venv.create(self.folder / "venv", with_pip=True)
        (requirement,) = _INSTALL.findall(START.text)
        self._pip("install", requirement)

    def demo(self) -> None:
        self._run([str(self.bin / "runagent"), "demo"])

    def programs(self) -> None:
        """Run every program of the page against the agent that the page starts."""
        with self._served() as environment:
            for number, example in enumerate(START.examples()):
                if "def test_" not in example.text:
                    program = self.folder / f"program_{number}.py"
                    program.write_text(example.text, encoding="utf-8")
                    printed = self._run([str(self.bin / "python"), str(program)], environment)
                    if example.output is not None and printed != example.output:
                        raise SystemExit(f"{START.name}:{example.line} printed\n{printed}")

    def tests(self) -> None:
        """Run the tests of the page: one of them cuts the stream."""
        (text,) = (example.text for example in START.examples() if "def test_" in example.text)
        (self.folder / "test_story.py").write_text(text, encoding="utf-8")
        self._run([str(self.bin / "python"), "-m", "pytest", "-q", "test_story.py"])

    def transport(self) -> None:
        """Make a transport from the starter, install it, and run its tests."""
        self._run([str(self.bin / "runagent-fake"), "new-transport", "first"])
        project = self.folder / "runagent-first"
        self._pip("install", "hatchling", "editables")
        self._pip("install", "--no-build-isolation", "--editable", f"{project}[dev]")
        self._run([str(self.bin / "python"), "-m", "pytest", "-q"], cwd=project)

    @contextlib.contextmanager
    def _served(self) -> Iterator[dict[str, str]]:
        """Start the agent of `runagent-fake serve`, and give the variable that it prints."""
        command = [str(self.bin / "runagent-fake"), "serve", "--port", "0"]
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=_clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                yield {"RUNAGENT_API_URL": process.stdout.readline().strip()}
            finally:
                process.terminate()

    def _pip(self, command: str, *arguments: str) -> None:
        index = ["--no-index", "--find-links", str(self.index)]
        self._run([str(self.bin / "python"), "-m", "pip", command, *_QUIET, *index, *arguments])

    def _run(self, command: list[str], more: dict[str, str] | None = None, cwd: Path | None = None) -> str:
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env={**_clean_environment(), **(more or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if done.returncode:
            raise SystemExit(
                f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout


def _show(seconds: float, name: str) -> None:
    sys.stdout.write(f"{seconds:6.1f} s  {name}\n")
    sys.stdout.flush()


def _clean_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RUNAGENT_", "PYTEST_", "PYTHON"))
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for the whole path")
    limit = parser.parse_args().limit
    with tempfile.TemporaryDirectory() as folder:
        walk = Walk(Path(folder))
        walk.prepare()
        for name, step in (
            ("install", walk.install),
            ("demo", walk.demo),
            ("first programs", walk.programs),
            ("first test with a cut stream", walk.tests),
            ("first transport, with its conformance kit", walk.transport),
        ):
            with walk.step(name):
                step()
    total = sum(walk.seconds.values())
    _show(total, "in all")
    if total > limit:
        raise SystemExit(f"more than {limit:g} s")


if __name__ == "__main__":
    main()
