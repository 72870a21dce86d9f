"""Leak checks around every test.

A test that leaves a thread, a socket or unreported garbage fails itself, instead of making a later one
fail by chance. Rules for tests:

* Resources from before the test do not count: fixtures of a wider scope are set up earlier
  and torn down later than the check. Ask for them as arguments, not through `getfixturevalue`.
* Resources that end by themselves within `leak_patience` seconds are no leak: a peer closes its end a
  little later than the client.
* Threads named `fake-agent…` belong to a fake agent. One that appears while another fake agent's thread
  was running already is taken for the helper of a server of a wider scope; without one it is a leak.
* trio keeps idle worker threads (`Trio thread …`) for ten seconds, on purpose and without harm.
* Threads that `threading` did not start cannot be seen to end and are left out.

Open sockets are seen through /proc, so on Linux only; elsewhere only their ResourceWarning shows them.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NEEDED = ("aiohttp", "hypothesis", "pytest_trio", "trio", "trustme", "xdist", "yaml")
_missing = [name for name in _NEEDED if find_spec(name) is None]
if _missing:
    raise SystemExit(
        f"The tests need more than is installed ({', '.join(_missing)}): run `make test`, which sets up"
        " everything, or python -m pip install --editable '.[dev]'"
    )

from hypothesis import HealthCheck, settings  # noqa: E402  # it may be missing

# On a busy machine, an example may take any time.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

pytest_plugins = ["pytester"]

FAKE_AGENT_THREADS = "fake-agent"
IDLE_WORKER_THREADS = "Trio thread"
DESCRIPTORS = Path("/proc/self/fd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "leak_patience", "seconds a thread or socket may outlive its test", type="string", default="2"
    )
    parser.addoption(
        "--interop", action="store_true", help="run the tests marked interop, too (make interop)"
    )


def pytest_sessionfinish() -> None:
    # pytest collects garbage once more at the very end, which has to see everything.
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_leaks(pytestconfig: pytest.Config) -> Iterator[None]:
    """Fail the test that leaves a thread, a socket, or garbage that warns when it is collected."""
    _Heap.freeze_what_stays()
    before = _Resources.now()
    yield
    # Garbage in cycles warns when it is collected, and pytest blames the test that runs at that moment.
    gc.collect()
    left = before.left_after(float(pytestconfig.getini("leak_patience")))
    if left:
        pytest.fail("left behind by this test:\n  " + "\n  ".join(left), pytrace=False)


class _Heap:
    """Keeps full collections cheap: well under a millisecond, instead of 50 for the whole heap.

    Imported modules, and what pytest notes about each test, outlive every test. They are frozen (left out of
    collections) between two tests, when new modules or many notes have come.
    """

    modules = 0
    tests = 0

    @classmethod
    def freeze_what_stays(cls) -> None:
        cls.tests += 1
        if cls.modules != len(sys.modules) or cls.tests % 50 == 0:
            cls.modules = len(sys.modules)
            gc.collect()
            gc.freeze()


@dataclass(frozen=True)
class _Resources:
    threads: frozenset[threading.Thread]
    sockets: dict[str, int]  # the kernel's name, which is never used twice, to the descriptor

    @classmethod
    def now(cls) -> _Resources:
        return cls(frozenset(threading.enumerate()), _open_sockets())

    def left_after(self, patience: float) -> list[str]:
        """Describe the new threads and sockets that stay open for `patience` seconds."""
        deadline = time.monotonic() + patience
        pause = 0.001
        while (new := self._new()) and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        return [_describe_thread(thread) for thread in new.threads] + [
            _describe_socket(descriptor) for descriptor in new.sockets.values()
        ]

    def _new(self) -> _Resources:
        now = _Resources.now()
        threads = frozenset(thread for thread in now.threads - self.threads if not self._may_stay(thread))
        sockets = {name: descriptor for name, descriptor in now.sockets.items() if name not in self.sockets}
        return _Resources(threads, sockets)

    def __bool__(self) -> bool:
        return bool(self.threads or self.sockets)

    def _may_stay(self, thread: threading.Thread) -> bool:
        if thread.name.startswith(FAKE_AGENT_THREADS):
            return any(
                known.name.startswith(FAKE_AGENT_THREADS) and known.is_alive() for known in self.threads
            )
        return thread.name.startswith(IDLE_WORKER_THREADS) or isinstance(thread, threading._DummyThread)


def _open_sockets() -> dict[str, int]:
    if not DESCRIPTORS.is_dir():
        return {}
    found = {}
    for descriptor in os.listdir(DESCRIPTORS):  # noqa: PTH208 - runs twice a test; Path objects cost more
        try:
            target = os.readlink(f"{DESCRIPTORS}/{descriptor}")  # noqa: PTH115 - as above
        except OSError:  # closed since it was listed, as the descriptor of the listing itself
            continue
        if target.startswith("socket:"):
            found[target] = int(descriptor)
    return found


def _describe_thread(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    at = traceback.extract_stack(frame)[-1] if frame else None
    return f"{thread!r}" + (f" in {at.name} ({at.filename}:{at.lineno})" if at else "")


def _describe_socket(descriptor: int) -> str:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            return (
                f"socket {descriptor}: {copy.family!s} {_end(copy.getsockname)} -> {_end(copy.getpeername)}"
            )
    except OSError as error:
        return f"socket {descriptor}: {error}"


def _end(name_of: Callable[[], object]) -> str:
    try:
        return str(name_of())
    except OSError:
        return "(none)"
