"""Frozen dates do not stop a fake agent, and a memory network does not silently wait in real time."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runagent import AsyncRunAgentClient, RunAgentClient, RunTimeoutError, Timeouts
from runagent._internal.clock import now
from runagent_testing import FakeAgentServer, MemoryNetwork, delay, ending, fixed, gate, status
from tests.streams.test_frozen_dates import reads_of_time
from tests.support.frozen import frozen
from tests.support.styles import TRANSPORTS

PACKAGE = Path(__file__).parents[2] / "runagent_testing"
PATIENCE = 5.0
WAITS = "waits in real time"


@contextlib.contextmanager
def stopped():
    """Have all clocks of Python stop, as `freezegun.freeze_time` does, in every module that holds one."""
    stand = {name: getattr(time, name)() for name in ("time", "monotonic", "perf_counter")}
    fakes = {id(getattr(time, name)): (lambda value=value: value) for name, value in stand.items()}
    replaced = []
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if id(value) in fakes:
                setattr(module, name, fakes[id(value)])
                replaced.append((module, name, value))
    try:
        yield
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)


@pytest.mark.parametrize("dates", [stopped, frozen])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_delays_last_as_long_as_ever_while_dates_are_frozen(dates, transport):
    with FakeAgentServer() as server:
        server.agent("a").always("a", delay(0.1), "b", pace=fixed(0.05))
        with RunAgentClient("a", base_url=server.url, transport=transport, timeout=PATIENCE) as client:
            with dates():
                began = now()
                assert "ab" == client.run_generic_stream("q").text()
                took = now() - began
            assert 0.15 <= took < PATIENCE
            assert server.requests[0].wait_done()
            assert 0.15 <= (server.requests[0].ended_at or 0.0) < PATIENCE


@pytest.mark.parametrize("dates", [stopped, frozen])
def test_a_whole_server_may_live_while_dates_are_frozen(dates):
    with dates(), FakeAgentServer() as server:
        server.agent("a").always("a", delay(0.05), "b")
        with RunAgentClient("a", base_url=server.url, timeout=PATIENCE) as client:
            assert "ab" == client.run_generic_stream("q").text()
        server.check()


@pytest.mark.parametrize("dates", [stopped, frozen])
def test_waiting_for_a_fake_agent_has_an_end_while_dates_are_frozen(dates):
    shut = gate("shut")
    with FakeAgentServer() as server:
        server.agent("a").always("a", shut, ending("stall"))
        with RunAgentClient("a", base_url=server.url, max_retries=0) as client, dates():
            stream = client.run_generic_stream("q")
            next(stream)
            exchange = server.wait_request()
            began = now()
            assert not exchange.wait_done(timeout=0.1)
            assert not exchange.wait_sent(2, timeout=0.1)
            with pytest.raises(TimeoutError):
                server.wait_request(2, timeout=0.1)
            assert 0.3 <= now() - began < PATIENCE
            assert server.problems()
            assert now() - began < PATIENCE
            stream.close()
            assert exchange.wait_disconnected(PATIENCE)


def test_a_websocket_is_pinged_in_real_time_while_dates_are_frozen():
    with FakeAgentServer(ping_interval=0.05) as server:
        server.agent("a").always("a", delay(0.3), "b")
        with (
            RunAgentClient("a", base_url=server.url, transport="websocket", timeout=PATIENCE) as client,
            stopped(),
        ):
            assert "ab" == client.run_generic_stream("q").text()
        pings = [sent for sent in server.requests[0].unplanned if sent.data == b"\x89\x00"]
    assert 2 <= len(pings) <= 6


# The memory network


def shown_warnings(action):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(RunTimeoutError):
            action()
    return [str(warning.message) for warning in caught if issubclass(warning.category, RuntimeWarning)]


def asking(memory, network, times=1, **options):
    async def ask():
        async with AsyncRunAgentClient("a", base_url=memory.url, network=network, **options) as client:
            for _ in range(times):
                await client.run_generic_stream("q").text()

    return ask


WAITING: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "a delay": (["a", delay(0.01), "b"], {}),
    "a stall": (["a", ending("stall")], {"timeout": Timeouts(idle=0.01), "max_retries": 0}),
    "a retry": ([status(503)], {"retry_delay": 0.01, "max_retries": 1}),
}


@pytest.mark.parametrize("name", WAITING)
@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_wait_in_real_time_warns_once(name, library):
    steps, options = WAITING[name]
    memory = MemoryNetwork()
    memory.agent("a").always(*steps)
    ask = asking(memory, memory.aio if library == "asyncio" else memory.trio, **options)

    def run():
        with contextlib.suppress(Exception):
            asyncio.run(ask()) if library == "asyncio" else trio.run(ask)

    (text,) = shown_warnings(lambda: (run(), run()))
    assert WAITS in text
    assert f"memory.run_{library}" in text


@pytest.mark.parametrize("name", WAITING)
@pytest.mark.parametrize("run", ["run_asyncio", "run_trio", "another clock"])
def test_no_wait_on_virtual_time_warns(name, run):
    steps, options = WAITING[name]
    memory = MemoryNetwork()
    memory.agent("a").always(*steps)
    ask = asking(memory, memory.aio if run == "run_asyncio" else memory.trio, **options)

    def wait():
        with contextlib.suppress(Exception):
            if run == "run_asyncio":
                memory.run_asyncio(ask())
            elif run == "run_trio":
                memory.run_trio(ask)
            else:
                trio.run(ask, clock=MockClock(autojump_threshold=0))

    assert [] == shown_warnings(wait)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_what_takes_no_time_warns_of_nothing(library):
    memory = MemoryNetwork()
    memory.agent("a").always("a", "b")
    ask = asking(memory, memory.aio if library == "asyncio" else memory.trio, times=3)
    assert [] == shown_warnings(lambda: asyncio.run(ask()) if library == "asyncio" else trio.run(ask))


# The kind: one clock

READ_THE_TIME = {
    "_internal/clock.py": "the clock itself",
    "_server/server.py": "whose loop has the clock's time",
    "_host/stamps.py": "writes dates, which may be frozen",
    "_journal/record.py": "likewise",
    "_recording/heading.py": "likewise",
    "_standalone/log.py": "likewise",
    "_standalone/serve.py": "sleeps",
    "_memory": "has the time of clocks and loops that are given to it",
    "conformance/_watchdog.py": "counts processor time, which nobody freezes",
    "conformance/_harness/purity.py": "keeps transports from reading it",
    "conformance/_checks/sharing.py": "sleeps",
    "conformance/_broken": "breaks the rules",
    "conformance/_harness/feeding.py": "virtual",
}


def test_nothing_but_the_clock_reads_the_time():
    found = {
        path.relative_to(PACKAGE).as_posix(): reads
        for path in sorted(PACKAGE.rglob("*.py"))
        if (reads := reads_of_time(path.read_text(encoding="utf-8")))
    }
    others = {name: reads for name, reads in found.items() if not name.startswith(tuple(READ_THE_TIME))}
    assert {} == others
    waits = ("monotonic", "perf_counter", "time.time()")
    served = [name for name in found if not name.startswith(("conformance/", "_internal/clock.py"))]
    assert [] == [
        name for name in served if any(word in (PACKAGE / name).read_text("utf-8") for word in waits)
    ]


def test_a_wait_for_a_condition_goes_by_the_clock():
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if ".wait_for(" in path.read_text("utf-8")
    ]
    assert [] == found
