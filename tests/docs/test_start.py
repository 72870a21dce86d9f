"""The page of first steps: what its terminals show is what the programs print."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from runagent_testing import FakeAgentServer
from runagent_testing._standalone.demo import DEMO
from runagent_testing._standalone.script_file import read_script
from tests.docs.pages import DOCS, ROOT
from tests.support.process import killed_at_end

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

START = DOCS["start"]
PATIENCE = 60  # seconds


def test_the_agent_announces_itself_as_shown(tmp_path: Path) -> None:
    command, url, *shown = START.block("$ runagent-fake").splitlines()
    program = [sys.executable, "-m", "runagent_testing", *command.split()[2:], "--port", "0"]
    started = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with killed_at_end(started) as process:
        assert process.stdout is not None
        announced = process.stdout.readline().strip()  # its last line at the start, or the end of the process
        process.terminate()
        _, printed = process.communicate(timeout=PATIENCE)
    assert shown == printed.replace(announced, url).splitlines()[: len(shown)]


def test_the_commands_of_the_page_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeAgentServer() as server:
        read_script(re.sub(r"^ +pace: .+\n", "", DEMO, flags=re.MULTILINE), "demo.yaml").apply(server)
        monkeypatch.setenv("RUNAGENT_API_URL", server.url)
        *_, command = START.block("$ export RUNAGENT_API_URL=http://127").splitlines()
        assert command == '$ runagent stream demo "Tell me a story"'
        result = subprocess.run(
            [sys.executable, "-m", "runagent", "stream", "demo", "Tell me a story"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    story = next(example.output for example in START.examples())
    assert (story, "") == (result.stdout.rstrip("\n") + "\n", result.stderr)
