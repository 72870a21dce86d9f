"""The fixtures, in test runs of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "runagent_testing.pytest_plugin"
ENTRY_POINT = "runagent_testing"
USE = """
import pytest
from runagent import RunAgentClient

def asked(host, agent="fake-agent", **options):
    with RunAgentClient(agent, base_url=host.url, max_retries=0, **options) as client:
        return client.run_generic_stream("tell me").text()
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """An empty project, whose test runs are processes of their own and have the plugin."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error")
    return pytester


def run(project, source, *arguments):
    project.makepyfile(USE + source)
    return project.runpytest_subprocess("-p", PLUGIN, *arguments)


def test_the_agent_of_a_test_is_there_and_empty(project):
    result = run(
        project,
        """
@pytest.mark.parametrize("number", range(3))
def test_it(fake_agent, fake_agent_server, number):
    assert fake_agent.requests == [] == fake_agent_server.requests
    assert 0 == fake_agent_server.connections
    fake_agent.always("Once", f" upon {number}")
    assert asked(fake_agent) == f"Once upon {number}"
    (exchange,) = fake_agent.requests
    assert {"query": "tell me"} == exchange.input
    assert fake_agent is fake_agent_server.agent("fake-agent")

addresses = set()

@pytest.mark.parametrize("number", range(2))
def test_the_server_is_the_same(fake_agent, number):
    addresses.add(fake_agent.url)
    assert 1 == len(addresses)

def test_nothing_used(fake_agent):
    pass
""",
    )
    result.assert_outcomes(passed=6)


def test_asyncio_and_trio_tests_use_it_as_it_is(project):
    result = run(
        project,
        """
import asyncio
import trio
from runagent import AsyncRunAgentClient

async def scenario(fake_agent):
    async with AsyncRunAgentClient("fake-agent", base_url=fake_agent.url) as client:
        return await client.run_generic_stream("q").text()

@pytest.mark.parametrize("run", [lambda f, *a: asyncio.run(f(*a)), trio.run])
def test_it(fake_agent, run):
    fake_agent.always("x", "y")
    assert "xy" == run(scenario, fake_agent)
""",
    )
    result.assert_outcomes(passed=2)


UNUSED = """
def test_unused(fake_agent):
    fake_agent.reply("Once", " upon")
"""
UNMATCHED = """
def test_unmatched(fake_agent):
    with pytest.raises(Exception, match="fake-agnt"):
        asked(fake_agent, "fake-agnt")
"""


def test_what_was_left_over_fails_at_the_teardown(project):
    result = run(project, UNUSED)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_unused*",
            "the test and its fake agents disagree:",
            "  - agent 'fake-agent': never used: reply with chunk 'Once', chunk ' upon'",
        ]
    )


def test_what_was_unmatched_fails_at_the_teardown_and_is_shown(project):
    result = run(project, UNMATCHED)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "  - unmatched request 1: POST /v1/agents/fake-agnt/stream (sse): agent 'fake-agnt': did you*",
            "*fake agents: what was scripted and what was sent*",
            "request 1: POST /v1/agents/fake-agnt/stream (sse), connection 1 (new)",
        ]
    )


@pytest.mark.parametrize(
    ("mark", "errors"),
    [
        ("allow_unused=True", 1),
        ("allow_unmatched=True", 1),
        ("allow_unused=True, allow_unmatched=True", 0),
        ("allow_unused=False, allow_unmatched=True", 1),
    ],
)
def test_the_marker_allows_it(project, mark, errors):
    source = """
def test_both(fake_agent):
    fake_agent.reply("x")
    with pytest.raises(Exception):
        asked(fake_agent, "b")
"""
    result = run(project, f"pytestmark = pytest.mark.fake_agent({mark})\n{source}")
    result.assert_outcomes(passed=1, errors=errors)


def test_the_marker_next_to_the_test_counts(project):
    marks = "pytestmark = pytest.mark.fake_agent(allow_unused=True)\n"
    result = run(project, marks + UNUSED.replace("def ", "@pytest.mark.fake_agent(allow_unused=False)\ndef "))
    result.assert_outcomes(passed=1, errors=1)


@pytest.mark.parametrize("mark", ["True", "allow_all=True"])
def test_a_marker_that_makes_no_sense_says_what_does(project, mark):
    result = run(project, f"pytestmark = pytest.mark.fake_agent({mark})\n{UNUSED}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*@pytest.mark.fake_agent takes allow_unused and allow_unmatched, as keywords*"]
    )


OVERRIDE = """
@pytest.fixture
def fake_agent_strict():
    return False
"""


@pytest.mark.parametrize(
    ("arguments", "source"),
    [(["--fake-agent-lenient"], ""), (["-o", "fake_agent_strict=false"], ""), ([], OVERRIDE)],
)
def test_strictness_can_be_off_for_all(project, arguments, source):
    run(project, source + UNUSED + UNMATCHED, *arguments).assert_outcomes(passed=2)


def test_a_failing_test_shows_its_timelines_and_is_not_checked(project):
    result = run(
        project,
        """
def test_failing(fake_agent, fake_agent_server_factory, memory_network):
    fake_agent.always("Once", " upon").reply("left")
    fake_agent.reply("over")
    assert "left" == asked(fake_agent, api_key="s3cret")
    other = fake_agent_server_factory()
    other.agent("other").always("x")
    asked(other, "other")
    memory_network.agent("third").always("y")
    asked(memory_network, "third", network=memory_network.blocking)
    assert False
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*fake agents: what was scripted and what was sent*",
            "request 1: POST /v1/agents/fake-agent/stream (sse), connection 1 (new)",
            "  input: {'query': 'tell me'}",
            "  scripted * | seconds  sent",
            "     1  chunk 'left' * | * write of * bytes",
            "  done after * s; *",
            "request 1: POST /v1/agents/other/stream (sse)*",
            "request 1: POST /v1/agents/third/stream (sse)*",
        ]
    )
    result.stdout.no_fnmatch_line("*'<Section*")
    assert "s3cret" not in "".join(line for line in result.outlines if "asked(" not in line)


def test_skipped_and_expected_failures_are_not_checked(project):
    result = run(
        project,
        """
def test_skipped(fake_agent):
    fake_agent.reply("x")
    pytest.skip("not today")

@pytest.mark.xfail(strict=True)
def test_xfail(fake_agent):
    fake_agent.reply("x")
    assert False
""",
    )
    result.assert_outcomes(skipped=1, xfailed=1)


def test_a_test_that_leaves_runs_behind_does_not_disturb_the_next(project):
    result = run(
        project,
        """
import socket
from runagent_testing import gate

kept = []

@pytest.mark.fake_agent(allow_unused=True)
@pytest.mark.parametrize("number", range(3))
def test_it(fake_agent, fake_agent_server, number):
    fake_agent.always("x", gate("never"))
    fake_agent_server.on_connect("silent", times=1)
    fake_agent_server.on_connect("reset", times=number)
    client = RunAgentClient("fake-agent", base_url=fake_agent.url, timeout=0.05, max_retries=4)
    kept.append(client)
    with pytest.raises(Exception):
        client.run_generic_stream("q").text()

def test_next(fake_agent, fake_agent_server):
    fake_agent.always("y")
    assert "y" == asked(fake_agent)
    assert 1 == len(fake_agent_server.requests) == fake_agent_server.connections
    for client in kept:
        client.close()
""",
    )
    result.assert_outcomes(passed=4)


def test_the_factory_makes_servers_with_options_and_closes_them(project):
    result = run(
        project,
        """
import socket
from urllib.parse import urlsplit

ports = []

def test_two(fake_agent_server_factory):
    first, second = fake_agent_server_factory(api_key="k"), fake_agent_server_factory()
    second.agent("a").always("x")
    assert "x" == asked(second, "a")
    first.agent("a").always("y")
    assert "y" == asked(first, "a", api_key="k")
    ports.extend(urlsplit(server.url).port for server in (first, second))

def test_closed():
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

def test_checked(fake_agent_server_factory):
    fake_agent_server_factory().agent("a").reply("x")
""",
    )
    result.assert_outcomes(passed=3, errors=1)


def test_the_memory_network_is_new_and_checked(project):
    result = run(
        project,
        """
from runagent_testing import delay

@pytest.mark.parametrize("number", range(2))
def test_it(memory_network, number):
    assert [] == memory_network.requests
    memory_network.agent("a").always("x", delay(600), "y")
    assert "xy" == asked(memory_network, "a", network=memory_network.blocking, timeout=1000)

def test_left(memory_network):
    memory_network.agent("a").reply("x")
""",
    )
    result.assert_outcomes(passed=3, errors=1)


def test_address_and_tls_can_be_overridden(project):
    project.makeconftest(
        """
import ssl
import pytest
import trustme

@pytest.fixture(scope="session")
def authority():
    return trustme.CA()

@pytest.fixture(scope="session")
def fake_agent_address():
    return "localhost", 0

@pytest.fixture(scope="session")
def fake_agent_ssl_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(context)
    return context
"""
    )
    result = run(
        project,
        """
import ssl

def test_it(fake_agent, authority):
    assert fake_agent.url.startswith("https://")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    fake_agent.always("x")
    assert "x" == asked(fake_agent, ssl_context=context)
""",
    )
    result.assert_outcomes(passed=1)


def test_help_and_markers_explain_the_options(project):
    shown = project.runpytest_subprocess("-p", PLUGIN, "--help").stdout.str()
    assert all(word in shown for word in ("--fake-agent-lenient", "fake_agent_strict (bool):", "fake agents"))
    shown = project.runpytest_subprocess("-p", PLUGIN, "--markers").stdout.str()
    assert "@pytest.mark.fake_agent(allow_unused=False, allow_unmatched=False): let the test leave" in shown
    shown = project.runpytest_subprocess("-p", PLUGIN, "--fixtures").stdout.str()
    for fixture in ("fake_agent", "fake_agent_server", "fake_agent_server_factory", "memory_network"):
        assert f"\n{fixture} -- " in shown
    for fixture in ("fake_agent_address", "fake_agent_ssl_context"):
        assert f"\n{fixture} [session scope] -- " in shown
    assert "no docstring" not in shown.partition(PLUGIN)[2]


def test_without_aiohttp_the_fixture_says_what_to_install(project):
    project.makeconftest("import sys\nsys.modules['aiohttp'] = None")
    result = run(
        project, "def test_server(fake_agent):\n    pass\n\ndef test_memory(memory_network):\n    pass\n"
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the fake agent server needs aiohttp: pip install 'runagent?testing?'"])


IMPORTED = f"""
import json, sys
import pytest
before = set(sys.modules)
import {PLUGIN}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_plugin_imports_nothing_when_pytest_starts():
    shown = subprocess.run(
        [sys.executable, "-c", IMPORTED], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert [ENTRY_POINT, PLUGIN] == json.loads(shown)


LOADED = """
import sys
def test_it():
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert not loaded & {"runagent", "aiohttp", "httptools", "msgspec", "websockets", "trio"}
    assert {"runagent_testing", "runagent_testing.pytest_plugin"} == {
        name for name in sys.modules if name.startswith("runagent")
    }
"""


def test_a_run_that_does_not_use_the_fixtures_imports_nothing(project):
    project.makepyfile(LOADED)
    project.runpytest_subprocess("-p", PLUGIN).assert_outcomes(passed=1)


STARTED = """
import sys, time
from _pytest.config import get_config
sys.path.insert(0, {here!r})
best = {{}}
for _ in range(7):
    for name in ("empty_plugin", {plugin!r}):
        for loaded in [module for module in sys.modules if module.startswith(("empty", "runagent"))]:
            del sys.modules[loaded]
        manager = get_config().pluginmanager
        began = time.perf_counter()
        manager.import_plugin(name)
        best[name] = min(best.get(name, 1.0), time.perf_counter() - began)
print(best[{plugin!r}] - best["empty_plugin"])
"""


def test_the_plugin_costs_less_than_five_milliseconds_at_the_start(tmp_path):
    (tmp_path / "empty_plugin.py").write_text("")
    source = STARTED.format(here=str(tmp_path), plugin=PLUGIN)
    shown = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert 0.005 > float(shown)


def entry_points():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]


@pytest.fixture
def installed(project, monkeypatch):
    """The project with a distribution that has our entry point, as the wheel will have it."""
    (name, module), *_ = entry_points().items()
    folder = project.mkdir("installed") / "thing-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
    (folder / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
    (folder / "RECORD").write_text("thing-1.dist-info/METADATA,,\n")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{folder.parent}")
    return project


def test_the_entry_point_names_the_plugin():
    assert {ENTRY_POINT: PLUGIN} == entry_points()


@pytest.mark.parametrize(
    ("arguments", "conftest", "autoload"),
    [
        ([], "", True),
        (["-p", PLUGIN], "", True),
        ([], f"pytest_plugins = [{PLUGIN!r}]", True),
        (["-p", ENTRY_POINT], "", False),
        (["-p", ENTRY_POINT, "-p", PLUGIN], "", False),
    ],
)
def test_it_is_registered_once_however_it_is_named(installed, monkeypatch, arguments, conftest, autoload):
    if autoload:
        monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    installed.makeconftest(conftest)
    installed.makepyfile("def test_it(fake_agent, pytestconfig):\n    pass")
    result = installed.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=1)


def test_it_can_be_switched_off(installed, monkeypatch):
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    installed.makepyfile("def test_it(fake_agent):\n    pass")
    result = installed.runpytest_subprocess("-p", f"no:{ENTRY_POINT}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'fake_agent' not found*"])


COSTS = """
import socket
import pytest

@pytest.fixture
def empty():
    yield

def pytest_generate_tests(metafunc):
    metafunc.parametrize("number", range(60))

def test_empty(empty, number):
    pass

def test_fake_agent(fake_agent, number):
    fake_agent.always("x")

def test_asked(fake_agent, number):
    fake_agent.always("x")
    with socket.create_connection(tuple(address(fake_agent.url))) as client:
        client.sendall(
            b"POST /v1/agents/fake-agent/stream HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n\\r\\n{}"
        )
        received = b""
        while b"0\\r\\n\\r\\n" not in received:
            received += client.recv(65536)

def address(url):
    host, _, port = url.partition("//")[2].partition(":")
    return host, int(port)
"""
TIMING = """
import json, time
import pytest

spent = {}

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    began = time.perf_counter()
    result = yield
    spent.setdefault(item.originalname, []).append(time.perf_counter() - began)
    return result

def pytest_sessionfinish(session):
    # The best of many: whatever else the machine does only adds to it.
    with open("best.json", "w") as file:
        json.dump({name: min(times[1:]) for name, times in spent.items()}, file)
"""


def test_a_test_costs_less_than_two_milliseconds_more_than_with_an_empty_fixture(project):
    project.makeconftest(TIMING)
    project.makepyfile(COSTS)
    project.runpytest_subprocess("-p", PLUGIN, "-q").assert_outcomes(passed=180)
    best = json.loads((project.path / "best.json").read_text())
    assert 0.002 > best["test_fake_agent"] - best["test_empty"]
    # What a test does with it counts as well, and the connections that it leaves.
    assert 0.006 > best["test_asked"] - best["test_empty"]


def test_it_works_in_the_processes_of_xdist(project):
    result = run(
        project,
        """
@pytest.mark.parametrize("number", range(20))
def test_it(fake_agent, number, worker_id):
    assert worker_id in ("gw0", "gw1")
    fake_agent.always(f"{worker_id} {number}")
    assert asked(fake_agent) == f"{worker_id} {number}"
    assert 1 == len(fake_agent.requests)
""",
        *("-p", "xdist.plugin", "-n", "2"),
    )
    result.assert_outcomes(passed=20)
