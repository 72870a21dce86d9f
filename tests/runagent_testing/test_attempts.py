"""Tests that are run more than once: each attempt is judged, and shown, by itself."""

from __future__ import annotations

import pytest

from tests.runagent_testing.project import run

# What pytest-rerunfailures and flaky do: the same item, protocol and all, until it passes.
AGAIN = """
import pytest
from _pytest.runner import runtestprotocol

ATTEMPTS = 3

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(ATTEMPTS):
        item._initrequest()
        item.attempt = attempt
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        item.config.attempts = [*getattr(item.config, "attempts", []), reports]
        if not any(report.failed for report in reports):
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True

def pytest_sessionfinish(session):
    for reports in getattr(session.config, "attempts", []):
        words = [f"{report.when} {report.outcome}" for report in reports if not report.passed]
        sections = [text for report in reports for name, text in report.sections if "fake agents" in name]
        shown = sorted({number for number in range(9) for text in sections if f"attempt-{number}" in text})
        print(f"ATTEMPT: {words} shows {shown} in {len(sections)}")

@pytest.fixture
def attempt(request):
    return request.node.attempt
"""

HOSTS = {
    "the session's server": ("fake_agent_server", "fake_agent_server", ""),
    "a server of the factory": ("fake_agent_server_factory", "fake_agent_server_factory()", ""),
    "a memory network": ("memory_network", "memory_network", ", network=memory_network.blocking"),
}


def attempts(project, host, body):
    fixture, made, options = HOSTS[host]
    project.makeconftest(AGAIN)
    lines = "".join(f"    {line}\n" for line in body)
    result = run(
        project,
        f"def test_it({fixture}, attempt):\n"
        f"    host = {made}\n"
        "    agent = host.agent('a').reply(f'attempt-{attempt}')\n"
        f"    ask = lambda: asked(host, 'a'{options})\n" + lines,
        "-s",
    )
    return [line.partition("ATTEMPT: ")[2] for line in result.outlines if "ATTEMPT: " in line]


@pytest.mark.parametrize("host", HOSTS)
def test_what_an_attempt_leaves_over_counts_though_the_one_before_has_failed(project, host):
    body = ["if attempt == 0:", "    ask()", "    raise ValueError", "agent.reply('more')", "ask()"]
    assert attempts(project, host, body) == [
        "['call failed'] shows [0] in 1",
        "['teardown failed'] shows [1] in 1",
        "['teardown failed'] shows [2] in 1",
    ]


@pytest.mark.parametrize("host", HOSTS)
def test_an_attempt_shows_its_own_exchanges_only(project, host):
    assert attempts(project, host, ["ask()", "raise ValueError"]) == [
        f"['call failed'] shows [{number}] in 1" for number in range(3)
    ]


@pytest.mark.parametrize("host", HOSTS)
def test_what_an_attempt_has_left_over_does_not_fail_the_next(project, host):
    body = ["ask()", "if attempt == 0:", "    agent.reply('more')"]
    assert attempts(project, host, body) == ["['teardown failed'] shows [0] in 1", "[] shows [] in 0"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_fixture_that_fails_does_not_excuse_the_next_attempt(project, host):
    body = ["ask()", "agent.reply('more')"]
    project.makepyfile(
        helper="""
import pytest

@pytest.fixture(autouse=True)
def shaky(request):
    if request.node.attempt == 0:
        raise ValueError
"""
    )
    project.makefile(".ini", pytest="[pytest]\naddopts = -p helper\n")
    lines = attempts(project, host, body)
    assert [line.partition(" shows")[0] for line in lines] == [
        "['setup failed']",
        "['teardown failed']",
        "['teardown failed']",
    ]


def test_a_test_that_skips_itself_once_is_checked_the_next_time(project):
    project.makeconftest(AGAIN)
    result = run(
        project,
        """
@pytest.mark.parametrize("skips", [True, False])
def test_it(fake_agent, skips):
    fake_agent.reply("x")
    if skips:
        pytest.skip("not today")
""",
    )
    result.assert_outcomes(skipped=1, passed=1, errors=1)
