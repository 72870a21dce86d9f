"""The terminals of pages: commands with what they print, and a shell that runs them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.docs import site
from tests.docs.pages import ROOT, Page
from tests.support.process import killed_at_end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ADDRESS", "Console", "Shell", "consoles", "without_times"]

ADDRESS = "http://127.0.0.1:8450"
PATIENCE = 120  # seconds
_END = "--- that was it, with status"
_PROGRAMS = {
    "runagent": "-m runagent",
    "runagent-fake": "-m runagent_testing",
    "pytest": "-m pytest",
    "python": "",
}
# Which time it is, and how long something took.
_TIMES = re.compile(r"\d\d:\d\d:\d\d\.\d{3}|\b\d+\.\d+(?= s\b|s$)", re.MULTILINE)
_ANNOUNCED = re.compile(r"^http://127\.0\.0\.1:\d+$", re.MULTILINE)
_SERVING = re.compile(r"\(Ctrl-C ends it\)$", re.MULTILINE)
_INSTALLS = re.compile(r"(?:\$ )?(?:python -m pip|npm) install .+")
_MAKES = re.compile(r"make ([\w-]+)")


@dataclass(frozen=True)
class Console:
    """A block with commands, or with what a program has printed."""

    page: str
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """The page and the first line that does not only install something."""
        lines = [line for line in self.text.splitlines() if not _INSTALLS.fullmatch(line)]
        return self.page, re.split(r"\s{2,}#", lines[0])[0] if lines else ""

    @property
    def targets(self) -> list[str]:
        """The targets of make, if the block has nothing else."""
        found = [_MAKES.match(line) for line in self.text.splitlines()]
        return [match[1] for match in found if match] if all(found) else []

    @property
    def is_setting(self) -> bool:
        """Whether its commands only set variables of the environment."""
        commands = self.commands()
        return bool(commands) and all(line.startswith("export ") for line, _ in commands)

    def commands(self) -> list[tuple[str, str]]:
        """Each command with the lines below it; without prompts, every line is a command."""
        if "$ " not in self.text:
            return [(line, "") for line in self.text.splitlines() if not _INSTALLS.fullmatch(line)]
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]
        commands = [tuple(part.partition("\n")[::2]) for part in parts]
        return [(line, output) for line, output in commands if not _INSTALLS.fullmatch(line)]


def consoles() -> list[Console]:
    """Return every block of a terminal that a page shows; those of docs/reference are made of the code."""
    pages = [Page(path) for place, path in site.SOURCES.items() if not place.startswith("reference/")]
    return [
        Console(page.name, block.text)
        for page in pages
        if page.path.suffix == ".md"
        for block in page.blocks()
        if block.language in ("console", "sh")
    ]


def without_times(text: str) -> str:
    """Return text with a word in the place of each time."""
    return _TIMES.sub("TIME", text)


class Shell:
    """Runs commands of pages in a folder, with this checkout's programs.

    Args:
        folder: Where they run, and the home of the user.
        url: The server that takes the place of the pages' address; None for that address itself.
    """

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.url = url or ADDRESS
        (folder / "bin").mkdir(exist_ok=True)
        for name, module in _PROGRAMS.items():
            program = folder / "bin" / name
            program.write_text(
                f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n', encoding="utf-8"
            )
            program.chmod(0o755)
        unset = {name: value for name, value in os.environ.items() if not name.startswith("RUNAGENT_")}
        path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        self._environment = {
            **unset,
            "PATH": path,
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "80",
        }

    def run(self, *commands: str) -> list[tuple[str, int]]:
        """Run commands one after another in one shell; return what each printed, and its status."""
        script = "\n".join(f'{command}\necho "{_END} $?"' for command in commands)
        ran = subprocess.run(
            ["bash", "-c", script.replace(ADDRESS, self.url)],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        parts = re.split(rf"{_END} (\d+)\n", ran.stdout.replace(self.url, ADDRESS))
        return list(zip(parts[:-1:2], map(int, parts[1::2]), strict=True))

    @contextmanager
    def server(self, command: str) -> Iterator[tuple[Shell, list[str]]]:
        """Run a command that serves, on a free port; give a shell that finds it, and the lines that it has
        printed once it has ended."""
        words = [*shlex.split(command.replace(ADDRESS, self.url)), "--port", "0"]
        started = subprocess.Popen(
            words,
            executable=self.folder / "bin" / words[0],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines: list[str] = []
        with killed_at_end(started) as process:
            assert process.stdout is not None
            while not (found := _ANNOUNCED.search("".join(lines))) or not _SERVING.search("".join(lines)):
                lines.append(process.stdout.readline())
                assert lines[-1], lines
            url = found[0]
            lines.sort(
                key=lambda line: line != f"{url}\n"
            )  # stdout has the URL, stderr the others, in any order
            yield Shell(self.folder, url), lines
            process.terminate()
            lines += process.communicate(timeout=PATIENCE)[0].splitlines(keepends=True)
            lines[:] = [line.replace(url, ADDRESS) for line in lines]
