"""Steps that are made again and again: written out if they are few, else sent one by one."""

from __future__ import annotations

import re
import tracemalloc

import pytest

from runagent import StreamError
from runagent_testing import (
    MemoryNetwork,
    chunk,
    delay,
    done,
    ending,
    error,
    fixed,
    gate,
    head,
    heartbeat,
    raw,
    raw_response,
    reasoning,
    repeat,
    status,
)
from runagent_testing._script.script import Script
from runagent_testing._standalone.script_file import ScriptFileError, read_script
from runagent_testing._standalone.summary import summarize
from tests.runagent_testing.functions import client_of
from tests.runagent_testing.virtual import STYLES, Virtual

STREAMS = ("sse", "chunked", "websocket")
MANY = 101


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr("runagent_testing._script.unrolling._MOST_STEPS", MANY - 1)


def texts(host, transport="sse", **options):
    with client_of(host, transport, **options) as client:
        return list(client.run_generic_stream("hi"))


def taken(host, count, transport="sse"):
    """The first chunks of an endless stream."""
    with client_of(host, transport) as client, client.run_generic_stream("hi") as stream:
        return [next(stream) for _ in range(count)]


# What is sent


@pytest.mark.parametrize("transport", STREAMS)
def test_a_short_repetition_is_the_same_as_its_steps(host, transport):
    host.agent("a").always("a", repeat("b", repeat("c", times=2), times=2), "d")
    assert ["a", "b", "c", "c", "b", "c", "c", "d"] == texts(host, transport)
    assert Script.of(("x",) * 3) == Script.of((repeat("x", times=3),))


@pytest.mark.parametrize("transport", STREAMS)
def test_an_endless_repetition_may_be_left_at_any_time(host, transport):
    host.agent("a").always("first", repeat("a", "b"))
    assert ["first", "a", "b", "a", "b", "a"] == taken(host, 6, transport)
    assert host.requests[0].wait_disconnected()
    host.check()


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("transport", STREAMS)
def test_a_long_repetition_is_sent_to_its_end(host, transport):
    host.agent("a").always(repeat(chunk("x"), times=MANY), done("The end"))
    assert MANY == len(texts(host, transport))
    assert host.requests[0].wait_done()
    host.check()


@pytest.mark.usefixtures("few")
def test_a_long_repetition_that_a_client_leaves_fails_the_test(host):
    host.agent("a").always(repeat("x", times=10**9))
    assert ["x", "x"] == taken(host, 2)
    assert host.requests[0].wait_disconnected()
    (problem,) = host.problems()
    assert "never played: " in problem
    assert "(the client disconnected after " in problem


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize("style", STYLES)
def test_it_keeps_to_delays_and_a_pace(style, transport):
    virtual = Virtual(style)
    virtual.memory.agent("a").always(repeat("tick", delay(10)), pace=fixed(1))

    async def scenario():
        async with virtual.client(transport) as client:
            began, times = virtual.network.now(), []
            async with client.run_generic_stream("hi") as stream:
                async for _ in stream:
                    times.append(round(virtual.network.now() - began))
                    if len(times) == 4:
                        break
            return times

    assert [0, 11, 22, 33] == virtual.run(scenario)
    virtual.memory.check()


def test_a_gate_of_a_repetition_is_a_gate_of_the_server(host):
    host.agent("a").always("a", repeat(gate("door"), "b", times=2))
    with client_of(host) as client, client.run_generic_stream("hi") as stream:
        assert "a" == next(stream)
        host.gates["door"].open()
        assert ["b", "b"] == list(stream)


def test_a_client_resumes_in_the_middle_of_a_repetition(host):
    agent = host.agent("a").always(*(str(n) for n in range(5)), repeat("x"), ids=True)
    agent.reply("0", "1", "2", ending("reset"), ids=True)
    options = {"resume": True, "max_retries": 1, "retry_delay": 0.001}
    with client_of(host, **options) as client, client.run_generic_stream("hi") as stream:
        assert ["0", "1", "2", "3", "4", "x", "x"] == [next(stream) for _ in range(7)]


def test_the_head_may_come_first(host):
    host.agent("a").always(head(headers={"X-Own": "1"}), repeat("x"))
    with client_of(host) as client, client.run_generic_stream("hi") as stream:
        assert "x" == next(stream)
        assert "1" == stream.headers["x-own"]


def test_replies_and_rules_and_computed_replies_may_repeat(host):
    agent = host.agent("a").responds(lambda _: [repeat("computed")])
    agent.when(query="hi", nth=1).reply(repeat("rule"))
    assert [["rule", "rule"], ["computed", "computed"]] == [taken(host, 2) for _ in range(2)]
    assert host.requests[1].wait_disconnected()
    host.check()


@pytest.mark.usefixtures("few")
def test_an_unused_repetition_is_described(host):
    host.agent("a").reply(repeat("x", heartbeat(), times=MANY)).reply(repeat("y"))
    assert [
        "agent 'a': never used: reply with repeat 101 times (chunk 'x', heartbeat)",
        "agent 'a': never used: reply with repeat without end (chunk 'y')",
    ] == host.problems()


@pytest.mark.usefixtures("few")
def test_a_format_without_a_place_for_a_step_fails_the_stream(host):
    host.agent("a").always("x", repeat(reasoning("hm"), times=MANY))
    with client_of(host, "chunked", headers={"Accept": "text/plain"}) as client, pytest.raises(StreamError):
        client.run_generic_stream("hi").text()
    assert "cannot carry a step reasoning(...) (in repeat(...))" in " ".join(host.problems())


def test_memory_stays_flat_however_long_it_is(monkeypatch):
    monkeypatch.setattr("runagent_testing._render.lazy._KEPT", 10)
    memory = MemoryNetwork()
    memory.agent("a").always(repeat("some words "))
    with client_of(memory) as client, client.run_generic_stream("hi") as stream:
        tracemalloc.start()
        sizes = []
        for _ in range(4):  # meanwhile, the agent fills the 64 KiB that may be on their way to the client
            for _ in range(400):
                next(stream)
            sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert sizes[3] - sizes[2] < 20_000


# What is refused


@pytest.mark.parametrize(
    ("make", "raised", "message"),
    [
        (lambda: repeat(), ValueError, "repeat() takes steps"),
        (
            lambda: repeat(["a", "b"]),
            TypeError,
            "repeat() takes the steps one by one: write a * before a list",
        ),
        (
            lambda: repeat("a", times=0),
            ValueError,
            "repeat(times=...) is a number of times, 1 or more, or None",
        ),
        (
            lambda: repeat("a", times=True),
            ValueError,
            "repeat(times=...) is a number of times, 1 or more, or",
        ),
        (
            lambda: script(repeat("a"), "b"),
            TypeError,
            "step 1, repeat without end (chunk 'a'), is endless: it must",
        ),
        (
            lambda: script("x", repeat(repeat("a"), times=2)),
            TypeError,
            "step 2, repeat(...), has an endless repeat",
        ),
        (
            lambda: script("x", repeat("a", b"b")),
            TypeError,
            "step 2, repeat(...): step 2 is bytes, not text or a",
        ),
        (
            lambda: script(repeat("a", ending("cut"), times=2)),
            TypeError,
            "step 1, ending 'cut', must be the last",
        ),
        (lambda: script(repeat(status(503))), TypeError, "step 1, status 503, must be the last one"),
        (lambda: script(repeat("a", head())), TypeError, "step 1: a head begins the answer"),
        (
            lambda: script(delay(1), head(), repeat("a")),
            TypeError,
            "step 2 cannot be in a script whose repeat(...)",
        ),
        (
            lambda: script(raw_response(b""), repeat(raw(b""))),
            TypeError,
            "step 1 cannot be in a script whose repeat",
        ),
        (
            lambda: script(repeat("a"), framing="length"),
            ValueError,
            "framing='length' needs all steps at once",
        ),
        (
            lambda: MemoryNetwork().agent("a").returns(repeat("a")),
            TypeError,
            "step 1 is invalid in a plain run: re",
        ),
        (
            lambda: MemoryNetwork().agent("a").fails(1, repeat("a")),
            TypeError,
            "step 1 is invalid in a plain run: ",
        ),
    ],
)
def test_what_cannot_be_repeated_is_refused_when_it_is_written(make, raised, message):
    with pytest.raises(raised, match=f"^{re.escape(message)}"):
        make()


def script(*steps, **options):
    return Script.of(steps, **options)


def test_an_error_may_end_each_round_only_once():
    assert (error("C"), error("C")) == script(repeat(error("C"), times=2)).steps  # as without repeat


def test_a_generator_loops_by_itself(host):
    def looping(request):
        yield "a"
        yield repeat("b")

    host.agent("a").responds(looping)
    with client_of(host) as client, pytest.raises(StreamError, match="a generator has loops"):
        client.run_generic_stream("hi").text()
    assert "step 2, repeat(...), is for scripts" in " ".join(host.problems())


# Script files


def test_a_file_repeats_steps(host):
    steps = "[a, {repeat: [b, [1], {repeat: c, times: 2}, {gate: g}], times: 2}, {repeat: z}]"
    read_script(f"agents: {{a: {{always: {steps}}}}}", "s.yaml").apply(host)
    host.gates["g"].open()
    assert ["a", "b", [1], "c", "c", "b", [1], "c", "c", "z"] == taken(host, 10)


def test_a_scope_has_gates_of_its_own_in_a_repetition(host):
    read_script("agents: {a: {always: [{repeat: [{gate: g}, b]}]}}", "s.yaml").apply(host)
    host.scope("one").gates["g"].open()
    assert not host.gates["g"].is_open


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("{repeat: []}", "1:23: a.always: repeat() takes steps"),
        ("{repeat: [{dealy: 1}]}", "1:34: a.always: 'dealy' is not a step: did you mean 'delay'?"),
        (
            "{repeat: x, times: 0}",
            "1:23: a.always: repeat(times=...) is a number of times, 1 or more, or None, not 0",
        ),
        ("{repeat: x, time: 1}", "1:35: a.always: 'time' is no property of repeat: did you mean 'times'?"),
        (
            "{repeat: x}, y",
            "1:23: a.always: step 1, repeat without end (chunk 'x'), is endless: it must be the last",
        ),
    ],
)
def test_a_fault_of_a_repetition_has_its_place(step, fault):
    with pytest.raises(ScriptFileError, match=f"^s.yaml:{re.escape(fault)}"):
        read_script(f"agents: {{a: {{always: [{step}]}}}}", "s.yaml")


def test_check_shows_repetitions():
    lines = summarize(read_script("agents: {a: {always: [{repeat: [x, {delay: 1}], times: 3}]}}", "s.yaml"))
    assert '      1  repeat 3 times (chunk "x", delay 1 s)' == list(lines)[-1]
