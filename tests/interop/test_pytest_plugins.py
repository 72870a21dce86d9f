"""Packages that many tests have, next to the fake agent: snapshots, event loops, frozen dates."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import DOCS, ROOT
from tests.interop.programs import environment, needs_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.interop, needs_environment("pytest")]

ASK = """
import uuid

import pytest
from runagent import RunAgentClient

@pytest.fixture(params=["sse", "chunked", "websocket"])
def exchange(request, fake_agent):
    fake_agent.always("Once", " upon")
    with RunAgentClient(
        "fake-agent", base_url=fake_agent.url, transport=request.param, api_key="sk-l1ve-90a7812"
    ) as client:
        client.run_generic_stream({"query": "hello", "threadId": str(uuid.uuid4())}).text()
    return fake_agent.requests[0]
"""
SYRUPY = """
def test_it(exchange, fake_agent_server, snapshot):
    assert exchange.transcript() == snapshot
    assert exchange.transcript_dict() == snapshot
    assert fake_agent_server.journal.transcript_list() == snapshot
"""
INLINE = """
from inline_snapshot import snapshot

TEXT = snapshot()

@pytest.mark.parametrize("exchange", ["sse"], indirect=True)
def test_it(exchange):
    assert exchange.transcript() == TEXT
    assert exchange.transcript_dict() == snapshot()
"""


def ran(folder: Path, source: str, *options: str) -> str:
    """Run tests in the environment, and return what pytest shows."""
    file = folder / "test_it.py"
    if not file.exists():
        file.write_text(source)
        (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    plugin = ("-p", "runagent_testing.pytest_plugin", "-p", "no:cacheprovider")
    result = subprocess.run(
        [str(environment("pytest")), "-m", "pytest", *plugin, "-W", "error", *options],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return result.stdout + result.stderr


@pytest.mark.parametrize(
    ("source", "update", "wanted"),
    [(SYRUPY, "--snapshot-update", "9 snapshots passed"), (INLINE, "--inline-snapshot=create", "1 passed")],
    ids=["syrupy", "inline-snapshot"],
)
def test_a_transcript_is_a_snapshot_as_it_is(tmp_path: Path, source: str, update: str, wanted: str) -> None:
    ran(tmp_path, ASK + source, update)
    files = {path: path.read_text() for path in tmp_path.rglob("*") if path.suffix in (".py", ".ambr")}
    assert any("<id 1>" in text for text in files.values())
    assert all("sk-l1ve" not in text for path, text in files.items() if path.suffix == ".ambr")
    shown = ran(tmp_path, ASK + source)
    assert wanted in shown, shown
    assert "failed" not in shown


VIRTUAL = """
import pytest
from runagent import AsyncRunAgentClient, RunAgentClient
from runagent_testing import delay

async def ask(network=None):
    async with AsyncRunAgentClient("writer") as client:
        return await client.run_generic_stream("hello", timeout=1000).text()

class Common:
    async def test_it(self, installed_memory_network):
        installed_memory_network.agent("writer").always("Once", delay(600), " upon")
        assert await ask() == "Once upon"
        assert installed_memory_network.requests[0].ended_at == 600.0

    async def test_real_sockets(self, fake_agent_server, monkeypatch):
        monkeypatch.setenv("RUNAGENT_API_URL", fake_agent_server.url)
        fake_agent_server.agent("writer").always("Once", delay(0.01), " upon")
        assert await ask() == "Once upon"

@pytest.mark.asyncio
class TestOwnLoop(Common):
    pass

@pytest.mark.asyncio(loop_scope="module")
class TestModule(Common):
    pass

@pytest.mark.asyncio(loop_scope="session")
class TestSession(Common):
    pass
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_pytest_asyncio_runs_on_virtual_time_by_the_recipe(tmp_path: Path, mode: str) -> None:
    blocks = (example.text for example in DOCS["testing"].examples())
    recipe = next(block for block in blocks if "pytest_asyncio_loop_factories" in block)
    (tmp_path / "conftest.py").write_text(recipe)
    shown = ran(tmp_path, VIRTUAL, f"--asyncio-mode={mode}")
    assert "6 passed" in shown, shown


FROZEN = """
import asyncio
import datetime
import time

import freezegun
import pytest
import time_machine
import trio
from runagent import AsyncRunAgentClient, RunAgentClient
from runagent_testing import FakeAgentServer, MemoryNetwork, delay

DAY = datetime.datetime(2001, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
FREEZERS = {
    "freezegun": lambda: freezegun.freeze_time(DAY),
    "freezegun ticks": lambda: freezegun.freeze_time(DAY, tick=True),
    "time-machine": lambda: time_machine.travel(DAY, tick=False),
    "time-machine ticks": lambda: time_machine.travel(DAY),
}
pytestmark = pytest.mark.parametrize("freeze", FREEZERS.values(), ids=FREEZERS)

def sync(host, network, transport):
    with RunAgentClient("writer", base_url=host.url, network=network, transport=transport) as client:
        return client.run_generic_stream("hello", timeout=1000).text()

async def ask(host, network, transport):
    options = {"base_url": host.url, "network": network, "transport": transport}
    async with AsyncRunAgentClient("writer", **options) as client:
        return await client.run_generic_stream("hello", timeout=1000).text()

@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_in_memory(freeze, transport):
    with freeze():
        memory = MemoryNetwork()
        memory.agent("writer").always("Once", delay(600), " upon")
        texts = [
            sync(memory, memory.blocking, transport),
            memory.run_asyncio(ask(memory, memory.aio, transport)),
            memory.run_trio(ask, memory, memory.trio, transport),
        ]
        assert texts == ["Once upon"] * 3
        assert [exchange.ended_at for exchange in memory.requests] == [600.0] * 3
        assert memory.requests[0].started_at == pytest.approx(DAY.timestamp(), abs=60)
        assert "2001-02-03" in memory.journal.as_har()["log"]["entries"][0]["startedDateTime"]
        memory.check()

@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_on_sockets(freeze, transport):
    with FakeAgentServer() as server:
        server.agent("writer").always("Once", delay(0.05), " upon")
        with freeze():
            texts = [sync(server, None, transport), asyncio.run(ask(server, None, transport))]
            texts.append(trio.run(ask, server, None, transport))
        assert texts == ["Once upon"] * 3
        assert all(0.05 <= exchange.ended_at < 5 for exchange in server.requests if exchange.wait_done())
        server.check()

def test_a_whole_server(freeze):
    with freeze(), FakeAgentServer() as server:
        server.agent("writer").always("Once")
        assert sync(server, None, "sse") == "Once"
        server.check()
"""


def test_frozen_dates_stop_nothing(tmp_path: Path) -> None:
    shown = ran(tmp_path, FROZEN)
    assert "20 passed" in shown, shown
