"""Observers from packages: imported at the first call, and what one that does not work is worth."""

from __future__ import annotations

import pytest

from tests.support.computer import MARK, RUN, Computer
from tests.support.distributions import install

OBSERVER = (
    MARK
    + """
from runagent import hookimpl

class Watched:
    def finished(self, report):
        print(report.outcome, report.agent_id)

@hookimpl
def runagent_observe_call(call):
    return Watched()
"""
)


def test_observers_are_loaded_at_the_first_call(computer: Computer) -> None:
    install(computer.site, "runagent-watch", OBSERVER, observers=("watch",))
    for arguments in (("-c", "import runagent; runagent.RunAgentClient('a')"), ("-m", "runagent", "--help")):
        computer.run(*arguments)
    assert [] == computer.imported
    ran = computer.run("-c", f"{RUN}; {RUN}")
    assert ["completed a", "hello"] * 2 == ran.stdout.split("\n")[:-1]
    assert ["runagent_watch"] == computer.imported


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        ("", "implements no runagent_observe_call"),
    ],
)
def test_an_observer_that_does_not_work_is_logged_or_an_error_where_strict(
    computer: Computer, source: str, complaint: str
) -> None:
    install(computer.site, "runagent-watch", source, observers=("watch",))
    ran = computer.run("-c", f"{RUN}; {RUN}")
    assert ["hello"] * 2 == ran.stdout.split()
    assert 1 == ran.stderr.count("calls go on without it")
    assert complaint in ran.stderr
    ran = computer.run("-c", RUN, RUNAGENT_STRICT_PLUGINS="1")
    assert (1, "") == (ran.returncode, ran.stdout)
    assert "PluginError" in ran.stderr


def test_an_observer_that_exits_ends_the_program(computer: Computer) -> None:
    install(computer.site, "runagent-watch", "raise SystemExit(3)", observers=("watch",))
    assert (3, "") == ((ran := computer.run("-c", RUN)).returncode, ran.stdout)


def test_an_observer_can_be_switched_off(computer: Computer) -> None:
    install(computer.site, "runagent-watch", OBSERVER, observers=("watch",))
    assert "hello" == computer.run("-c", RUN, RUNAGENT_DISABLE_PLUGINS="watch").stdout.strip()
    assert [] == computer.imported
