"""What only `make interop` runs is marked `interop`; logs of programs that run are shown with a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runagent_testing import FakeAgentServer
from tests.interop.nginx import Nginx
from tests.interop.peers import peer_of, results
from tests.interop.programs import Port, Program
from tests.support.styles import STYLES, Style

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

LONGEST_LOG = 4000  # characters shown of each


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    # Skipped here and not by pytest's own marks: the summary then has one line for each reason.
    if item.get_closest_marker("interop") is not None and not item.config.getoption("--interop"):
        pytest.skip("left to make interop")
    item.user_properties += [("peer", list(peer)) for peer in peer_of(item.iter_markers())]
    for mark in item.iter_markers("needs"):
        if mark.kwargs["missing"]:
            pytest.skip(mark.kwargs["missing"])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for program in Program.running:
            text = program.log.read_text(encoding="utf-8", errors="replace")
            report.sections.append((f"log of {program.command[0]}", text[-LONGEST_LOG:]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report
        for outcome in ("passed", "failed", "skipped")
        for report in terminalreporter.stats.get(outcome, ())
    ]
    if lines := list(results(reports)):
        terminalreporter.section("software of other people")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.interop if name == "uvloop" else ()) for name in STYLES]
)
def style(request: pytest.FixtureRequest) -> Style:
    """Each concurrency style in turn; of the two asyncio loops, `make test` runs one."""
    return Style(request.param)


@pytest.fixture(scope="module")
def shared_agents() -> Iterator[FakeAgentServer]:
    """The fake agents behind the programs of a module."""
    with FakeAgentServer() as server:
        yield server


@pytest.fixture
def agents(shared_agents: FakeAgentServer) -> Iterator[FakeAgentServer]:
    """The same, new for each test; connections that a proxy keeps to them are dropped."""
    yield shared_agents
    shared_agents.clear()


@pytest.fixture(scope="module")
def nginx(shared_agents: FakeAgentServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """An nginx in front of the agents."""
    folder = tmp_path_factory.mktemp("nginx")
    with Port() as port, Port() as nobody, Nginx(folder, shared_agents.url, port, nobody) as running:
        yield running
