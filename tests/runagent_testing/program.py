"""``runagent-fake serve`` in a test: as a separate process, or in this one, which takes less time."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runagent_testing._standalone.cli import main
from tests.runagent_testing.raw_client import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["START", "Program", "program", "serve_here", "until"]

ROOT = Path(__file__).resolve().parents[2]
START = 60.0  # seconds for a process to start


class Program:
    """A running ``runagent-fake serve``; its log is read as it is written."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "runagent_testing", "serve", *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"},
        )
        self.watchdog = threading.Timer(START, self.process.kill)
        self.watchdog.start()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.keyboard, self.result, self.screen = self.process.stdin, self.process.stdout, self.process.stderr
        self.log: list[str] = []
        self.url = ""

    def wait_ready(self) -> None:
        """Read the log up to the URL."""
        (self.url,) = re.findall(r"https?://\S+", self.line(" at "))

    def line(self, wanted: str) -> str:
        """Read the log up to the first line that has this in it."""
        for line in self.screen:
            self.log.append(line)
            if wanted in line:
                return line
        raise AssertionError(f"no {wanted!r} in the log:\n{''.join(self.log)}")

    def type(self, text: str) -> None:
        """Write to its standard input."""
        self.keyboard.write(text)
        self.keyboard.flush()

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal, unless it is 0; return the exit code and the whole log."""
        self.process.send_signal(number)
        _, rest = self.process.communicate()
        self.log.append(rest)
        return self.process.returncode, "".join(self.log)


@contextlib.contextmanager
def program(*arguments: object) -> Iterator[Program]:
    """Run the command as a process, and end it at the latest here."""
    started = Program(*arguments)
    with started.process:
        try:
            started.wait_ready()
            yield started
        finally:
            started.watchdog.cancel()
            started.watchdog.join()
            started.process.kill()


def serve_here(
    folder: Path,
    body: Callable[[str], object],
    *arguments: object,
    number: int = signal.SIGTERM,
    command: str = "serve",
) -> int:
    """Serve in this process while a thread calls ``body`` with the URL; returns the code after a signal."""
    ready = folder / "ready"
    failures: list[BaseException] = []

    def work() -> None:
        try:
            until(ready.exists, START)
            body(ready.read_text(encoding="utf-8").strip())
        except BaseException as exc:  # noqa: BLE001 - raised below
            failures.append(exc)
        finally:
            if ready.exists():
                os.kill(os.getpid(), number)

    thread = threading.Thread(target=work)
    thread.start()
    code = main([command, *map(str, arguments), "--ready-file", str(ready)])
    thread.join(START)
    if failures:
        raise failures[0]
    return code


def until(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until something holds."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, f"{holds} does not hold"
        time.sleep(0.01)
