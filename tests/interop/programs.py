"""Programs that nobody here wrote: found, run in the foreground on a free port, ended and reaped."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "NODE_PACKAGES",
    "PATIENCE",
    "Port",
    "Program",
    "environment",
    "find",
    "needs",
    "needs_environment",
    "needs_node_packages",
    "wait_until",
]

PATIENCE = 20.0  # seconds that a program may take to start or to end
ROOT = Path(__file__).resolve().parents[2]
# The folder in which `make interop` installs what ``requirements/node`` lists.
NODE_PACKAGES = ROOT / ".venv-interop-node"
# Where servers are kept, which is not on everyone's PATH.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])


def find(*names: str) -> str | None:
    """Return the path of the first of these programs that is installed."""
    return next((path for name in names if (path := shutil.which(name, path=_PATH))), None)


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test where none of these programs is installed, or where `Port` cannot hold a port for it."""
    if sys.platform != "linux":
        return pytest.mark.needs(missing=f"{names[0]} is tested on Linux only")
    missing = "" if find(*names) else f"{' or '.join(names)} is not installed"
    return pytest.mark.needs(missing=missing)


def environment(name: str) -> Path:
    """Return the interpreter of the environment that `make interop` makes of ``requirements/NAME.txt``."""
    return ROOT / f".venv-interop-{name}" / "bin" / "python"


def needs_environment(name: str) -> pytest.MarkDecorator:
    """Skip a test where that environment has not been made."""
    missing = "" if environment(name).exists() else f"there is no .venv-interop-{name}: make interop"
    return pytest.mark.needs(missing=missing)


def needs_node_packages() -> pytest.MarkDecorator:
    """Skip a test where there is no node, or where its packages have not been installed."""
    if find("node") is None:
        return pytest.mark.needs(missing="node is not installed")
    missing = (
        "" if (NODE_PACKAGES / ".installed").exists() else f"there is no {NODE_PACKAGES.name}: make interop"
    )
    return pytest.mark.needs(missing=missing)


class Port:
    """A port of 127.0.0.1 that nobody else is given, for a program that may end and come back.

    It is bound here and never listened on. Linux lets a program listen there all the same, if it sets
    ``SO_REUSEADDR`` as servers do; while it does not, connections are refused.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Give it back."""
        self._socket.close()

    def is_served(self) -> bool:
        """Whether somebody listens."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.number), timeout=1):
            return True
        return False


class Program:
    """A server in a separate process group.

    Args:
        command: What starts it, in the foreground.
        port: Where it listens.
        log: The file that gets what it prints.
        env: Its whole environment, but for PATH.
        patience: Seconds that it may take to start, and each thing that is waited for.
    """

    running: ClassVar[set[Program]] = set()

    def __init__(
        self,
        command: Sequence[object],
        port: Port,
        log: Path,
        env: Mapping[str, str] | None = None,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self.command = [str(part) for part in command]
        self.port = port
        self.log = log
        self._env = {"PATH": _PATH, "PYTHONUNBUFFERED": "1", "HOME": str(log.parent)} | dict(env or {})
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, in the clear."""
        return f"http://127.0.0.1:{self.port.number}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.stop(signal.SIGKILL)

    def start(self) -> None:
        """Start it and wait until it listens."""
        assert self._process is None, "it runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.log.parent,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        Program.running.add(self)
        try:
            self.wait_until(self.port.is_served)
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def send(self, number: signal.Signals) -> None:
        """Send the main process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the main process, or with SIGKILL the whole group, and wait until nobody listens any more."""
        if self._process is None:
            return
        if number != signal.SIGKILL:
            self.send(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._process = None
        Program.running.discard(self)
        wait_until(lambda: not self.port.is_served(), self.log.name)

    def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Stop it, if it still runs, and start it again."""
        self.stop(number)
        self.start()

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait for something that the running program brings about."""
        wait_until(lambda: self._has_ended() or condition(), " ".join(self.command), self._patience)
        if self._has_ended():
            pytest.fail(f"{self.command[0]} has ended:\n{self.log.read_text(errors='replace')}")

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"nothing came of it within {patience:g} s: {what}"
        time.sleep(0.005)
