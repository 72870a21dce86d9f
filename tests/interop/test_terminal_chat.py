"""The chat of docs/cookbook/terminal-chat.md: through pipes as the page shows it, and in a terminal."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

import pytest

from runagent_testing import FakeAgentServer, ending, gate, load_script
from tests.docs.pages import COOKBOOK, ROOT
from tests.interop.programs import environment, needs_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.interop, needs_environment("rich")]

PAGE = COOKBOOK["terminal-chat"]
PATIENCE = 20.0  # seconds
SIZE = (24, 80)  # lines and columns
PROMPT = "You:"
# Prints the lines that a terminal has after these bytes, those that have left it at the top included.
_SHOW = f"""
import sys, pyte
screen = pyte.HistoryScreen({SIZE[1]}, {SIZE[0]}, history=10_000)
pyte.ByteStream(screen).feed(sys.stdin.buffer.read())
for line in screen.history.top:
    print("".join(line[column].data for column in range(screen.columns)).rstrip())
print("\\n".join(line.rstrip() for line in screen.display))
"""


# Opens the terminal as the controlling one, and becomes the program.
_IN_TERMINAL = """
import os, sys
terminal = os.open(sys.argv[1], os.O_RDWR)
for number in range(3):
    os.dup2(terminal, number)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def program(tmp_path: Path, server: FakeAgentServer) -> tuple[list[str], dict[str, str]]:
    """The command that runs the chat, and its environment."""
    (tmp_path / "chat.py").write_text(PAGE.block("# chat.py"), encoding="utf-8")
    variables = {"PYTHONPATH": str(ROOT), "RUNAGENT_API_URL": server.url, "PYTHONUTF8": "1", "TERM": "xterm"}
    return [str(environment("rich")), "-W", "error", str(tmp_path / "chat.py")], variables


def stripped(text: str) -> list[str]:
    """Return the lines without the spaces that fill them up."""
    return [line.rstrip() for line in text.splitlines()]


def test_it_shows_what_the_page_shows(
    program: tuple[list[str], dict[str, str]], server: FakeAgentServer, tmp_path: Path
) -> None:
    (tmp_path / "agents.yaml").write_text(PAGE.block("agents:"), encoding="utf-8")
    load_script(tmp_path / "agents.yaml").apply(server)
    shown = PAGE.block("$ export").partition("$ python chat.py\n")[2]
    questions = re.findall(rf"^{PROMPT} (.+)$", shown, re.MULTILINE)
    command, variables = program
    ran = subprocess.run(
        command, env=variables, input="\n".join(questions), capture_output=True, text=True, timeout=PATIENCE
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    for question in questions:
        shown = shown.replace(f"{PROMPT} {question}\n", f"{PROMPT} ")  # a pipe shows nothing of the input
    assert stripped(shown) == stripped(ran.stdout)
    server.check()


class Terminal:
    """A program in a terminal, as its user sees and drives it."""

    def __init__(self, program: tuple[list[str], dict[str, str]]) -> None:
        self._command, self._variables = program
        self.output = b""
        self._seen = 0

    def __enter__(self) -> Self:
        self._end, self._other = os.openpty()
        fcntl.ioctl(self._other, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        # Ctrl-C reaches the process whose controlling terminal this is: the first that a new session opens.
        command = [sys.executable, "-c", _IN_TERMINAL, os.ttyname(self._other), *self._command]
        self._process = subprocess.Popen(command, env=self._variables, start_new_session=True)
        return self

    def __exit__(self, *details: object) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        os.close(self._end)
        os.close(self._other)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._end, keys.encode())

    def wait_for(self, text: str) -> None:
        """Wait until a text is written behind those that were waited for."""
        until = time.monotonic() + PATIENCE
        while (place := self.output.find(text.encode(), self._seen)) < 0:
            ready, _, _ = select.select([self._end], [], [], until - time.monotonic())
            assert ready, self.output.decode(errors="replace")
            self.output += os.read(self._end, 65536)
        self._seen = place + len(text)

    def wait_for_end(self) -> int:
        """Wait until the program has ended, and return its status."""
        return self._process.wait(PATIENCE)

    def lines(self) -> list[str]:
        """Return the lines that the terminal has, those that have left it at the top included."""
        command = [str(environment("rich")), "-c", _SHOW]
        shown = subprocess.run(command, input=self.output, capture_output=True, timeout=PATIENCE, check=True)
        return shown.stdout.decode().rstrip("\n").split("\n")


@pytest.fixture
def terminal(program: tuple[list[str], dict[str, str]], server: FakeAgentServer) -> Iterator[Terminal]:
    with Terminal(program) as running:
        yield running


def test_an_answer_that_is_longer_than_the_terminal_is_there_once(
    terminal: Terminal, server: FakeAgentServer
) -> None:
    lines, door = [f"line {number}" for number in range(100)], gate("door")
    steps = [f"* {line}\n" for line in lines]
    server.agent("your-agent-id").reply(*steps[:50], door, *steps[50:])
    terminal.wait_for(PROMPT)
    terminal.type("Tell me a story\n")
    terminal.wait_for(lines[49])  # while it is written
    door.open()
    terminal.wait_for(PROMPT)
    terminal.type("\4")  # Ctrl-D
    assert 0 == terminal.wait_for_end()
    bullets = [f" \N{BULLET} {line}" for line in lines]
    assert [f"{PROMPT} Tell me a story", "", *bullets, PROMPT] == terminal.lines()


def test_ctrl_c_stops_the_agent_and_not_the_chat(terminal: Terminal, server: FakeAgentServer) -> None:
    agent = server.agent("your-agent-id")
    agent.reply("Once", ending("stall")).reply(" upon a time")
    terminal.wait_for(PROMPT)
    terminal.type("Tell me a story\n")
    terminal.wait_for("Once")
    terminal.type("\3")  # Ctrl-C
    assert server.requests[0].wait_disconnected(0.5)
    terminal.wait_for(PROMPT)
    terminal.type("Go on\n")
    terminal.wait_for("upon a time")
    terminal.wait_for(PROMPT)
    terminal.type("\3")
    assert 0 == terminal.wait_for_end()
    shown = [f"{PROMPT} Tell me a story", "Once", "Stopped.", f"{PROMPT} Go on", "upon a time", PROMPT]
    assert shown == terminal.lines()
