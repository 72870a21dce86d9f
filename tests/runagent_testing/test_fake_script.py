"""Scripts of fake agents: what cannot be used is refused when it is written, with step and reason."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    at,
    chunk,
    custom,
    delay,
    done,
    ending,
    error,
    every,
    fixed,
    gate,
    head,
    heartbeat,
    inside,
    log_normal,
    raw,
    reasoning,
    rechunked,
    status,
    tokens_per_second,
    tool_call,
    uniform,
)
from runagent_testing._host.agent import Agent

ANY_TEXT: Any = "text"  # where types would not have it
ANY_NUMBER: Any = 3  # likewise
STEPS = [
    chunk("x"),
    reasoning("x"),
    tool_call("f"),
    custom("c"),
    delay(1),
    heartbeat(),
    error("C", "m"),
    done(),
    raw(b""),
    status(503),
    ending("cut"),
]


async def asynchronous(_request):
    return ["x"]


@pytest.mark.parametrize("step", [*STEPS, gate("g")], ids=lambda step: type(step).__name__)
def test_steps_are_frozen(step):
    field = dataclasses.fields(step)[0].name if dataclasses.fields(step) else "x"
    with pytest.raises((AttributeError, TypeError)):
        setattr(step, field, None)


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ((reasoning(ANY_NUMBER),), "step 1 has text=3: it is text"),
        (("x", tool_call("f", index=ANY_TEXT)), "step 2 has index='text': it is a whole number"),
        ((tool_call("f"), custom("c", {1, 2})), "step 2 has value={1, 2}: "),
        ((custom("a\nb"),), "step 1 has name='a.nb': it is one line"),
        ((done(interrupts=ANY_TEXT),), "step 1 has interrupts='text': they are a list"),
        ((done(interrupts=[ANY_NUMBER]),), "step 1 has interrupts="),
        (("x", {1, 2}), "step 2 is neither a step nor text nor a JSON value"),
        ((chunk(object()),), "step 1 is neither"),
        ((iter("xy"),), r"step 1 is an iterator, .*: write a \* before it"),
        (("x", b"y"), r"step 2 is bytes, .*: raw\(...\) writes bytes unchanged"),
        ((ending("cut"), "x"), "step 1, ending 'cut', must be the last one"),
        ((status(503), "x"), "step 1, status 503, must be the last one"),
        (("x", status(503)), "refuses a run before it starts"),
    ],
)
def test_a_bad_stream_script_is_an_error_that_names_step_and_reason(steps, complaint):
    with pytest.raises(TypeError, match=complaint):
        Agent("a").always(*steps)


def circle() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1, 2}, "JSON cannot carry a value of type set"),
        ({"a": [b"x"]}, "JSON cannot carry a value of type bytes"),
        ([float("nan")], "JSON has no NaN and no infinity"),
        ({"a": {1: 2}}, "the names of an object are text"),
        ({(1, 2): 3}, "the names of an object are text"),
        (circle(), "it contains itself"),
        (nested(100_000), "it is nested too deeply"),
    ],
    ids=["set", "bytes", "NaN", "number as a name", "tuple as a name", "circle", "nested"],
)
def test_what_json_cannot_carry_is_refused_in_one_way(value, reason):
    with pytest.raises(ValueError, match=rf"the arguments of tool_call\('f'\) are not JSON: {reason}"):
        tool_call("f", value)
    for step in (custom("c", value), chunk(value)):
        with pytest.raises(TypeError, match=rf"step 1 .*{reason}"):
            Agent("a").always(step)


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ((), "needs an answer or an ending"),
        ((1, delay(1)), "needs an answer or an ending as its last step"),
        ((1, 2), "one answer"),
        ((reasoning("x"), 1), "step 1 is invalid in a plain run: reasoning 'x'"),
        ((heartbeat(), 1), "step 1 is invalid in a plain run"),
        ((ending("no-done"),), "step 1 is invalid in a plain run: ending 'no-done'"),
    ],
)
def test_a_bad_plain_result_is_an_error_that_names_step_and_reason(steps, complaint):
    with pytest.raises(TypeError, match=complaint):
        Agent("a").returns(*steps)


@pytest.mark.parametrize("make", [lambda: delay(-1), lambda: delay(float("nan")), lambda: status(101)])
def test_a_step_checks_its_numbers(make):
    with pytest.raises(ValueError, match="not"):
        make()


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (
            lambda agent: agent.always("x", pase=fixed(1)),
            "unknown property 'pase' of an answer; did you mean 'pace'",
        ),
        (
            lambda agent: agent.returns("x", ids=True),
            "unknown property 'ids' of an answer; known are usage, ",
        ),
        (lambda agent: agent.always("x", pace=5), r"pace= is made by fixed\(\), .*, not 5"),
        (lambda agent: agent.always("x", writes=5), "writes= is one of merged, per-step, .*; not 5"),
        (lambda agent: agent.always("x", write_gap="1"), "write_gap= is a number of seconds, not '1'"),
        (
            lambda agent: agent.always("x", write_gap=-1),
            "write_gap= is a number of seconds, 0 or more, not -1",
        ),
        (lambda agent: agent.always("x", delay(ANY_TEXT)), "a delay is a number of seconds, not 'text'"),
        (lambda agent: agent.always(heartbeat), r"step 1 is the function heartbeat, .*: write heartbeat\("),
        (lambda agent: agent.fails(-1), r"fails\(\) takes a count, a whole number of 0 or more, not -1"),
        (lambda agent: agent.fails("x"), r"fails\(\) takes a count"),
        (lambda agent: agent.responds(str, timeout=-1), "timeout= is a number of seconds, 0 or more, not -1"),
        (lambda agent: agent.responds(str, timeout=None), "timeout= is a number of seconds, not None"),
        (
            lambda agent: agent.responds(str, pase=1),
            "unknown property 'pase' of an answer; did you mean 'pace'",
        ),
        (lambda agent: agent.responds("x"), r"responds\(\) takes a function of the request, not 'x'"),
        (
            lambda _: tokens_per_second(ANY_TEXT),
            "a rate is a positive number of tokens per second, not",
        ),
        (lambda _: fixed(1, jitter=ANY_TEXT), "jitter is a fraction from 0 to 1, not 'text'"),
        (lambda _: uniform(0, 1, first=ANY_TEXT), "a pace takes numbers"),
        (lambda _: MemoryNetwork().on_connect("close", times=ANY_TEXT), r"on_connect\(\) takes a count"),
    ],
)
def test_what_a_script_cannot_use_is_refused_when_it_is_written(write, complaint):
    with pytest.raises((TypeError, ValueError), match=complaint):
        write(Agent("a"))


def odd(value: Any) -> Any:
    """Give a value where types would not have it."""
    return value


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("number", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize(
    "write",
    [
        lambda agent, number: agent.always(number),
        lambda agent, number: agent.always("x", chunk({"a": [number]})),
        lambda agent, number: agent.always(chunk("x", index=number)),
        lambda agent, number: agent.reply([[number]], "x"),
        lambda agent, number: agent.fails(1, error("C", "m", retry_after=number)),
        lambda agent, number: agent.always(error("C", "m", retry_after=number)),
        lambda agent, number: agent.always(done(usage={"total": number})),
        lambda agent, number: agent.always(done(execution_time=number)),
        lambda agent, number: agent.always(done(metadata={"a": (number,)})),
        lambda agent, number: agent.always(status(503, retry_after=number)),
        lambda agent, number: agent.always(status(503, body={"a": number})),
        lambda agent, number: agent.always(delay(number)),
        lambda agent, number: agent.always(ending("stall-reset", seconds=number)),
        lambda agent, number: agent.always("x", write_gap=number),
        lambda agent, number: agent.responds(str, timeout=number),
        lambda agent, number: agent.returns(number),
        lambda agent, number: agent.returns({"a": number}),
        lambda agent, number: agent.returns_once("x", execution_time=number),
        lambda agent, number: agent.returns("x", usage={"a": number}),
        lambda _, number: fixed(number),
        lambda _, number: fixed(1, first=number),
        lambda _, number: fixed(1, jitter=number),
        lambda _, number: uniform(0, number) if number > 0 else uniform(number, number),
        lambda _, number: log_normal(1, number),
        lambda _, number: log_normal(number, 1),
        lambda _, number: tokens_per_second(number),
        lambda _, number: every(number),
        lambda _, number: at(number),
        lambda _, number: MemoryNetwork(ping_interval=number),
        lambda _, number: MemoryNetwork(buffer_bytes=number),
        lambda _, number: FakeAgentServer(ping_interval=number),
        lambda _, number: fixed(1, seed=number),
    ],
)
def test_what_is_no_number_of_json_is_refused_when_it_is_written(write, number):
    with pytest.raises((TypeError, ValueError), match=r"NaN|not|finite"):
        write(Agent("a"), number)


@pytest.mark.parametrize("method", ["always", "reply"])
@pytest.mark.parametrize("steps", [["a", "b"], ("a", "b"), [], [["a"]]])
def test_a_list_that_was_to_be_steps_is_refused(method, steps):
    with pytest.raises(TypeError, match=rf"step 1 is a list, .*: write {method}\(\*steps\)"):
        getattr(Agent("a"), method)(steps)
    with pytest.raises(TypeError, match=r"step 1 is a list, .*: write fails\(\*steps\)"):
        Agent("a").fails(1, steps)
    getattr(Agent("a"), method)(chunk(steps))
    getattr(Agent("a"), method)("one of several", steps)


def test_a_list_with_steps_in_it_is_refused():
    with pytest.raises(TypeError, match=r"step 2 is a list with steps in it: write a \* before it"):
        Agent("a").always("x", ["y", delay(1)])


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (lambda agent: agent.always({1: "x"}), "the names of an object are text"),
        (lambda agent: agent.always([{"a": {None: 1}}], "x"), "the names of an object are text"),
        (lambda agent: agent.returns({True: 1}), "the names of an object are text"),
        (lambda agent: agent.always(chunk("x", index=object())), "step 1 has index="),
        (lambda agent: agent.always(chunk("x", id="a\nb")), "step 1 has id='a.nb': it is one line"),
        (lambda agent: agent.always(chunk("x", event="a\r")), "step 1 has event='a.r': it is one line"),
        (lambda agent: agent.always("x", error(odd(5), "m")), "step 2 has code=5: it is text"),
        (lambda agent: agent.always(error("C", odd(b"m"))), "step 1 has message=b'm': it is text"),
        (lambda agent: agent.always(done(usage=odd([1]))), r"step 1 has usage=\[1\]: it is an object"),
        (lambda agent: agent.always(done(metadata={"a": object()})), "step 1 has metadata="),
        (lambda agent: agent.always(status(503, headers={"a": odd(5)})), "a header's value is text, not 5"),
        (lambda agent: agent.always(status(503, headers={"a b": "c"})), "a header cannot be called 'a b'"),
        (lambda agent: agent.always(status(503, headers={"a": "b\r\nc: d"})), "a header's value is one line"),
        (lambda agent: agent.always(status(503, retry_after="soon\n")), "step 1 has retry_after="),
        (lambda agent: agent.always(status(503, body=object())), "step 1 has body="),
        (lambda agent: agent.always(status(odd(503.5))), "step 1 has status=503.5: it is a whole number"),
        (lambda agent: agent.always(head(headers={"a": "\u20ac"})), "cannot be written in latin-1"),
        (lambda agent: agent.always(ending("close", code=odd(1000.5))), "step 1 has code=1000.5"),
        (lambda agent: agent.always(ending("close", reason="x" * 124)), "at most 123 bytes"),
        (lambda agent: agent.always(ending("close", reason="\ud800")), "at most 123 bytes"),
        (lambda agent: agent.always(gate(odd(5))), "step 1 has name=5: it is text"),
        (lambda agent: agent.always("x", ids="no"), "ids= is True or False, not 'no'"),
        (lambda agent: agent.always("x", indexed=0), "indexed= is True or False, not 0"),
        (lambda agent: agent.returns("x", usage=5), "usage= is 5: it is an object"),
        (lambda agent: agent.returns("x", agent_version=5), "agent_version= is 5: it is text"),
        (lambda agent: agent.entrypoints(["a"]), r"an entry-point tag is text, not \['a'\]"),
        (lambda _: every(odd(2.5)), "a write has at least one byte, not 2.5"),
        (lambda _: at(odd("x")), "an offset is a whole number, not 'x'"),
        (lambda _: fixed(1, seed=odd([])), r"a seed is a whole number, not \[\]"),
        (lambda _: log_normal(1, 1e6), "sigma is at most 10, not 1000000.0"),
        (lambda _: uniform(odd("a"), 2), "a pace takes numbers"),
        (lambda _: MemoryNetwork().agent(odd(5)), "an agent's id is text, not 5"),
        (lambda _: MemoryNetwork().agent(""), "an agent's id is text, not ''"),
        (lambda _: MemoryNetwork(buffer_bytes=0), "buffer_bytes= is a number of bytes, 1 or more, not 0"),
        (lambda _: MemoryNetwork().wait_request(0), "takes how many requests, 1 or more, not 0"),
        (lambda _: FakeAgentServer(ping_interval=odd("x")), "ping_interval= is a number of seconds, not 'x'"),
        (lambda _: FakeAgentServer(api_key=odd(5)), "api_key= is text, not 5"),
    ],
)
def test_a_value_that_cannot_be_written_is_refused_when_it_is_written(write, complaint):
    with pytest.raises((TypeError, ValueError), match=complaint):
        write(Agent("a"))


def test_an_unknown_ending_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown ending 'explode': known are clean, .*, stall, no-done$"):
        ending("explode")  # type: ignore[arg-type]


def test_a_misspelt_ending_gets_the_nearest():
    with pytest.raises(ValueError, match=r"^unknown ending 'cutt': did you mean 'cut'\?$"):
        ending("cutt")  # type: ignore[arg-type]


def test_a_gate_calls_each_waiter_once_and_stays_open():
    door, calls = gate("door"), []
    door.on_open(lambda: calls.append("early"))
    assert calls == []
    door.open()
    door.open()
    door.on_open(lambda: calls.append("late"))
    assert (calls, door.is_open) == (["early", "late"], True)


def test_a_gate_forgets_who_does_not_wait_any_more():
    door, calls = gate("door"), []

    def wake():
        calls.append("woken")

    door.on_open(wake)
    door.forget(wake)
    door.open()
    assert calls == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (every(3), "every(3)"),
        (at(1, 2), "at(1, 2)"),
        (inside("crlf", "characters"), "inside('crlf', 'characters')"),
        (rechunked(7), "rechunked(7)"),
        (fixed(0.5, first=2), "uniform(0.5, 0.5, first=2)"),
        (log_normal(1, 0.5, seed=3), "log_normal(1, 0.5, seed=3)"),
    ],
)
def test_properties_show_themselves_as_they_are_written(value, shown):
    assert shown == repr(value)


HALF = "half \ud83d"


@pytest.mark.parametrize(
    "step",
    [
        head(headers={"X-A": HALF}),
        head(headers={HALF: "x"}),
        head(headers={"X-A": "日本"}),
        status(400, headers={"X-A": HALF}),
        chunk("x", id=HALF),
        chunk("x", event=HALF),
    ],
)
def test_a_text_that_does_not_fit_the_answer_is_refused_when_it_is_written(step):
    with pytest.raises(TypeError, match=r"step 2: .* cannot be written in (latin-1|utf-8): position "):
        Agent("a").always(delay(0), step)


@pytest.mark.parametrize(("write", "value"), [(reasoning, None), (tool_call, None), (custom, 5)])
def test_steps_without_their_text_are_refused(write: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="it is text"):
        Agent("a").always(write(value))
