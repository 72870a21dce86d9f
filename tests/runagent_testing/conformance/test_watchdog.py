"""A check that does not end is stopped, reported, and fails; sound transports notice nothing."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time

import pytest

from runagent.transports._sse import SSESession
from runagent_testing.conformance import Violation, check_transport
from runagent_testing.conformance._broken import Broken
from runagent_testing.conformance._watchdog import Watchdog

STOPPED = "the check did not end, and was stopped here:"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("runagent_testing.conformance._watchdog.PROCESSOR_SECONDS", 0.3)


def broken(read_body):
    """Make a transport whose sessions read like this."""
    kind = type("Endless", (SSESession,), {"read_body": read_body})
    return Broken("endless", "session.done", kind)


def loops(session, data):
    while data:
        pass


def loops_whatever_is_raised(session, data):
    with contextlib.suppress(BaseException):
        while data:
            pass
    while data:
        pass


def reads_itself(session, data):
    while data:
        with contextlib.suppress(Exception):
            session.read_body(data)


def check(read_body, *only, **options):
    report = check_transport(broken(read_body), only=only, **options)
    assert all(result.status == "failed" for result in report.results)
    return [result.reason for result in report.results]


@pytest.mark.parametrize("read_body", [loops, loops_whatever_is_raised, reads_itself])
def test_a_session_in_an_endless_loop_fails_with_its_line(read_body):
    (reason,) = check(read_body, "session.done")
    assert reason.startswith(STOPPED)
    assert f"in {read_body.__name__}" in reason


@pytest.mark.parametrize("style", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize("player", ["memory", "socket"])
def test_so_does_one_in_a_run(style, player):
    (reason,) = check(loops, "run.order", styles=[style], players=[player])
    assert reason.startswith(STOPPED)
    assert "in loops" in reason


def test_one_that_waits_is_stopped_by_the_clock(monkeypatch):
    def waits(session, data):
        while data:
            time.sleep(0.01)

    monkeypatch.setattr("runagent_testing.conformance._watchdog.SECONDS", 0.3)
    (reason,) = check(waits, "session.done")
    assert reason.startswith(STOPPED)
    assert "time.sleep" in reason


def test_a_session_that_sends_for_ever_is_stopped():
    class Talks(SSESession):
        def data_to_send(self):
            return b"more"

    report = check_transport(
        Broken("talks", "run.order", Talks), only=["run.order"], styles=["sync"], players=["memory"]
    )
    assert not report.ok


def test_the_rest_is_not_checked_when_three_did_not_come_to_an_end():
    only = ("session.done", "session.events", "session.prompt", "session.truncated", "session.refused")
    reasons = check(loops, *only)
    assert 3 == sum(reason.startswith(STOPPED) for reason in reasons)
    assert ["not checked, as 3 other checks did not end"] * 2 == reasons[3:]


def test_a_check_that_waits_is_stopped_earlier_once_another_was_stopped(monkeypatch):
    def waits():
        while True:
            time.sleep(0.01)

    limits = "runagent_testing.conformance._watchdog"
    monkeypatch.setattr(f"{limits}.SECONDS", 0.1)
    watchdog = Watchdog()
    with pytest.raises(Violation, match="was stopped here"):
        watchdog.perform(waits, "the first")
    monkeypatch.setattr(f"{limits}.SECONDS", 3600.0)  # longer than any test may take
    monkeypatch.setattr(f"{limits}.LATER_SECONDS", 0.1)
    with pytest.raises(Violation, match="was stopped here"):
        watchdog.perform(waits, "the second")


def test_attempts_at_one_check_count_once():
    watchdog = Watchdog()

    def loops():
        while True:
            pass

    for _ in range(4):
        with pytest.raises(Violation, match="was stopped here"):
            watchdog.perform(loops, "session.done[]")
    done = []
    watchdog.perform(lambda: done.append(1), "session.done[]")
    assert [1] == done


def test_a_reader_may_interrupt_the_kit(monkeypatch):
    def interrupts(session, data):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(interrupts, "session.done")


# In a process that can be killed: what goes wrong here hangs, within the interpreter.
PROFILED = """
import contextlib, sys
from runagent_testing.conformance import Violation, _watchdog

def loops():
    while True:
        pass

_watchdog.PROCESSOR_SECONDS = 0.1
with contextlib.suppress(Violation):
    _watchdog.Watchdog().perform(loops, "x")
entered = []
sys.setprofile(lambda frame, event, argument: entered.append(event))
(lambda: None)()
sys.setprofile(None)
print("call" in entered)
"""


def test_functions_can_be_profiled_once_a_check_was_stopped():
    command = [sys.executable, "-c", PROFILED]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert ["True"] == shown.stdout.split()
