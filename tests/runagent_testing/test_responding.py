"""Replies that a test's function responds: apart from the server's loop, step by step, within a limit."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import threading
import time

import pytest

from runagent import AgentServerError, RunAgentClient, RunAgentError, StreamError
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    chunk,
    delay,
    done,
    ending,
    gate,
    head,
    heartbeat,
    status,
)
from runagent_testing._memory import computing
from runagent_testing._render.lazy import Kept
from runagent_testing.dialects._documented import Documented
from tests.runagent_testing.raw_client import PATIENCE, connected, stream
from tests.runagent_testing.virtual import STYLES, Virtual

SSE, STREAMS = "sse", ("sse", "chunked", "websocket")


def endless(request):
    for number in itertools.count():
        yield f"{number} "


async def endless_async(request):
    for number in itertools.count():
        yield f"{number} "


async def two_async(request):
    await asyncio.sleep(0)
    yield "Hello "
    await asyncio.sleep(0.001)
    yield request.input["query"]


async def listed_async(request):
    await asyncio.sleep(0.001)
    return ["Hello ", request.input["query"]]


class Greeter:
    def __call__(self, request):
        return iter(("Hello ", request.input["query"]))


class AsyncGreeter:
    async def __call__(self, request):
        return ["Hello ", request.input["query"]]


def greeting(word, request):
    return (word, request.input["query"])


def client_of(host, transport=SSE, agent="a", **options):
    network = {"network": host.blocking} if isinstance(host, MemoryNetwork) else {}
    options = {"max_retries": 0, "resume": False} | network | options
    return RunAgentClient(agent, base_url=host.url, transport=transport, **options)


@pytest.fixture(params=["server", "memory"])
def host(request):
    if request.param == "memory":
        yield MemoryNetwork()
        return
    with FakeAgentServer() as server:
        yield server


@pytest.fixture
def door():
    """What a function of a test waits for; opened at the end, so that its thread ends."""
    door = threading.Event()
    yield door
    door.set()


# What it may be


@pytest.mark.parametrize(
    "function",
    [
        lambda request: ["Hello ", request.input["query"]],
        lambda request: iter(["Hello ", request.input["query"]]),
        lambda request: listed_async(request),
        functools.partial(greeting, "Hello "),
        functools.partial(listed_async),
        Greeter(),
        AsyncGreeter(),
        two_async,
        listed_async,
    ],
)
@pytest.mark.parametrize("transport", STREAMS)
def test_it_may_be_any_function(host, transport, function):
    host.agent("a").responds(function)
    assert "Hello you" == client_of(host, transport).run_generic_stream("you").text()
    host.check()


@pytest.mark.parametrize("function", [endless, endless_async])
def test_a_generator_may_have_no_end(style, transport, function):
    with FakeAgentServer() as server:
        server.agent("a").responds(function)

        async def scenario():
            chunks = []
            client = style.client("a", base_url=server.url, transport=transport)
            async with client, client.run_generic_stream("x") as stream:
                async for one in stream:
                    chunks.append(one)
                    if len(chunks) == 300:
                        break
            return chunks

        assert [f"{number} " for number in range(300)] == style.run(scenario)
        (exchange,) = server.requests
        assert exchange.wait_disconnected()
        name = f"{function.__name__} ({__file__}:{function.__code__.co_firstlineno})"
        (problem,) = server.problems()
        assert name in problem or "never played: step" in problem
        assert [] == server.problems(allow_unused=True)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("function", [endless, endless_async])
def test_a_generator_may_have_no_end_on_virtual_time(style, transport, function):
    virtual = Virtual(style)
    virtual.memory.agent("a").responds(function)

    async def scenario():
        chunks = []
        async with virtual.client(transport).run_generic_stream("x") as stream:
            async for one in stream:
                chunks.append(one)
                if len(chunks) == 300:
                    break
        return chunks

    assert [f"{number} " for number in range(300)] == virtual.run(scenario)
    assert [] == virtual.memory.problems(allow_unused=True)


def test_a_generator_is_asked_for_a_step_when_the_one_before_has_left(host):
    given = []
    door = gate("door")

    def steps(request):
        for number in itertools.count():
            given.append(number)
            yield door if number == 3 else f"{number} "

    host.agent("a").responds(steps)
    with client_of(host).run_generic_stream("x") as stream:
        assert "0 " == next(stream)
        assert host.requests[0].wait_sent(door) or isinstance(host, MemoryNetwork)
        assert [0, 1, 2, 3] == given
        door.open()


def test_little_is_kept_of_a_long_answer(server):
    server.agent("a").responds(endless)
    with client_of(server).run_generic_stream("x") as stream:
        for _ in range(5000):
            next(stream)
    exchange = server.requests[0]
    assert exchange.wait_disconnected()
    assert len(exchange.sent) <= 2000
    assert exchange.moves_done >= 5000
    assert exchange.wait_sent(5000)
    assert not exchange.wait_sent(10**9, timeout=0)
    assert "chunk '3 '" in exchange.timeline()
    assert f"(more to come)                     |    never  from endless ({__file__}:" in exchange.timeline()


def test_kept_rows_are_sequences():
    kept = Kept(-1)
    for number in range(2500):
        kept.append(number)
    assert (2500, 0, 999, -1, 1500, 2499, 2499) == (
        len(kept), kept[0], kept[999], kept[1000], kept[1500], kept[-1], kept[2499],
    )  # fmt: skip
    assert [*range(1000), *[-1] * 500, *range(1500, 2500)] == list(kept)
    assert [998, 999, -1] == kept[998:1001]
    with pytest.raises(IndexError):
        kept[2500]
    assert [] == list(Kept(0))


@pytest.mark.parametrize("left_early", [True, False])
def test_a_generator_is_closed(host, left_early):
    closed = threading.Event()

    def steps(request):
        try:
            yield "a"
            yield ending("stall") if left_early else "b"
        finally:
            closed.set()

    host.agent("a").responds(steps)
    stream = client_of(host).run_generic_stream("x")
    assert "a" == next(stream)
    if not left_early:
        assert ["b"] == list(stream)
    stream.close()
    assert closed.wait(PATIENCE)
    host.check()


def test_an_async_generator_is_closed(server):
    closed = threading.Event()

    async def steps(request):
        try:
            while True:
                yield "a"
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    server.agent("a").responds(steps)
    with client_of(server).run_generic_stream("x") as stream:
        next(stream)
    assert closed.wait(PATIENCE)


@pytest.mark.parametrize("transport", STREAMS)
def test_what_a_generator_gives_is_what_a_list_would(host, transport):
    given = (heartbeat(), "a", delay(0.001), chunk("b", index=1), {"c": 1}, done(usage={"t": 1}))
    listed, made = host.agent("list"), host.agent("generator")
    listed.always(*given, ids=True, resume=False, writes="per-step")
    made.responds(lambda _: iter(given), ids=True, resume=False)
    for agent in ("list", "generator"):
        stream = client_of(host, transport, agent).run_generic_stream("x")
        assert ["a", "b", {"c": 1}] == list(stream)
        assert host.requests[-1].wait_done()
    one, other = (b"".join(write.data for write in exchange.sent) for exchange in host.requests)
    if transport != "websocket":  # which has ids of its runs
        assert one == other


@pytest.mark.parametrize("kind", ["clean", "cut", "no-done", "fin-in-chunk", "reset"])
@pytest.mark.parametrize("transport", STREAMS)
def test_a_generator_may_end_in_any_way(host, transport, kind):
    host.agent("list").always("a", ending(kind))
    host.agent("generator").responds(lambda _: iter(("a", ending(kind))))
    shown = []
    for agent in ("list", "generator"):
        stream = client_of(host, transport, agent).run_generic_stream("x")
        try:
            shown.append(stream.text())
        except RunAgentError as exc:
            shown.append(type(exc))
    assert shown[0] == shown[1]


def test_a_generator_may_begin_with_a_head_or_a_refusal(host):
    host.agent("head").responds(lambda _: iter((head(headers={"x-a": "b"}), "a")))
    host.agent("status").responds(lambda _: iter((status(503, message="busy"),)))
    assert "a" == client_of(host, agent="head").run_generic_stream("x").text()
    assert b"x-a: b\r\n" in host.requests[0].sent[0].data
    with pytest.raises(AgentServerError, match="busy"):
        client_of(host, agent="status").run_generic_stream("x").text()
    host.check()


def test_a_generator_is_resumed_by_going_over_it_again(host):
    def cut_once(request):
        for number, word in enumerate("abcd"):
            if number == 2 and len(host.requests) == 1:
                yield ending("cut")
                return
            yield word

    host.agent("a").responds(cut_once)
    client = client_of(host, resume=True, max_retries=1, retry_delay=0.0)
    assert "abcd" == client.run_generic_stream("x").text()
    assert 2 == len(host.requests)
    host.check(allow_unused=True)


@pytest.mark.parametrize("function", [endless, endless_async])
def test_a_plain_run_does_not_wait_for_the_end_of_an_endless_generator(host, function):
    host.agent("a").responds(function)
    with pytest.raises(AgentServerError, match=r"has at most 10000 steps"):
        client_of(host).run_generic("x")


def test_a_plain_run_takes_what_a_generator_gives(host):
    host.agent("a").responds(lambda _: iter((delay(0.001), {"answer": 42})))
    assert {"answer": 42} == client_of(host).run_generic("x")
    host.check()


# What may go wrong


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize(
    ("last", "fault"),
    [
        (object(), "StepError: step 2 is neither a step nor text nor a JSON value"),
        (status(503), "StepError: step 2, status 503, can only be the first one of a generator"),
        (head(), "StepError: step 2, head, can only be the first one of a generator"),
        (ending("close-delimited-cut"), "StepError: step 2 comes too late: give framing='close'"),
    ],
)
def test_a_bad_step_is_an_error_of_the_run_and_fails_the_test(host, transport, last, fault):
    host.agent("a").responds(lambda _: iter(("a", last)))
    stream = client_of(host, transport).run_generic_stream("x")
    assert "a" == next(stream)
    with pytest.raises(StreamError, match=r"SCRIPT_FAILED|step 2"):
        next(stream)
    (problem,) = host.problems()
    assert fault in problem


@pytest.mark.parametrize("transport", STREAMS)
def test_a_generator_that_raises_is_an_error_of_the_run_and_fails_the_test(host, transport):
    def steps(request):
        yield "a"
        raise KeyError("nothing")

    host.agent("a").responds(steps)
    stream = client_of(host, transport).run_generic_stream("x")
    assert "a" == next(stream)
    with pytest.raises(StreamError, match=r"KeyError: .nothing."):
        next(stream)
    (problem,) = host.problems()
    assert f"KeyError: 'nothing' (in {steps.__qualname__} ({__file__}:" in problem


@pytest.mark.parametrize("given", [None, "text", b"x", {"a": 1}, 5])
def test_what_is_no_row_of_steps_is_refused(host, given):
    host.agent("a").responds(lambda _: given)
    with pytest.raises(AgentServerError, match="has to return a list of steps, not"):
        client_of(host).run_generic_stream("x").text()


@pytest.mark.parametrize(("step", "accept"), [(heartbeat(), "text/plain"), (delay(0), "text/event-stream")])
def test_a_generator_that_never_yields_is_stopped(server, step, accept, monkeypatch):
    monkeypatch.setattr("runagent_testing._render.lazy._SILENT", 500)
    server.agent("a").responds(lambda _: itertools.chain(["a"], itertools.repeat(step)))
    with connected(server.url) as client:
        client.send(stream(accept=accept, connection="close"))
        client.rest()
    (problem,) = server.problems()
    assert "RuntimeError: 500 steps in a row wrote nothing" in problem


@pytest.mark.parametrize("style", STYLES)
def test_a_generator_that_never_yields_is_stopped_on_virtual_time(style, monkeypatch):
    monkeypatch.setattr("runagent_testing._render.lazy._SILENT", 500)
    virtual = Virtual(style)
    virtual.memory.agent("a").responds(lambda _: itertools.chain(["a"], itertools.repeat(delay(0))))

    async def scenario():
        with pytest.raises(StreamError, match="500 steps in a row wrote nothing"):
            await virtual.client(max_retries=0, resume=False).run_generic_stream("x").text()

    virtual.run(scenario)


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
    with pytest.raises(RuntimeError, match=r"stubborn .* has not returned: it is at .*test_responding.py"):
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
        RuntimeError, match=r"steps .* has not returned: it is at .*test_responding.py:\d+, in steps"
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


# In a project's tests

PROJECT = """
    import asyncio, itertools, threading, time
    import pytest
    from runagent import RunAgentClient, RunAgentError

    def wait(request):
        threading.Event().wait()

    def spin(request):
        while True:
            pass

    def endless(request):
        for number in itertools.count():
            yield "x"

    def never_gives(request):
        yield "x"
        time.sleep(3600)

    async def awaits(request):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    async def in_thread(request):
        await asyncio.to_thread(threading.Event().wait)

    # A second each at the teardown: every function over one transport, one of them over every transport.
    @pytest.mark.parametrize(
        ("transport", "function"),
        [
            ("sse", wait), ("websocket", wait), ("plain", wait), ("sse", spin), ("websocket", endless),
            ("plain", never_gives), ("sse", awaits), ("websocket", in_thread),
        ],
    )
    def test_hangs(fake_agent, transport, function):
        fake_agent.responds(function)
        client = RunAgentClient(
            fake_agent.id, base_url=fake_agent.url, transport="sse" if transport == "plain" else transport,
            timeout=0.2, max_retries=0, resume=False,
        )
        if transport == "plain":
            client.run_generic("x")
        began = time.monotonic()
        for _ in client.run_generic_stream("x"):
            assert time.monotonic() < began + 0.2, "too long"

    def test_all_servers_end(fake_agent_server_factory):
        for _ in range(2):
            server = fake_agent_server_factory()
            server.agent("a").responds(wait)
            client = RunAgentClient("a", base_url=server.url, timeout=0.2, max_retries=0)
            with pytest.raises(RunAgentError):
                client.run_generic_stream("x").text()

    def test_after_it(fake_agent):
        fake_agent.always("x")
        client = RunAgentClient(fake_agent.id, base_url=fake_agent.url)
        assert "x" == client.run_generic_stream("x").text()
"""


def test_a_function_that_hangs_hangs_no_test_run(project):
    project.makepyfile(PROJECT)
    result = project.runpytest_subprocess("-p", "runagent_testing.pytest_plugin", "-q", timeout=90)
    outcomes = result.parseoutcomes()
    assert (8, 2) == (outcomes["failed"], outcomes["passed"])
    assert "ERROR at teardown of test_all_servers_end" in result.stdout.str()
    text = result.stdout.str()
    for case in ("sse-wait", "websocket-wait", "plain-wait", "sse-spin", "plain-never_gives", "sse-awaits"):
        begun = text.partition(f"ERROR at teardown of test_hangs[{case}]")[2].partition("ERROR at")[0]
        assert f"responds() with {case.partition('-')[2]} (" in begun
        assert "has not returned: it is at" in begun
