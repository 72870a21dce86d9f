"""Replies that a test's function responds: apart from the server's loop, step by step, within a limit."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading

import pytest

from runagent import AgentServerError, RunAgentError, StreamError
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
from runagent_testing._render.lazy import Kept
from tests.runagent_testing.functions import client_of
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
