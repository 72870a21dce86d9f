"""Frozen dates do not touch time limits; nothing but the clock and the networks reads the time."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.styles import STYLES

ROOT = Path(__file__).resolve().parents[2]

READ_THE_TIME = {
    # The only ones that read the system's clock.
    "runagent/_internal/clock.py",
    "runagent_testing/_internal/clock.py",
    "runagent/_net/blocking.py",  # sleeps
    "runagent/_net/aio_watchdog.py",  # asks whether a loop has its own
    "runagent/_net/aio.py",
    "runagent/_net/trio.py",
    "runagent/_net/tasks.py",  # a limit is relative to trio's time
    # The fake agent's networks, whose time is virtual.
    *(
        f"runagent_testing/_memory/{name}.py"
        for name in ("aio", "blocking", "computing", "loop", "peer", "playing", "trio")
    ),
    # Dates that people read.
    "runagent_testing/_host/stamps.py",
    "runagent_testing/_journal/record.py",
    "runagent_testing/_recording/heading.py",
    "runagent_testing/_standalone/log.py",
    # The times of spans, which have to fit those of other libraries; a load test counts over many runs.
    "plugins/runagent-otel/runagent_otel/observer.py",
    "plugins/runagent-locust/runagent_locust/reading.py",
    # Sleep, or count the processor's seconds.
    "runagent_testing/_standalone/serve.py",
    "runagent_testing/conformance/_broken/contents.py",
    "runagent_testing/conformance/_checks/sharing.py",
    "runagent_testing/conformance/_watchdog.py",
}

CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime", "time"}
READERS = (
    CLOCKS
    | {f"{name}_ns" for name in CLOCKS}
    | {"localtime", "gmtime", "ctime", "asctime", "strftime", "formatdate", "utcnow", "today", "uuid1"}
    | {"current_time", "call_at", "timeout_at", "move_on_at", "fail_at"}
)
IMPORTERS = {"import_module", "__import__", "find_spec"}


def reads_of_time(source: str) -> list[str]:
    """Every place at which `source` may read the time."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(source)) if _reads(node)]


def _reads(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name == "time" for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module == "time" or any(alias.name in READERS for alias in node.names)
    if isinstance(node, ast.Attribute):
        of_a_date = node.attr == "now" and "date" in ast.unparse(node.value)
        return node.attr in READERS or of_a_date
    if isinstance(node, ast.Call):
        imports = ast.unparse(node.func).rpartition(".")[2] in IMPORTERS
        return imports and any(isinstance(arg, ast.Constant) and arg.value == "time" for arg in node.args)
    return False


@pytest.mark.parametrize("when", ["before-import", "before-run", "in-the-middle"])
def test_frozen_dates_do_not_touch_time_limits(when: str) -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.support.frozen", when, *STYLES]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "" == result.stderr
    assert {style: ["a", "first_event", True] for style in STYLES} == json.loads(result.stdout)


@pytest.mark.parametrize("folder", ["runagent", "runagent_testing", "plugins"])
def test_only_the_clock_and_the_networks_read_the_time(folder: str) -> None:
    found = {
        str(path.relative_to(ROOT)): reads
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "tests" not in path.parts and (reads := reads_of_time(path.read_text(encoding="utf-8")))
    }
    assert {} == {path: reads for path, reads in found.items() if path not in READ_THE_TIME}
    assert {path for path in READ_THE_TIME if path.startswith(f"{folder}/")} == set(found)


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os, time as clock",
        "from time import sleep",
        "def f():\n    from time import monotonic as now",
        "import_module('time').time()",
        "time.monotonic()",
        "loop.time()",
        "asyncio.get_running_loop().time",
        "self._loop.call_at(when, wake)",
        "asyncio.timeout_at(when)",
        "trio.current_time()",
        "from trio import current_time",
        "trio.move_on_at(when)",
        "datetime.now(UTC)",
        "datetime.datetime.now()",
        "date.today()",
        "email.utils.formatdate()",
    ],
)
def test_no_form_of_reading_the_time_goes_unseen(source: str) -> None:
    assert reads_of_time(source)


@pytest.mark.parametrize("source", ["network.now()", "clock.now()", "asyncio.timeout(3)", "time_limit = 3"])
def test_asking_the_network_is_no_reading_of_the_time(source: str) -> None:
    assert [] == reads_of_time(source)
