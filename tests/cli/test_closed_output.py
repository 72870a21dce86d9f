"""Ctrl-C, and readers of the command's output who leave."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runagent_testing import gate
from tests.cli.command import PATIENCE, ROOT, piped, start, wait_for_request

pytestmark = pytest.mark.usefixtures("settings")


def test_ctrl_c_keeps_what_came_and_releases_the_connection(server, transport) -> None:
    server.agent("a").always("Once", gate("never"), " upon")
    with piped("stream", "a", "hi", "--transport", transport) as (process, out, err):
        assert b"Once" == out.read(100)
        process.send_signal(signal.SIGINT)
        assert server.requests[0].wait_disconnected(PATIENCE)
        assert (b"", b"", 130) == (out.read(), err.read(), process.wait(PATIENCE))


def test_ctrl_c_before_the_answer(server) -> None:
    server.agent("a").returns(gate("never"), "x")
    with piped("invoke", "a", "hi") as (process, out, err):
        wait_for_request(server)
        process.send_signal(signal.SIGINT)
        assert (b"", b"", 130) == (out.read(), err.read(), process.wait(PATIENCE))


def test_a_reader_who_leaves_ends_the_run_quietly(server) -> None:
    go_on = gate("go on")
    server.agent("a").always("one\n", go_on, "two\n", gate("never"))
    with piped("stream", "a", "hi") as (process, out, err):
        assert b"one\n" == out.read(100)
        out.close()
        go_on.open()
        assert (b"", 141) == (err.read(), process.wait(PATIENCE))
    assert server.requests[0].wait_disconnected(PATIENCE)


def test_output_that_cannot_be_written_is_reported(server) -> None:
    server.agent("a").always("x")
    with Path(__file__).open("rb") as not_writable:
        process = start("stream", "a", "hi", stdout=not_writable, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=PATIENCE)
    expected = b"runagent: error: cannot write the output: Bad file descriptor\n"
    assert (expected, 1) == (err, process.returncode)


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_makes_no_traceback(server, closed) -> None:
    server.agent("a").always("x")
    ran = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m runagent stream a hi {closed}', sys.executable],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE,
    )
    expected = (1, b"", b"runagent: error: cannot write the output: standard output is closed\n")
    assert (expected if closed == ">&-" else (0, b"x", b"")) == (ran.returncode, ran.stdout, ran.stderr)
