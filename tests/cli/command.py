"""The command ``runagent``, called in the process or started as a shell would."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent._cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runagent_testing import FakeAgentServer

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 20.0


def out_of(capfd, *arguments: str) -> str:
    """Run a command that has to go well, and return what it printed."""
    code = main(arguments)
    out, err = capfd.readouterr()
    assert (0, "") == (code, err)
    return str(out)


def error_of(capfd, *arguments: str) -> tuple[int, str]:
    """Run a command that has to fail, and return its code and its one line of complaint."""
    code = main(arguments)
    err = capfd.readouterr().err
    assert re.fullmatch(r"runagent: error: [^\n]+\n", err)
    return code, err.removeprefix("runagent: error: ").rstrip("\n")


def start(
    *arguments: str, program: Sequence[str] = (sys.executable, "-m", "runagent"), **streams: Any
) -> subprocess.Popen[bytes]:
    """Start the command, or another program, as a shell would."""
    command = [*program, *arguments]
    # As most people run it: unbuffered output leaves nothing for the interpreter's last flush to fail at.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(command, cwd=ROOT, env=buffered, **streams)


@contextlib.contextmanager
def piped(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Any, Any]]:
    """Give a process with its standard output and error as unbuffered pipes."""
    process = start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    with process:
        try:
            yield process, process.stdout, process.stderr
        finally:
            process.kill()


def wait_for_request(server: FakeAgentServer) -> None:
    deadline = time.monotonic() + PATIENCE
    while not server.requests:
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, *arguments: str, **streams: Any) -> None:
        self.master, slave = pty.openpty()
        streams = {"stdin": slave, "stdout": slave, "stderr": slave} | streams
        self.process = start(*arguments, **streams)
        os.close(slave)
        self.shown = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def write(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_until(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            assert self._read(), self.shown

    def read_all(self) -> str:
        while self._read():
            pass
        return self.shown

    def _read(self) -> bool:
        assert select.select([self.master], [], [], PATIENCE)[0], self.shown
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the last program on it has ended
            return False
        self.shown += data.decode()
        return bool(data)
