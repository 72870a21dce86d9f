"""Functions of tests that take long or for ever: in the background, within a limit, named if they hang."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import threading
import time

import pytest

from runagent import AgentServerError, RunAgentError, StreamError
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    ending,
)
from runagent_testing._memory import computing
from runagent_testing._server.functions import AbandonedError, raise_in
from runagent_testing.dialects._documented import Documented
from tests.runagent_testing.functions import client_of
from tests.runagent_testing.raw_client import PATIENCE, connected, stream
from tests.runagent_testing.virtual import STYLES, Virtual

SSE, STREAMS = "sse", ("sse", "chunked", "websocket")


# In the background, and within a limit


def waits_for(door):
    def wait_for_ever(request):
        door.wait(60)
        return ["late"]

    return wait_for_ever


def spins(stop):
    def spin(request):
        while not stop.is_set():
            pass
        return ["late"]

    return spin


def pauses(door):
    def pause_in_the_middle(request):
        yield "a"
        door.wait(60)
        yield "b"

    return pause_in_the_middle


def awaits(door):
    async def await_for_ever(request):
        await asyncio.Event().wait()

    return await_for_ever


@pytest.mark.parametrize("make", [waits_for, spins, awaits])
@pytest.mark.parametrize("transport", STREAMS)
def test_a_function_over_its_limit_is_a_500_and_fails_the_test(server, door, make, transport):
    function = make(door)
    server.agent("a").responds(function, timeout=0.05)
    with pytest.raises(RunAgentError, match="TimeoutError: responds"):
        client_of(server, transport).run_generic_stream("x").text()
    door.set()
    (problem,) = server.problems()
    first = function.__code__.co_firstlineno
    assert (
        f"responds() with {function.__qualname__} ({__file__}:{first}) has not returned within 0.05 s"
        in problem
    )
    line = int(problem.rpartition(f"it was at {__file__}:")[2].partition(",")[0])
    assert first < line <= first + 4


@pytest.mark.parametrize("transport", STREAMS)
def test_a_generator_over_its_limit_is_an_error_event_and_fails_the_test(server, door, transport):
    server.agent("a").responds(pauses(door), timeout=0.05)
    stream = client_of(server, transport).run_generic_stream("x")
    assert "a" == next(stream)
    with pytest.raises(StreamError, match=r"has not returned within 0.05 s"):
        next(stream)
    door.set()
    (problem,) = server.problems()
    assert "pause_in_the_middle" in problem


@pytest.mark.parametrize("make", [waits_for, spins, pauses, awaits])
def test_no_other_agent_waits_for_a_function(server, door, make):
    server.agent("slow").responds(make(door))
    server.agent("quick").always("x")
    with connected(server.url) as slow:
        slow.send(stream("slow"))
        server.agent("slow").wait_request()
        assert "x" == client_of(server, agent="quick").run_generic_stream("x").text()
    door.set()


def test_a_function_may_ask_the_server_that_calls_it(style, server):
    server.agent("inner").always("inside")
    server.agent("a").responds(
        lambda _: ["from ", client_of(server, agent="inner").run_generic_stream("x").text()]
    )

    async def scenario():
        async with style.client("a", base_url=server.url) as client:
            return await client.run_generic_stream("x").text()

    assert "from inside" == style.run(scenario)


@pytest.mark.parametrize("method", ["clear", "close"])
def test_a_function_cannot_end_the_server_that_calls_it(server, method):
    server.agent("a").responds(lambda _: getattr(server, method)())
    with pytest.raises(AgentServerError, match=rf"{method}\(\) waits for the server's thread"):
        client_of(server).run_generic_stream("x").text()


def test_a_traced_thread_goes_on_while_a_blocked_one_has_an_exception_to_come(door):
    def wait():
        with contextlib.suppress(AbandonedError):
            door.wait(PATIENCE)

    def step():
        return thread.is_alive()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert thread.ident is not None
    tracer = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        raise_in(thread.ident, AbandonedError)
        assert step()
    finally:
        sys.settrace(tracer)
    door.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.parametrize("ends", ["close", "clear", "check"])
def test_ending_names_a_function_that_does_not_come_back(door, ends):
    function = waits_for(door)
    server = FakeAgentServer().start()
    server.agent("a").responds(function)
    with connected(server.url) as client:
        client.send(stream())
        server.wait_request()
    began = time.monotonic()
    line = function.__code__.co_firstlineno + 1
    wanted = rf"agent 'a': responds\(\) with .*wait_for_ever .* has not returned: it is at .*:{line}, in wait"
    with pytest.raises((RuntimeError, AssertionError), match=wanted):
        getattr(server, ends)()
    assert time.monotonic() - began < 5
    door.set()
    server.close()


def test_ending_stops_what_spins(door):
    server = FakeAgentServer().start()
    server.agent("a").responds(spins(door))
    with connected(server.url) as client:
        client.send(stream())
        server.wait_request()
    with pytest.raises(RuntimeError, match="spin"):
        server.close()
    # The leak check of every test finds the thread if it goes on.


async def refuse_to_be_cancelled(door):
    while not door.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue


def test_ending_does_not_wait_for_a_task_that_refuses_to_end(door):
    async def stubborn(request):
        await refuse_to_be_cancelled(door)
        return []

    server = FakeAgentServer().start()
    server.agent("a").responds(stubborn)
    with connected(server.url) as client:
        client.send(stream())
        server.wait_request()
    began = time.monotonic()
    with pytest.raises(
        RuntimeError, match=r"stubborn .* has not returned: it is at .*test_slow_functions.py"
    ):
        server.clear()
    assert time.monotonic() - began < 5
    door.set()
    server.close()


def test_ending_names_what_blocks_the_server_itself(door, monkeypatch):
    monkeypatch.setattr("runagent_testing._server.server._PATIENCE", 0.3)

    async def blocks_the_loop(request):
        while not door.is_set():
            pass
        return []

    server = FakeAgentServer().start()
    server.agent("a").responds(blocks_the_loop)
    with connected(server.url) as client:
        client.send(stream())
        server.wait_request()
        wanted = r"the fake agent server's thread does not return .* it is at .*, in blocks_the_loop"
        with pytest.raises(RuntimeError, match=wanted):
            server.close()
    door.set()


def test_an_async_function_may_use_threads_that_never_end(door):
    async def in_a_thread(request):
        return await asyncio.to_thread(door.wait, 60)

    with FakeAgentServer() as server:
        server.agent("a").responds(in_a_thread)
        with connected(server.url) as client:
            client.send(stream())
            server.wait_request()
    door.set()


class _Hanging(Documented):
    """A dialect that never returns from one of its methods."""

    name = "hanging"

    def __init__(self, method, door):
        self._method, self._door = method, door
        self.hangs = threading.Event()

    def _wait(self, method):
        if method == self._method:
            self.hangs.set()
        while method == self._method and not self._door.is_set():
            pass

    def parse_request(self, request):
        self._wait("parse_request")
        return super().parse_request(request)

    def check(self, run_request, run, agent):
        self._wait("fault")
        return super().check(run_request, run, agent)

    def stream(self, run):
        self._wait("stream")
        return super().stream(run)


@pytest.mark.parametrize("method", ["parse_request", "fault", "stream"])
@pytest.mark.parametrize("ends", ["clear", "close"])
def test_ending_names_a_dialect_that_does_not_come_back(door, method, ends, monkeypatch):
    monkeypatch.setattr("runagent_testing._server.server._PATIENCE", 0.3)
    dialect = _Hanging(method, door)
    server = FakeAgentServer(dialects=[dialect]).start()
    server.agent("a").always("x")
    with connected(server.url) as client:
        client.send(stream())
        assert dialect.hangs.wait(PATIENCE)
        wanted = rf"thread does not return .* it is at {__file__}:\d+, in _wait"
        with pytest.raises(RuntimeError, match=wanted):
            getattr(server, ends)()
    door.set()
    server.close()


class _Endless:
    """A policy of writes whose cuts have no end."""

    def cuts(self, events, start):
        return itertools.count()


def test_a_policy_of_writes_without_an_end_is_a_500(host):
    host.agent("a").always("x", writes=_Endless())
    with pytest.raises(AgentServerError, match=r"writes=.*_Endless.* cuts \d+ bytes in more than \d+ places"):
        client_of(host).run_generic_stream("x").text()


def test_a_generator_that_does_not_end_when_it_is_closed_is_named(door):
    def steps(request):
        try:
            yield "a"
            yield ending("stall")
        finally:
            door.wait(60)

    server = FakeAgentServer().start()
    server.agent("a").responds(steps)
    with client_of(server).run_generic_stream("x") as stream:
        next(stream)
    assert server.requests[0].wait_disconnected()
    with pytest.raises(
        RuntimeError, match=r"steps .* has not returned: it is at .*test_slow_functions.py:\d+, in steps"
    ):
        server.close()
    door.set()


def test_all_agents_together_have_one_second_to_write(server):
    server.agent("a").always(*["x" * 100_000] * 100)
    with contextlib.ExitStack() as clients:
        for _ in range(5):
            client = clients.enter_context(connected(server.url))
            client.send(stream())
            client.until(b"xxx")
        began = time.monotonic()
        assert server.problems()
        assert time.monotonic() - began < 3


# In a memory network


@pytest.mark.parametrize("style", STYLES)
def test_async_functions_wait_on_virtual_time(style, transport):
    virtual = Virtual(style)

    async def late(request):
        await asyncio.sleep(5)
        return ["a"]

    async def later(request):
        await asyncio.sleep(5)
        yield "a"
        await asyncio.sleep(60)
        yield "b"

    virtual.memory.agent("a").responds(late)

    async def scenario():
        began = virtual.network.now()
        texts = []
        for function in (late, later):
            virtual.memory.agent("a").responds(function)
            texts.append(await virtual.client(transport, timeout=100).run_generic_stream("x").text())
        return texts, virtual.network.now() - began

    assert (["a", "ab"], 70.0) == virtual.run(scenario)
    assert virtual.seconds < 5
    virtual.memory.check()


def test_a_function_that_keeps_the_readers_thread_is_named_once(monkeypatch, caplog):
    monkeypatch.setattr(computing, "_SLOW", -1.0)
    memory = MemoryNetwork()

    def steps(request):
        yield from "abc"

    memory.agent("a").responds(steps)
    assert "abc" == client_of(memory).run_generic_stream("x").text()
    (record,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert f"steps ({__file__}:" in record.getMessage()


def test_an_async_function_that_never_wakes_is_over_its_limit():
    memory = MemoryNetwork()

    async def asleep(request):
        await asyncio.Event().wait()

    memory.agent("a").responds(asleep, timeout=0.05)
    with pytest.raises(AgentServerError, match=r"asleep .* has not returned within 0.05 s"):
        client_of(memory).run_generic_stream("x").text()
