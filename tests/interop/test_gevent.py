"""The synchronous client in greenlets of gevent: many streams at a time, and asynchronous libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import FakeAgentServer, ending, gate
from tests.docs.pages import ROOT
from tests.interop.programs import wait_until
from tests.support.process import killed_at_end

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path(__file__).with_name("agents")
PATIENCE = 100.0  # seconds for the program with two thousand greenlets
OPEN_FILES = 5000


@pytest.fixture
def open_files() -> Iterator[None]:
    """Let this process have as many sockets as two thousand streams need."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < OPEN_FILES:
        pytest.skip(f"at most {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAMS / program), *map(str, arguments)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "HOME": "/nonexistent"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_hundred_greenlets_stream_at_the_same_time() -> None:
    with FakeAgentServer() as server:
        check_greenlets(server, 200)


@pytest.mark.interop
def test_two_thousand_greenlets_stream_at_the_same_time(open_files: None) -> None:
    with FakeAgentServer() as server:
        check_greenlets(server, 2000)


def check_greenlets(server: FakeAgentServer, count: int) -> None:
    """Have so many greenlets read at a time: each agent goes on only once all of its streams are open."""
    gates = {transport: gate(transport) for transport in ("sse", "chunked", "websocket")}
    for transport, door in gates.items():
        server.agent(transport).always("Once", door, " upon a time")
    server.agent("endless").always("Once", ending("stall"))
    facts: list[dict[str, Any]] = []
    with killed_at_end(start("many_greenlets.py", server.url, count)) as program:
        for line in program.stdout or ():
            facts.append(json.loads(line))
            if "open" in facts[-1]:
                gates[facts[-1]["open"]].open()
        _, errors = program.communicate(timeout=PATIENCE)
    assert (0, "") == (program.returncode, errors)
    ends = {"ends": {"'Once upon a time'": count}}
    read = [fact for transport in gates for fact in ({"open": transport}, ends)]
    assert [*read, {"killed": {"GreenletExit()": count}}] == facts
    wait_until(lambda: {"client disconnected": count} == outcomes(server, "endless"), "streams that end")


def outcomes(server: FakeAgentServer, agent: str) -> Counter[str]:
    return Counter(exchange.outcome for exchange in server.agent(agent).requests)


def test_greenlets_read_what_a_library_of_asyncio_hands_over() -> None:
    with killed_at_end(start("greenlets.py")) as program:
        printed, errors = program.communicate(timeout=60)
    assert (0, "") == (program.returncode, errors)
    seen = json.loads(printed)
    assert 5 <= seen.pop("threads")
    refused = "the transport 'library' needs trio, which does not run where gevent has patched select"
    failed = "the transport 'library' failed: RuntimeError('broken before it began')"
    assert ["ConfigurationError", refused, True] == seen.pop("trio")
    assert ["PluginError", failed, True] == seen.pop("early")
    assert {"texts": ["ab"] * 5, "own thread": False, "killed": "GreenletExit()", "cancelled": 1} == seen
