"""What the pytest plugin costs test runs, and the tests that use it; in separate processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from tests.support.tracing import environment_without_tracer

__all__ = ["PLUGIN", "imported_at_the_start", "seconds_at_the_start", "seconds_of_tests"]

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "runagent_testing.pytest_plugin"

IMPORTED = f"""
import json, sys
import pytest
before = set(sys.modules)
import {PLUGIN}
print(json.dumps(sorted(set(sys.modules) - before)))
"""

STARTED = f"""
import sys, time
from _pytest.config import get_config
best = {{}}
for _ in range(50):
    for name in ("empty_plugin", {PLUGIN!r}):
        for loaded in [module for module in sys.modules if module.startswith(("empty", "runagent"))]:
            del sys.modules[loaded]
        manager = get_config().pluginmanager
        began = time.process_time()
        manager.import_plugin(name)
        best[name] = min(best.get(name, 1.0), time.process_time() - began)
print(best[{PLUGIN!r}] - best["empty_plugin"])
"""

TESTS = """
import socket
import pytest

@pytest.fixture
def empty():
    yield

def pytest_generate_tests(metafunc):
    metafunc.parametrize("number", range(60))

def test_empty(empty, number):
    pass

def test_fake_agent(fake_agent, number):
    fake_agent.always("x")

def test_asked(fake_agent, number):
    fake_agent.always("x")
    with socket.create_connection(tuple(address(fake_agent.url))) as client:
        client.sendall(
            b"POST /v1/agents/fake-agent/stream HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n\\r\\n{}"
        )
        received = b""
        while b"0\\r\\n\\r\\n" not in received:
            received += client.recv(65536)

def address(url):
    host, _, port = url.partition("//")[2].partition(":")
    return host, int(port)
"""

TIMED = """
import json, time
import pytest

clock = time.{clock}
spent = {{}}

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    began = clock()
    result = yield
    spent.setdefault(item.originalname, []).append(clock() - began)
    return result

def pytest_sessionfinish(session):
    # The best of many: whatever else the machine does only adds to it.
    with open("best.json", "w") as file:
        json.dump({{name: min(times[1:]) for name, times in spent.items()}}, file)
"""


def imported_at_the_start() -> list[str]:
    """List the modules that are there because of the plugin."""
    names: list[str] = json.loads(_python("-c", IMPORTED))
    return names


def seconds_at_the_start(folder: Path) -> float:
    """Measure what the plugin adds to the start of pytest, beyond what an empty plugin does.

    The processor's time: an import waits for nothing, and a busy machine interrupts each of them.
    """
    (folder / "empty_plugin.py").write_text("")
    return float(_python("-c", STARTED, folder=folder))


def seconds_of_tests(
    folder: Path, packages: Path = ROOT, clock: Literal["perf_counter", "process_time"] = "perf_counter"
) -> dict[str, float]:
    """Measure tests after the first of their kind: "test_empty", "test_fake_agent", "test_asked".

    Args:
        folder: A folder for the tests.
        packages: The folder of the packages that they use.
        clock: The function of `time` that measures them.
    """
    (folder / "conftest.py").write_text(TIMED.format(clock=clock))
    (folder / "test_costs.py").write_text(TESTS)
    _python("-m", "pytest", "-q", "-p", PLUGIN, "-p", "no:cacheprovider", folder=folder, packages=packages)
    best: dict[str, float] = json.loads((folder / "best.json").read_text())
    return best


def _python(*arguments: str, folder: Path = ROOT, packages: Path = ROOT) -> str:
    environment = environment_without_tracer() | {
        "PYTHONPATH": os.pathsep.join(map(str, (packages, ROOT, folder))),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
