"""The marker ``fake_agent`` and the options for chaos, in test runs within this process."""

from __future__ import annotations

import re

import pytest

from runagent_testing import faults
from runagent_testing._host.chaos import Chaos
from tests.runagent_testing.project import PLUGIN

USE = """
import contextlib
import pytest
from runagent import RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork

def asked(host, agent="fake-agent", transport="sse", **options):
    network = host.blocking if isinstance(host, MemoryNetwork) else None
    options = {"max_retries": 0, "resume": False} | options
    with RunAgentClient(agent, base_url=host.url, transport=transport, network=network, **options) as client:
        return client.run_generic_stream("tell me").text()
"""


@pytest.fixture
def run(pytester):
    def run(source, *arguments):
        pytester.makepyfile(test_file=USE + source)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error", *arguments)

    return run


GROUP = """
@pytest.mark.fake_agent(faults=["text", "status-503"], without=["text/reset", "stall", "many-headers"])
def test_it(memory_network):
    memory_network.agent("fake-agent").always("Once", " upon")
    try:
        text = asked(memory_network, transport="chunked", headers={"Accept": "text/plain"})
    except RunAgentError:
        pass
    else:
        assert "Once upon" == text
    assert all(exchange.fault for exchange in memory_network.requests)
"""
WITHOUT = ("reset", "stall", "many-headers")


def test_a_test_runs_once_under_each_fault_of_a_group(run):
    result = run(GROUP, "-v")
    expected = [
        f"text/{fault}"
        for fault in faults.for_transport("text", "memory")
        if fault.expected.error not in ("ok", "unproven") and fault.kind not in WITHOUT
    ]
    assert [*expected, "status-503"] == re.findall(r"::test_it\[(\S+)\] PASSED", result.stdout.str())
    result.assert_outcomes(passed=len(expected) + 1)


MARKED = """
@pytest.mark.fake_agent(fault="sse/status-503", run=2, agent="b")
def test_the_run_that_is_named(fake_agent_server):
    for agent in "ab":
        fake_agent_server.agent(agent).always("Once")
        assert "Once" == asked(fake_agent_server, agent)
    with pytest.raises(RunAgentError):
        asked(fake_agent_server, "b")

@pytest.mark.fake_agent(fault="fin-after-event-1")
@pytest.mark.fake_agent(fault="fin-after-event-2")
def test_two_faults(fake_agent_server):
    fake_agent_server.agent("fake-agent").always("Once", " upon")
    for _ in range(2):
        with pytest.raises(RunAgentError):
            asked(fake_agent_server)

@pytest.mark.fake_agent(faults=["fin-after-event-1", "sse/reset-before-accept"])
def test_ids(fake_agent):
    fake_agent.always("Once", " upon")
    with pytest.raises(RunAgentError):
        asked(fake_agent)

@pytest.mark.fake_agent(fault="status-503")
def test_any_of_several_hosts(fake_agent_server_factory):
    servers = [fake_agent_server_factory() for _ in range(2)]
    for server in servers:
        server.agent("fake-agent").always("Once")
    assert "Once" == asked(servers[1], max_retries=1, retry_unsafe=True, retry_delay=0)
    assert "Once" == asked(servers[0])
    assert ["sse/status-503", None] == [exchange.fault for exchange in servers[1].requests]

@pytest.mark.fake_agent(fault="status-503")
def test_a_server_that_is_cleared(fake_agent_server):
    fake_agent_server.clear()
    fake_agent_server.agent("fake-agent").always("Once")
    with pytest.raises(RunAgentError):
        asked(fake_agent_server)

def test_the_next_test_is_free_of_it(fake_agent):
    fake_agent.always("Once")
    assert "Once" == asked(fake_agent)
"""


def test_marked_tests_meet_their_faults(run):
    run(MARKED).assert_outcomes(passed=7)


UNMET = """
@pytest.mark.fake_agent(fault="chunked/status-503")
def test_another_transport(fake_agent):
    fake_agent.always("Once")
    asked(fake_agent)

@pytest.mark.fake_agent(fault="fin-after-event-2")
def test_too_short(fake_agent):
    fake_agent.always("Once")
    asked(fake_agent)

@pytest.mark.fake_agent(faults="sse/fin", without=["fin-before-accept", "fin-in-head"])
def test_group(memory_network):
    memory_network.agent("fake-agent").always("Once")
    with contextlib.suppress(RunAgentError):
        asked(memory_network)

@pytest.mark.fake_agent(fault="status-503", allow_unused=True)
def test_allowed(fake_agent):
    fake_agent.always("Once")
"""


def test_a_fault_that_was_not_met_fails_a_test_and_one_of_a_group_without_a_place_skips_it(run):
    result = run(UNMET, "-rs")
    result.stdout.fnmatch_lines(
        [
            "  - never met: fault 'chunked/status-503'",
            "  - never met: fault 'fin-after-event-2' (*needs an answer that begins with 2 chunks)",
            "SKIPPED*fin-after-event-2 needs an answer that begins with 2 chunks",
        ]
    )
    outcomes = result.parseoutcomes()
    assert 2 == outcomes["errors"]
    assert 3 == outcomes["skipped"]


INVALID = """
@pytest.mark.fake_agent(fault="sse/stal-after-start")
def test_a(fake_agent): ...

@pytest.mark.fake_agent(fault="sse/wrong-accept")
def test_b(fake_agent): ...

@pytest.mark.fake_agent(fualt="stall-after-start")
def test_c(fake_agent): ...

@pytest.mark.fake_agent(run=3)
def test_d(fake_agent): ...

@pytest.mark.fake_agent(chaos=True)
def test_f(fake_agent): ...
"""


def test_an_invalid_marker_is_an_error_with_a_suggestion(run):
    result = run(INVALID)
    result.assert_outcomes(errors=5)
    result.stdout.fnmatch_lines(
        [
            "*did you mean 'stall-after-start'?",
            "*only a WebSocket has frames and a handshake",
            "*has no keyword 'fualt'; did you mean 'fault'?",
            "*takes run= together with fault= or faults=",
            "*takes chaos=False, for a test without faults",
        ]
    )


@pytest.mark.parametrize("rate", ["2", "a", "nan"])
def test_an_invalid_rate_shows_what_is_allowed(run, rate):
    result = run("", f"--fake-agent-chaos={rate}")
    shown = f"*argument --fake-agent-chaos: it is a number from 0 to 1, not '{rate}'"
    result.stderr.fnmatch_lines([shown])


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("faults='ssee'", "did you mean 'sse'?"),
        ("faults='sse', without='stal'", "did you mean 'stall'?"),
        ("faults='sse', without='sse'", "faults= and without= leave no fault that the test can meet"),
        ("faults=7", "a fault, or a list of faults"),
        ("faults='nope'", "test_it (test_file.py:*): @pytest.mark.fake_agent: faults= has no fault 'nope'; "),
    ],
)
def test_an_invalid_group_is_an_error_of_the_collection(run, mark, message):
    result = run(f"@pytest.mark.fake_agent({mark})\ndef test_it(fake_agent): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{message}*"])


CHAOS = """
@pytest.mark.parametrize("number", range(20))
def test_it(fake_agent, number):
    fake_agent.always("Once", " upon")
    assert "Once upon" == asked(fake_agent, max_retries=0)

@pytest.mark.fake_agent(chaos=False)
def test_exempt(fake_agent):
    fake_agent.always("Once")
    assert "Once" == asked(fake_agent)

@pytest.mark.fake_agent(fault="sse/status-503", run=2)
def test_marked(fake_agent):
    fake_agent.always("Once")
    assert "Once" == asked(fake_agent)
    with pytest.raises(RunAgentError):
        asked(fake_agent)

def test_in_memory(memory_network):
    memory_network.agent("b").always("Once", " upon")
    for _ in range(3):
        with pytest.raises(RunAgentError):
            asked(memory_network, "b")
    memory_network.agent("c").reply("never")
"""


def test_chaos_is_the_same_for_a_seed_and_the_report_has_what_repeats_it(run, pytester):
    result = run(CHAOS, "--fake-agent-chaos=0.3", "--fake-agent-seed=7", "-k", "test_it")
    expected = [Chaos(0.3, 7, test=f"test_file.py::test_it[{n}]").strikes("fake-agent", 1) for n in range(20)]
    result.assert_outcomes(failed=sum(expected), passed=20 - sum(expected), deselected=3)
    result.stdout.fnmatch_lines(
        [
            "fake agents: --fake-agent-chaos=0.3 --fake-agent-seed=7",
            "*fake agents: faults that were met*",
            "@pytest.mark.fake_agent(fault='sse/*', run=1)",
            "or all of them: --fake-agent-chaos=0.3 --fake-agent-seed=7",
        ]
    )
    failed = expected.index(True)
    line = re.findall(r"^(@pytest.mark.fake_agent\(.*\))$", result.stdout.str(), re.MULTILINE)[0]
    result = run(CHAOS.replace("def test_it(", f"{line}\ndef test_it("), "-k", f"test_it[{failed}]")
    result.assert_outcomes(failed=1, deselected=22)
    (fault,) = re.findall("'(sse/.*)'", line)
    result.stdout.fnmatch_lines([f"  fault: {fault}"])


def test_chaos_of_every_run_leaves_marked_tests_alone(run):
    result = run(CHAOS, "--fake-agent-chaos=1", "-k", "not test_it")
    result.assert_outcomes(passed=3, errors=1, deselected=20)
    result.stdout.re_match_lines([r"fake agents: --fake-agent-chaos=1 --fake-agent-seed=\d+"])
    result.stdout.fnmatch_lines(["@pytest.mark.fake_agent(fault='sse/*', run=3, agent='b')"])


def test_a_group_is_for_tests_that_use_a_fake_agent(run):
    module = "pytestmark = pytest.mark.fake_agent(faults='sse')\ndef test_it(): ..."
    run(module).assert_outcomes(passed=1)
    result = run("@pytest.mark.fake_agent(faults='sse')\ndef test_it(): ...")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_it is marked with faults=, but uses none of the fixtures*"])


IDLE = """
@pytest.mark.fake_agent(fault="stall-after-start")
def test_a():
    pytest.fail("never called")

@pytest.mark.fake_agent(allow_unused=True)
def test_b(fake_agent_url): ...

@pytest.mark.fake_agent(fault="stall-after-start")
def test_c(request): ...

@pytest.mark.fake_agent(chaos=False)
class TestAll:
    def test_d(self): ...

    @pytest.mark.parametrize("name", [pytest.param("x", marks=pytest.mark.fake_agent(fualt="stall"))])
    def test_e(self, name): ...
"""
USED = """
@pytest.fixture
def asks(request):
    return request.getfixturevalue("memory_network")

@pytest.mark.fake_agent(fault="sse/status-503")
def test_a(asks):
    asks.agent("fake-agent").always("x")
    with pytest.raises(RunAgentError):
        asked(asks)

@pytest.mark.fake_agent(fault="sse/status-503")
def test_b(request):
    test_a(request.getfixturevalue("memory_network"))

@pytest.mark.fake_agent(allow_unused=True)
def test_c(request): ...
"""


def test_a_marker_of_a_test_that_uses_no_fake_agent_fails_it(run):
    result = run(IDLE)
    result.assert_outcomes(failed=4, passed=1)
    result.stdout.fnmatch_lines(
        [
            "test_a is marked with fault=, but uses none of the fixtures *: let it take one, or *",
            "test_b is marked with allow_unused=, but uses none of the fixtures*",
            "test_c is marked with fault=, but uses none of the fixtures*",
            "*has no keyword 'fualt'; did you mean 'fault'?",
        ]
    )


def test_a_fixture_that_a_test_asks_for_as_it_runs_is_used(run):
    run(USED).assert_outcomes(passed=3)


@pytest.mark.parametrize("rate", ["2", "often", "-0.1", "nan"])
def test_an_invalid_rate_is_an_error_of_the_command_line(run, rate):
    result = run("", f"--fake-agent-chaos={rate}")
    assert pytest.ExitCode.USAGE_ERROR == result.ret


SEED = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_it(number, pytestconfig):
    print("seed", pytestconfig.option.fake_agent_seed)
"""


def test_the_processes_of_xdist_have_the_same_seed(project):
    # A separate process: in this one, older pytest warns that the plugin's module has been imported already.
    project.makepyfile(test_file=SEED)
    options = ("-p", "xdist", "-p", PLUGIN, "--fake-agent-chaos=0.1", "-n2", "-rP")
    result = project.runpytest_subprocess(*options, timeout=90)
    seeds = re.findall(r"^seed (\d+)$", result.stdout.str(), re.MULTILINE)
    assert 4 == len(seeds)
    assert 1 == len(set(seeds))
    result.stdout.fnmatch_lines([f"fake agents: --fake-agent-chaos=0.1 --fake-agent-seed={seeds[0]}"])
