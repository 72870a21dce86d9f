"""Plugins of pytest that many tests have, next to ours: snapshots need no filter."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import ROOT
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
