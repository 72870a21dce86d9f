"""Fixtures for pytest: `fake_agent` and what is around it, and `memory_network`.

pytest imports this module in every test run of everybody who has the package installed: so it
imports nothing but pytest, and the rest if a fixture is used.

A test fails at its teardown if its expectations of the fake agents are unmet (see `AgentHost.check`),
unless it is marked ``@pytest.mark.fake_agent(allow_unused=True, allow_unmatched=True)`` or strictness
is off. A test that fails shows the scripted steps next to the writes.

``--fake-agent-chaos`` lets runs of all tests meet faults by chance, and the marker those of one test one
fault, or one of many in each of its repetitions; see docs/chaos.md.
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
    from runagent_testing._pytest_faults import Faults
    from runagent_testing._server.server import FakeAgentServer

AGENT_ID = "fake-agent"
_ENTRY_POINT, _MODULE = "runagent_testing", "runagent_testing.pytest_plugin"
_ONE_PORT = (
    "fake_agent_address is {}:{}, on which only one of the {} processes of pytest-xdist can listen: return "
    "port 0, for a free one in each"
)
_MARKERS = (
    (
        "fake_agent(allow_unused=False, allow_unmatched=False): let the test leave replies and steps of its "
        "fake agents unused, or ask for what nobody has scripted"
    ),
    (
        "fake_agent(fault, run=None, agent=None): let a run of the test meet a fault, such as "
        "'sse/fin-after-event-1', in place of its answer; the next run, or the one with this number"
    ),
    (
        "fake_agent(faults, without=(), run=None, agent=None): run the test once under each of these "
        "faults, or all of a transport, such as 'sse'"
    ),
    "fake_agent(chaos=False): keep the test out of --fake-agent-chaos",
)

_SAVED = "fake agents: saved"
_SEED = "fake_agent_seed"
_MET = "fake agents: faults that were met"


class _Attempt:
    """One attempt at a test; plugins that repeat tests make several, with the same item.

    Attributes:
        hosts: A list for each fixture that has some.
        faults: Those of the test; None before it uses a host.
        shown: Sections of its report, as the hosts are empty when the report of its teardown is made.
        raised: Setup, test or teardown has failed, or was skipped.
    """

    def __init__(self) -> None:
        self.hosts: list[list[AgentHost]] = []
        self.faults: Faults | None = None
        self.shown: list[tuple[str, str]] = []
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
    group.addoption(
        "--fake-agent-chaos",
        metavar="RATE",
        type=_rate,
        default=0.0,
        help="let this part of all runs of fake agents, from 0 to 1, meet a fault in place of the answer",
    )
    group.addoption(
        "--fake-agent-seed",
        metavar="SEED",
        type=int,
        help="the seed of --fake-agent-chaos, to repeat a test run; by default another one each time",
    )
    group.addoption(
        "--fake-agent-save",
        metavar="FOLDER",
        help="save the requests to fake agents of each failed test, as .txt (a transcript), .json and .har",
    )
    parser.addini(
        "fake_agent_strict",
        "whether tests fail whose fake agents were left with unused replies or steps, or were asked for "
        "what nobody has scripted (default: true)",
        type="bool",
        default=True,
    )


def _rate(text: str) -> float:
    import argparse  # as pytest has already

    with contextlib.suppress(ValueError):
        if 0 <= (rate := float(text)) <= 1:
            return rate
    raise argparse.ArgumentTypeError(f"it is a number from 0 to 1, not {text!r}")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and draw the seed, in the processes of pytest-xdist that of the main one."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    options = config.option
    if options.fake_agent_chaos and options.fake_agent_seed is None:
        import random

        drawn = random.SystemRandom().randrange(2**32)
        options.fake_agent_seed = getattr(config, "workerinput", {}).get(_SEED, drawn)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a process of pytest-xdist the seed."""
    if node.config.option.fake_agent_chaos:
        node.workerinput[_SEED] = node.config.option.fake_agent_seed


def pytest_report_header(config: pytest.Config) -> str | None:
    """Show what repeats the faults of this test run."""
    rate, seed = config.option.fake_agent_chaos, config.option.fake_agent_seed
    return f"fake agents: --fake-agent-chaos={rate:g} --fake-agent-seed={seed}" if rate else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that is marked with ``faults=`` once under each of them."""
    if any("faults" in marker.kwargs for marker in metafunc.definition.iter_markers("fake_agent")):
        from runagent_testing._pytest_faults import parametrize

        parametrize(metafunc)


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
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test whose own markers do nothing, as it uses no fake agent."""
    is_marked = _attempt in item.stash and any(mark.name == "fake_agent" for mark in item.own_markers)
    if is_marked:
        _check_use(item, is_over=False)
    result = yield
    if is_marked:
        _check_use(item, is_over=True)
    return result


def _check_use(item: pytest.Item, *, is_over: bool) -> None:
    if item.stash[_attempt].faults is None:
        from runagent_testing._pytest_faults import check_use

        check_use(item, is_over=is_over)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the exchanges of a test that fails."""
    report = yield
    attempt = item.stash.get(_attempt, None)
    if call.excinfo is not None and attempt is not None:
        attempt.raised = True
        if call.when != "teardown":
            hosts = [host for some in attempt.hosts for host in some]
            attempt.shown = _sections(item, attempt, hosts, save=report.failed)
        if report.failed:
            report.sections += attempt.shown
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
        with _watched(request, fake_agent_strict) as watch:
            watch(server)
            yield server
    finally:
        server.clear()


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
    with contextlib.ExitStack() as servers, _watched(request, fake_agent_strict) as watch:

        def start(**options: Any) -> FakeAgentServer:
            __tracebackhide__ = True
            server = servers.enter_context(make(**options))
            watch(server)
            return server

        yield start


@pytest.fixture
def memory_network(request: pytest.FixtureRequest, fake_agent_strict: bool) -> Iterator[MemoryNetwork]:
    """Return fake agents without sockets, on virtual time."""
    from runagent_testing._memory import MemoryNetwork

    with _watched(request, fake_agent_strict) as watch:
        memory = MemoryNetwork()
        watch(memory)
        yield memory


@pytest.fixture
def installed_memory_network(memory_network: MemoryNetwork) -> Iterator[MemoryNetwork]:
    """Return `memory_network`, which clients use without ``network=``; ``RUNAGENT_API_URL`` names its URL."""
    with memory_network.install():
        yield memory_network


@pytest.fixture
def _fake_agent_fault(request: pytest.FixtureRequest) -> object:
    """The fault of one repetition of a test; `_watched` reads it from the parameters."""
    return request.param


@contextlib.contextmanager
def _watched(request: pytest.FixtureRequest, strict: bool) -> Iterator[Callable[[AgentHost], None]]:
    """Let hosts that are passed to what this yields meet the faults of a test, and check them at its end.

    They are not checked if the test has failed or was skipped.
    """
    from runagent_testing._pytest_faults import Faults, Marks

    item: pytest.Item = request.node
    options = request.config.option
    marks = Marks.of(item)
    attempt = item.stash[_attempt]
    if attempt.faults is None:
        attempt.faults = Faults(item, marks, options.fake_agent_chaos, options.fake_agent_seed)
    faults = attempt.faults
    hosts: list[AgentHost] = []
    attempt.hosts.append(hosts)

    def watch(host: AgentHost) -> None:
        hosts.append(host)
        faults.begin(host)

    try:
        yield watch
        if strict and not attempt.raised:
            problems = [problem for host in hosts for problem in host.problems(**marks.allowed)]
            if not marks.allowed.get("allow_unused"):
                problems = faults.check(problems)
            if problems:
                attempt.shown = _sections(item, attempt, hosts, save=True)
                listed = "\n".join(f"  - {problem}" for problem in problems)
                pytest.fail(f"unmet fake-agent expectations:\n{listed}", pytrace=False)
    finally:
        for host in hosts:
            faults.end(host)


def _sections(
    item: pytest.Item, attempt: _Attempt, hosts: list[AgentHost], *, save: bool
) -> list[tuple[str, str]]:
    if not hosts:
        return []
    from runagent_testing._pytest_reports import saved, sections

    shown = list(sections(hosts, verbose=item.config.get_verbosity() > 0))
    if attempt.faults is not None and (met := attempt.faults.met()):
        shown.append((_MET, met))
    folder = item.config.option.fake_agent_save
    if save and folder and (names := saved(hosts, folder, item.nodeid)):
        shown.append((_SAVED, names))
    return shown


def _server_class() -> type[FakeAgentServer]:
    try:
        from runagent_testing._server.server import FakeAgentServer
    except ImportError as exc:
        if exc.name is None or exc.name.startswith("runagent"):
            raise
        from runagent._version import install_command

        pytest.fail(f"the fake agent server needs {exc.name}: {install_command('testing')}", pytrace=False)
    return FakeAgentServer
