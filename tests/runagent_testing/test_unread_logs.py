"""A log that cannot be written stops nothing: not the answers, not the command."""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runagent import AgentServerError, RunAgentClient
from runagent_testing import FakeAgentServer, MemoryNetwork
from runagent_testing._standalone.log import ExchangeLog
from runagent_testing._standalone.output import Output
from tests.runagent_testing.program import START, until
from tests.runagent_testing.raw_client import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "agents: {a: {always: [Once, {gate: door}, ' upon'], returns: 1}, b: {always: [Once, ' upon']}}"


@contextlib.contextmanager
def serving(script, stderr):
    ready = script.with_name("ready")
    command = [sys.executable, "-m", "runagent_testing", "serve", str(script), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--ready-file", str(ready)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        text=True,
    )
    with process:
        try:
            until(ready.exists, START)
            yield process, ready.read_text(encoding="utf-8").strip()
        finally:
            process.kill()


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


@contextlib.contextmanager
def unread(kind):
    """Give a stderr that takes nothing, or not for long."""
    if kind == "full disk":
        with open("/dev/full", "wb") as file:  # noqa: PTH123
            yield file.fileno()
        return
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    if kind == "reader gone":
        os.close(read)
    if kind == "without blocking":
        os.set_blocking(write, False)
    try:
        yield write
    finally:
        os.close(write)
        if kind != "reader gone":
            os.close(read)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="for Linux")  # noqa: PTH110
@pytest.mark.parametrize("kind", ["full disk", "reader gone", "reader asleep", "without blocking"])
def test_answers_go_on_whatever_becomes_of_the_log(kind, script):
    with unread(kind) as stderr, serving(script, stderr) as (process, url):
        process.stdin.write("nonsense\ndoor\n")
        process.stdin.flush()
        for agent in ("a", "b"):
            with RunAgentClient(agent, base_url=url, max_retries=0, timeout=PATIENCE) as client:
                assert {"Once upon"} == {client.run_generic_stream("q" * 50).text() for _ in range(40)}
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(PATIENCE)


class Failing(io.StringIO):
    """A stream that takes nothing for a while."""

    def __init__(self, error, times):
        super().__init__()
        self.error = error
        self.left = times

    def write(self, text):
        if self.left:
            self.left -= 1
            raise self.error
        return super().write(text)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (BrokenPipeError(32, "Broken pipe"), "Broken pipe"),
        (ValueError("I/O operation on closed file"), "I/O operation on closed file"),
    ],
)
def test_the_log_counts_once_what_it_could_not_write(error, why):
    stream = Failing(error, 3)
    output = Output(stream)
    for number in range(5):
        output.write(f"line {number}\n")
    output.close()
    output._thread.join(PATIENCE)
    assert f"3 lines of this log got lost: {why}\nline 3\nline 4\n" == stream.getvalue()


def test_a_reader_who_sleeps_costs_lines_and_no_time(monkeypatch):
    monkeypatch.setattr(sys.modules[Output.__module__], "_ROOM", 2)
    awake = threading.Event()

    class Sleeping(io.StringIO):
        def write(self, text):
            awake.wait(PATIENCE)
            return super().write(text)

    output = Output(stream := Sleeping())
    until = time.monotonic() + PATIENCE
    for number in range(20):
        output.write(f"line {number}\n")
    assert time.monotonic() < until
    awake.set()
    output.close()
    output._thread.join(PATIENCE)
    lines = stream.getvalue().splitlines()
    lost = [line for line in lines if "of this log got lost: nobody read it" in line]
    assert (1, 20) == (len(lost), int(lost[0].split()[0]) + len(lines) - 1)


class BadHandler(logging.Handler):
    def emit(self, record):
        raise OSError("no space")


@pytest.fixture
def bad_handler():
    handler = BadHandler()
    logger = logging.getLogger("runagent_testing")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def ask(agents, agent, **options):
    with RunAgentClient(agent, base_url=agents.url, max_retries=0, **options) as client:
        return client.run_generic_stream("q").text()


@pytest.mark.parametrize("host", ["server", "memory"])
def test_a_handler_that_fails_stops_no_answer(host, bad_handler):
    with contextlib.ExitStack() as stack:
        agents = stack.enter_context(FakeAgentServer()) if host == "server" else MemoryNetwork()
        options = {"network": agents.blocking} if isinstance(agents, MemoryNetwork) else {}
        agents.agent("a").always("Once", " upon")
        agents.agent("b").responds(lambda _: [1 / 0])
        assert "Once upon" == ask(agents, "a", **options)
        with pytest.raises(AgentServerError, match="ZeroDivisionError"):
            ask(agents, "b", **options)


def test_what_the_log_cannot_show_is_a_line(caplog):
    screen = io.StringIO()
    handler = ExchangeLog(screen)
    record = logging.LogRecord("other", logging.ERROR, "", 0, "%d", ("x",), None)
    handler.emit(record)
    assert "a line is missing here: TypeError\n" in screen.getvalue()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="for Linux")  # noqa: PTH110
@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("reader gone", 0, ""),
        ("full disk", 2, "runagent-fake: error: cannot write the result: No space left on device\n"),
    ],
)
def test_check_ends_quietly_when_its_output_is_closed(kind, code, message, script):
    with unread(kind) as stdout:
        ended = subprocess.run(
            [sys.executable, "-m", "runagent_testing", "check", str(script)],
            cwd=ROOT,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=START,
            check=False,
        )
    assert (code, message) == (ended.returncode, ended.stderr)
