"""Tests that node's own runner runs steer one server, at the same time, each in its scope."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer

FILE = Path(__file__).parent / "node" / "steering.test.mjs"
TESTS = len(re.findall(r"^ +it\(", FILE.read_text(encoding="utf-8"), re.MULTILINE)) + 1  # one is made twice
NODE = shutil.which("node")
START = 60.0  # seconds for node to start and to end


@pytest.mark.skipif(NODE is None, reason=f"node is not installed: {TESTS} of its tests did not run")
def test_tests_of_node_steer_one_server_at_the_same_time(served: FakeAgentServer) -> None:
    assert NODE is not None
    ran = subprocess.run(
        [NODE, "--test", "--test-reporter=tap", str(FILE)],
        env={**os.environ, "FAKE_AGENT_URL": served.url},
        capture_output=True,
        text=True,
        timeout=START,
        check=False,
    )
    summary = dict(re.findall(r"^# (tests|pass|fail|skipped) (\d+)$", ran.stdout, re.MULTILINE))
    assert ("0", "0") == (summary["fail"], summary["skipped"]), ran.stdout
    assert ran.returncode == 0, ran.stderr
    assert str(TESTS) == summary["pass"]
    assert [] == served.journal.exchanges
    assert {"node one", "node two", "node leftovers"} == {scope.name for scope, _ in served.scopes()}
