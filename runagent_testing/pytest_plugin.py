"""Fixtures for pytest: `fake_agent` and what is around it, and `memory_network`.

pytest imports this module in every test run of everybody who has the package installed: so it
imports nothing but pytest, and the rest if a fixture is used.

A test fails at its teardown if its expectations of the fake agents are unmet (see `AgentHost.check`),
unless it is marked ``@pytest.mark.fake_agent(allow_unused=True, allow_unmatched=True)`` or strictness
is off. A test that fails shows the scripted steps next to the writes.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator, Iterator

    from runagent_testing._host.agent import Agent
    from runagent_testing._host.host import AgentHost
    from runagent_testing._memory import MemoryNetwork
    from runagent_testing._server.server import FakeAgentServer

AGENT_ID = "fake-agent"
_ENTRY_POINT, _MODULE = "runagent_testing", "runagent_testing.pytest_plugin"
_ONE_PORT = (
    "fake_agent_address is {}:{}, on which only one of the {} processes of pytest-xdist can listen: return "
    "port 0, for a free one in each"
)
_MARKER = (
    "fake_agent(allow_unused=False, allow_unmatched=False): let the test leave replies and steps of its "
    "fake agents unused, or ask for what nobody has scripted"
)
_ALLOWANCES = ("allow_unused", "allow_unmatched")

_SECTION = "fake agents: what was scripted and what was sent"


class _Attempt:
    """One attempt at a test; plugins that repeat tests make several, with the same item.

    Attributes:
        hosts: A list for each fixture that has some.
        shown: Timelines of those that were checked, as they are gone when the report is made.
        raised: Setup, test or teardown has failed, or was skipped.
    """

    def __init__(self) -> None:
        self.hosts: list[list[AgentHost]] = []
        self.shown: list[str] = []
        self.raised = False


_attempt = pytest.StashKey[_Attempt]()


class _Placeholder:
    """Takes the place of this plugin if it would be registered a second time."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what ``pytest --help`` lists."""
    group = parser.getgroup("fake agents", "fake agents (runagent)")
    group.addoption(
        "--fake-agent-lenient",
        action="store_true",
        help="do not fail tests whose fake agents were left with unused replies or asked for what nobody "
        "has scripted",
    )
    parser.addini(
        "fake_agent_strict",
        "whether tests fail whose fake agents were left with unused replies or steps, or were asked for "
        "what nobody has scripted (default: true)",
        type="bool",
        default=True,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    """Be registered once, whether as an entry point or with ``-p``, by whichever comes first."""
    if plugin is sys.modules[__name__]:
        # Under two names pytest would refuse to start. Blocking the other one is not enough, as -p unblocks.
        manager.register(
            _Placeholder(), _MODULE if manager.get_name(plugin) == _ENTRY_POINT else _ENTRY_POINT
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin an attempt, which nothing of an earlier one excuses."""
    item.stash[_attempt] = _Attempt()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the exchanges of a test that fails."""
    report = yield
    attempt = item.stash.get(_attempt, None)
    if call.excinfo is not None and attempt is not None:
        attempt.raised = True
        shown = attempt.shown if call.when == "teardown" else _timelines(attempt)
        if report.failed and shown:
            report.sections.append((_SECTION, "\n\n".join(shown)))
    return report


@pytest.fixture(scope="session")
def fake_agent_address() -> tuple[str, int]:
    """Return where the session's fake agent server listens, by default on a free port of 127.0.0.1.

    Override it, with session scope, in a conftest. A fixed port is not for pytest-xdist.
    """
    return "127.0.0.1", 0


@pytest.fixture(scope="session")
def fake_agent_ssl_context() -> ssl.SSLContext | None:
    """Return what the session's fake agent server speaks TLS with; override it as the address."""
    return None


@pytest.fixture
def fake_agent_strict(pytestconfig: pytest.Config) -> bool:
    """Return whether a test has to use up what it scripted, and may ask for nothing else; override it freely.

    By default that is the ini option of the same name, unless ``--fake-agent-lenient`` is given.
    """
    return bool(pytestconfig.getini("fake_agent_strict")) and not pytestconfig.getoption("fake_agent_lenient")


@pytest.fixture(scope="session")
def _fake_agent_session_server(
    pytestconfig: pytest.Config,
    fake_agent_address: tuple[str, int],
    fake_agent_ssl_context: ssl.SSLContext | None,
) -> Iterator[FakeAgentServer]:
    host, port = fake_agent_address
    workers = getattr(pytestconfig, "workerinput", {}).get("workercount", 1)  # of pytest-xdist
    if port and workers > 1:
        pytest.fail(_ONE_PORT.format(host, port, workers), pytrace=False)
    with _server_class()(host=host, port=port, ssl_context=fake_agent_ssl_context) as server:
        yield server


@pytest.fixture(scope="session")
def fake_agent_url(_fake_agent_session_server: FakeAgentServer) -> str:
    """Return the base URL of `fake_agent_server`, for what lives longer than a test, such as an application.

    What is asked for outside of a test that uses `fake_agent_server` has no answer, and fails none.
    """
    return _fake_agent_session_server.url


@pytest.fixture
def fake_agent_server(
    request: pytest.FixtureRequest, _fake_agent_session_server: FakeAgentServer, fake_agent_strict: bool
) -> Iterator[FakeAgentServer]:
    """Return the session's fake agent server, empty; what the test does with it is forgotten at the end."""
    server = _fake_agent_session_server
    if server.requests or server.other_requests or server.unmatched:
        server.clear()  # asked between two tests
    try:
        with _watched(request, fake_agent_strict) as hosts:
            hosts.append(_fake_agent_session_server)
            yield _fake_agent_session_server
    finally:
        _fake_agent_session_server.clear()


@pytest.fixture
def fake_agent_id() -> str:
    """Return the id of `fake_agent`, by default "fake-agent"; override it if your code has another one."""
    return AGENT_ID


@pytest.fixture
def fake_agent(fake_agent_server: FakeAgentServer, fake_agent_id: str) -> Agent:
    """Return one fake agent; ``fake_agent.url`` is the base URL for clients, ``fake_agent.id`` its id."""
    return fake_agent_server.agent(fake_agent_id)


@pytest.fixture
def fake_agent_server_factory(
    request: pytest.FixtureRequest, fake_agent_strict: bool
) -> Iterator[Callable[..., FakeAgentServer]]:
    """Return what starts more servers, with the options of `FakeAgentServer`; they end with the test."""
    make = _server_class()
    # All are closed, also if one of them has to complain.
    with contextlib.ExitStack() as servers, _watched(request, fake_agent_strict) as hosts:

        def start(**options: Any) -> FakeAgentServer:
            __tracebackhide__ = True
            server = servers.enter_context(make(**options))
            hosts.append(server)
            return server

        yield start


@pytest.fixture
def memory_network(request: pytest.FixtureRequest, fake_agent_strict: bool) -> Iterator[MemoryNetwork]:
    """Return fake agents without sockets, on virtual time."""
    from runagent_testing._memory import MemoryNetwork

    with _watched(request, fake_agent_strict) as hosts:
        memory = MemoryNetwork()
        hosts.append(memory)
        yield memory


@contextlib.contextmanager
def _watched(request: pytest.FixtureRequest, strict: bool) -> Iterator[list[AgentHost]]:
    """Check hosts when a test is over, unless it has failed or was skipped."""
    item: pytest.Item = request.node
    allowed = _allowances(item)
    attempt = item.stash[_attempt]
    hosts: list[AgentHost] = []
    attempt.hosts.append(hosts)
    yield hosts
    if not strict or attempt.raised:
        return
    if problems := [problem for host in hosts for problem in host.problems(**allowed)]:
        attempt.shown += filter(None, (host.timelines() for host in hosts))
        listed = "\n".join(f"  - {problem}" for problem in problems)
        pytest.fail(f"unmet fake-agent expectations:\n{listed}", pytrace=False)


def _timelines(attempt: _Attempt) -> list[str]:
    every = (host.timelines() for hosts in attempt.hosts for host in hosts)
    return [shown for shown in every if shown]


def _allowances(item: pytest.Item) -> dict[str, bool]:
    """Read the markers of a test; those next to it count more."""
    allowed: dict[str, bool] = {}
    for marker in item.iter_markers("fake_agent"):
        if marker.args or not set(marker.kwargs) <= set(_ALLOWANCES):
            known = " and ".join(_ALLOWANCES)
            pytest.fail(f"@pytest.mark.fake_agent takes {known}, as keywords", pytrace=False)
        allowed = dict(marker.kwargs) | allowed
    return allowed


def _server_class() -> type[FakeAgentServer]:
    try:
        from runagent_testing._server.server import FakeAgentServer
    except ImportError as exc:
        if exc.name is None or exc.name.startswith("runagent"):
            raise
        from runagent._version import install_command

        pytest.fail(f"the fake agent server needs {exc.name}: {install_command('testing')}", pytrace=False)
    return FakeAgentServer
