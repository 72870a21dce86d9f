"""The fixtures, in separate test runs."""

from __future__ import annotations

from runagent._version import install_command
from tests.runagent_testing.project import PLUGIN, run


def test_the_agent_of_a_test_exists_and_is_empty(project):
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


def test_what_lives_as_long_as_the_session_finds_the_server(project):
    result = run(
        project,
        """
from runagent import AgentNotFoundError

@pytest.fixture(scope="session")
def application(fake_agent_url):
    with RunAgentClient("writer", base_url=fake_agent_url) as client:
        ask = lambda: client.run_generic_stream("q").text()
        with pytest.raises(AgentNotFoundError):
            ask()
        yield ask

@pytest.mark.parametrize("number", range(3))
def test_it(application, fake_agent_server, number):
    assert [] == fake_agent_server.requests == fake_agent_server.unmatched
    fake_agent_server.agent("writer").reply(str(number))
    assert str(number) == application()
""",
    )
    result.assert_outcomes(passed=3)


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
    assert all(
        word in shown
        for word in (
            "--fake-agent-lenient",
            "--fake-agent-save=FOLDER",
            "fake_agent_strict (bool):",
            "fake agents",
        )
    )
    shown = project.runpytest_subprocess("-p", PLUGIN, "--markers").stdout.str()
    assert "@pytest.mark.fake_agent(allow_unused=False, allow_unmatched=False): let the test leave" in shown
    shown = project.runpytest_subprocess("-p", PLUGIN, "--fixtures").stdout.str()
    for fixture in ("fake_agent", "fake_agent_server", "fake_agent_server_factory", "memory_network"):
        assert f"\n{fixture} -- " in shown
    for fixture in ("fake_agent_address", "fake_agent_ssl_context"):
        assert f"\n{fixture} [session scope] -- " in shown
    assert "no docstring" not in shown.partition(PLUGIN)[2]


def test_without_aiohttp_the_fixture_names_what_to_install(project):
    project.makeconftest("import sys\nsys.modules['aiohttp'] = None")
    result = run(
        project, "def test_server(fake_agent):\n    pass\n\ndef test_memory(memory_network):\n    pass\n"
    )
    result.assert_outcomes(passed=1, errors=1)
    assert f"the fake agent server needs aiohttp: {install_command('testing')}\n" in result.stdout.str()


def test_the_agent_may_have_the_id_that_code_knows(project):
    source = """
@pytest.fixture
def fake_agent_id():
    return "writer"

def test_it(fake_agent):
    fake_agent.always("x")
    assert "x" == asked(fake_agent, "writer")
"""
    run(project, source).assert_outcomes(passed=1)


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
