"""Every fault of the catalogue under the real client: it shows what a sound client shows, and in time."""

from __future__ import annotations

import contextlib
import itertools
import logging
import ssl
import time

import pytest
import trustme

from runagent import Timeouts
from runagent_testing import FakeAgentServer, faults
from tests.runagent_testing.virtual import STYLES, Virtual
from tests.support.families import shown
from tests.support.styles import Style

LIMIT = 64 * 1024  # bytes
OVERSIZE = 2 * LIMIT
CLIENT = {"max_retries": 0, "resume": False, "transport_options": {"max_event_bytes": LIMIT}}
TIMEOUTS = Timeouts(connect=30, first_event=60, idle=60, progress=300)
BEAT = 10.0  # virtual seconds
PATIENCE = 5.0  # real seconds
SHORT = 0.2

MEMORY = [fault for transport in faults.TRANSPORTS for fault in faults.for_transport(transport, "memory")]


@pytest.fixture(autouse=True)
def nothing_for_the_loop_to_complain_of(caplog):
    yield
    assert [] == [r for r in caplog.records if r.name == "asyncio" and r.levelno >= logging.ERROR]


def named(fault):
    return f"{fault.transport}-{fault}"


def speaking(transport):
    """Make the options of a client for a transport; text is what chunked HTTP gives to who asks for it."""
    if transport == "text":
        return {"transport": "chunked", "headers": {"Accept": "text/plain"}}
    return {"transport": transport}


def limit(fault):
    """Return how many virtual seconds a run may take."""
    if fault.expected.error != "timeout":
        return 12 * BEAT
    counts_events = fault.kind == "only-heartbeats" and fault.position.name != "after-head"
    return TIMEOUTS.progress if counts_events else TIMEOUTS.idle


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("fault", MEMORY, ids=named)
def test_every_fault_ends_as_it_should(fault, style):
    virtual = Virtual(style)
    fault.install(virtual.memory, "a", interval=BEAT, oversize=OVERSIZE)

    async def scenario():
        options = CLIENT | speaking(fault.transport) | {"timeout": TIMEOUTS}
        async with virtual.client(**options) as client:
            begin = virtual.network.now()
            error, contents = await shown(client.run_generic_stream("x"))
            return error, contents, virtual.network.now() - begin

    error, contents, seconds = virtual.run(scenario)
    fault.check(error, contents)
    assert seconds <= limit(fault) + 0.001
    assert "running" not in [exchange.outcome for exchange in virtual.memory.requests]


@pytest.mark.parametrize("transport", faults.TRANSPORTS)
def test_another_attempt_hides_a_fault_only_where_it_may(transport):
    hidden = [fault.id for fault in faults.for_transport(transport, "memory") if is_hidden(fault)]
    assert hidden == [
        fault.id for fault in faults.for_transport(transport, "memory") if has_to_be_hidden(fault.expected)
    ]


def has_to_be_hidden(expected):
    """Return the faults that a client hides if it does everything for a run."""
    tried_again = expected.hidden_by == "retry" and expected.error != "timeout"
    return tried_again or expected.hidden_by == "resume"


def is_hidden(fault):
    """Run once with retries and resuming; either the whole answer is there, or the fault shows."""
    virtual = Virtual("sync")
    fault.install(virtual.memory, "a", interval=BEAT, oversize=OVERSIZE).always(*faults.CHUNKS)

    async def scenario():
        options = CLIENT | speaking(fault.transport) | {"timeout": TIMEOUTS}
        options |= {"max_retries": 2, "resume": True, "retry_unsafe": True}
        async with virtual.client(**options) as client:
            return await shown(client.run_generic_stream("x"))

    error, contents = virtual.run(scenario)
    if error != "ok" or fault.expected.error == "ok":
        fault.check(error, contents)
        return False
    assert "".join(faults.CHUNKS) == "".join(contents)
    assert "nothing" != fault.expected.hidden_by
    return True


# What the kernel has a hand in, on real sockets: how connections begin and end, at one event of several. A
# stall takes its time there, so that only a few of them are waited for.

ENDINGS = {"fin", "reset", "half-close", "stall-reset", "fin-in-chunk", "close-delimited-cut", "short-body"}
ALSO = {"stall-before-accept", "stall-after-event-2", "split-characters", "close-1011-after-event-2"}


def on_sockets(transport, **options):
    return [
        fault
        for fault in faults.for_transport(transport, "socket", **options)
        if fault.id in ALSO or (fault.kind in ENDINGS and fault.position.event != 1)
    ]


SOCKETS = [fault for transport in faults.TRANSPORTS for fault in on_sockets(transport)]
TLS = [fault for transport in ("sse", "websocket") for fault in on_sockets(transport, tls=True)]


@pytest.fixture(scope="module")
def plain():
    with FakeAgentServer() as server:
        yield server


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def certified(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def secure(certified):
    with FakeAgentServer(ssl_context=certified) as server:
        yield server


@pytest.fixture(scope="module")
def trust(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


names = (f"agent-{number}" for number in itertools.count())


@contextlib.contextmanager
def server_for(fault, shared, context=None):
    """Give a separate server to the fault whose connection stays until the server closes."""
    if fault.id == "stall-before-accept":
        with FakeAgentServer(ssl_context=context) as own:
            yield own
    else:
        yield shared


def check_on_sockets(fault, style, server, **options):
    agent_id = next(names)
    fault.install(server, agent_id, interval=0.02, oversize=OVERSIZE)
    options |= CLIENT | speaking(fault.transport)
    options["timeout"] = SHORT if fault.expected.error == "timeout" else PATIENCE

    async def scenario():
        async with Style(style).client(agent_id, base_url=server.url, **options) as client:
            return await shown(client.run_generic_stream("x"))

    begin = time.monotonic()
    fault.check(*Style(style).run(scenario))
    assert time.monotonic() - begin < PATIENCE
    # The other end has noticed, too: whatever was asked is over, by the agent's doing or the client's.
    exchanges = server.agent(agent_id).requests
    assert all(exchange.wait_done(PATIENCE) or exchange.wait_disconnected(PATIENCE) for exchange in exchanges)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("fault", SOCKETS, ids=named)
def test_the_kernel_makes_no_difference(fault, style, plain):
    with server_for(fault, plain) as server:
        check_on_sockets(fault, style, server)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("fault", TLS, ids=named)
def test_nor_does_tls(fault, style, secure, certified, trust):
    with server_for(fault, secure, certified) as server:
        check_on_sockets(fault, style, server, ssl_context=trust)


def test_a_port_without_a_listener_refuses():
    with contextlib.closing(FakeAgentServer()) as server:
        url = server.start().url

    async def scenario():
        async with Style("sync").client("a", base_url=url, max_retries=0) as client:
            return await shown(client.run_generic_stream("x"))

    assert ("network", []) == Style("sync").run(scenario)
