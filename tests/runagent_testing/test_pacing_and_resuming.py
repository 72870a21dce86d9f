"""A script's pace, places and heads, rendered without any server."""

from __future__ import annotations

import json
from statistics import median

import pytest

from runagent_testing import (
    ending,
    every,
    fixed,
    head,
    heartbeat,
    inside,
    log_normal,
    raw_response,
    tokens_per_second,
    uniform,
)
from runagent_testing._host.agent import Agent
from runagent_testing._render.plan import Wait, Write
from runagent_testing._render.render import stream_plan
from runagent_testing._script.script import Script
from runagent_testing.dialects import DialectRun
from runagent_testing.dialects._builtin import dialect_of

PACES = {
    "fixed": fixed(0.5, first=2, jitter=0.1),
    "uniform": uniform(0.2, 0.4, first=2),
    "log-normal": log_normal(0.3, 1.0, first=2),
    "tokens": tokens_per_second(50, first=2, jitter=0.5),
}


def plan(*steps, transport="sse", agent_input=None, headers=None, **options):
    run = DialectRun(
        transport,
        "r",
        "2026-01-01T00:00:00+00:00",
        agent_input or {},
        headers or {},
        dialect=dialect_of(transport),
    )
    return stream_plan(Script.of(steps, **options), run)


def waits(rendered):
    return [move.seconds for move in rendered.moves if isinstance(move, Wait)]


@pytest.mark.parametrize("name", PACES)
def test_a_pace_waits_before_each_chunk_the_same_for_every_transport(name):
    pace = PACES[name]
    expected = pace.waits(5)
    for transport in ("sse", "chunked", "text", "websocket"):
        rendered = plan("a", "b", heartbeat(), "c", "d", "e", transport=transport, pace=pace)
        assert expected == waits(rendered)
    assert 2 == expected[0]


@pytest.mark.parametrize(
    "make", [lambda seed: uniform(0, 1, seed=seed), lambda seed: log_normal(1, 1, seed=seed)]
)
def test_a_seed_gives_the_same_waits_and_another_seed_others(make):
    assert make(1).waits(50) == make(1).waits(50)
    assert make(1).waits(50) != make(2).waits(50)


def test_the_numbers_of_a_pace_are_kept():
    assert [0.0, 0.25, 0.25] == fixed(0.25).waits(3)
    assert [0.0] + [0.001] * 4 == tokens_per_second(1000).waits(5)
    drawn = uniform(0.2, 0.4, seed=3).waits(1000)[1:]
    assert 0.2 <= min(drawn) < 0.21 < 0.39 < max(drawn) <= 0.4
    drawn = log_normal(0.3, 1.0, seed=3).waits(2000)[1:]
    assert 0.27 < median(drawn) < 0.33
    assert max(drawn) > 10 * median(drawn)


def test_no_wait_comes_before_the_first_chunk_unless_asked_for():
    assert [0.5] == waits(plan("a", "b", pace=fixed(0.5)))
    assert [] == waits(plan(pace=fixed(0.5, first=1)))


def test_a_resumed_run_waits_as_the_whole_one_at_the_same_places():
    pace = uniform(0, 1, first=2, seed=4)
    resumed = plan(*"abcde", pace=pace, agent_input={"parameters": {"resume_from_index": 2}})
    assert [2, *pace.waits(5)[3:]] == waits(resumed)


@pytest.mark.parametrize(
    "make",
    [
        lambda: fixed(-1),
        lambda: fixed(1, jitter=2),
        lambda: uniform(2, 1),
        lambda: uniform(0, float("inf")),
        lambda: log_normal(float("nan"), 1),
        lambda: tokens_per_second(0),
        lambda: ending("stall-reset"),
        lambda: ending("cut", seconds=1),
        lambda: ending("close", code=70000),
        lambda: every(0),
        lambda: inside("words"),  # type: ignore[arg-type]
        lambda: head(99),
        lambda: Agent("a").always("x", resume="maybe"),  # type: ignore[arg-type]
        lambda: Agent("a").always("x", writes="sometimes"),
        lambda: Agent("a").always("x", framing="none"),  # type: ignore[arg-type]
    ],
)
def test_meaningless_numbers_and_names_are_refused(make):
    with pytest.raises(ValueError, match="not"):
        make()


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        (("x", head(201)), "step 2: a head begins the answer"),
        (("x", raw_response(b"y")), "step 2: a raw_response is the whole answer"),
        ((raw_response(b"y"), "x"), "step 2, .* cannot follow a raw_response"),
        (("x", "y", heartbeat(), ending("silent"), "z"), "step 4, .* must be the last one"),
    ],
)
def test_a_bad_script_is_an_error_that_names_step_and_reason(steps, complaint):
    with pytest.raises(TypeError, match=complaint):
        Agent("a").always(*steps)


def test_an_unknown_option_is_an_error():
    with pytest.raises(TypeError, match="color"):
        Agent("a").always("x", color="red")  # type: ignore[call-arg]


@pytest.mark.parametrize("steps", [("x", "y"), (heartbeat(),), (ending("silent"),)])
def test_a_failure_has_to_fit_both_kinds_of_run(steps):
    with pytest.raises(TypeError):
        Agent("a").fails(1, *steps)


@pytest.mark.parametrize(
    ("resume", "expected"),
    [
        ("honour", [("c", 2), ("d", 3)]),
        (True, [("c", 2), ("d", 3)]),
        ("refuse", [("a", 0), ("b", 1), ("c", 2), ("d", 3)]),
        (False, [("a", 0), ("b", 1), ("c", 2), ("d", 3)]),
        ("fake", [("a", 2), ("b", 3), ("c", 4), ("d", 5)]),
    ],
)
@pytest.mark.parametrize("by", ["index", "id"])
def test_resuming_is_honoured_refused_or_faked(resume, expected, by):
    agent_input = {"parameters": {"resume_from_index": 2}} if by == "index" else {}
    headers = {"last-event-id": "1"} if by == "id" else {}
    rendered = plan(*"abcd", ids=True, resume=resume, agent_input=agent_input, headers=headers)
    blocks = [block for block in rendered.data.decode().split("\n\n") if "event: chunk" in block]
    events = [json.loads(block.partition("data: ")[2]) for block in blocks]
    assert expected == [(event["content"], event["index"]) for event in events]
    assert [str(index) for _, index in expected] == [
        block.split("id: ")[1].split("\n")[0] for block in blocks
    ]


@pytest.mark.parametrize("writes", ["per-step", every(3), inside("characters", "crlf")])
@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_every_write_knows_its_steps_and_whether_it_is_whole(transport, writes):
    steps = ("wörld", heartbeat(), "x")
    whole = plan(*steps, transport=transport)
    cut = plan(*steps, transport=transport, writes=writes)
    assert whole.data == cut.data
    written = [move for move in cut.moves if isinstance(move, Write)]
    assert [0, 1, 2] == sorted({step for move in written for step in move.steps})
    if writes == "per-step":
        assert all(move.whole for move in written)
        head_and_end = [(), ()] if transport == "sse" else []
        numbers = [move.steps for move in written]
        assert [*head_and_end[:1], (), (0,), (1,), (2,), (), *head_and_end[1:]] == numbers
    else:
        assert 1 <= sum(move.whole for move in written) < len(written)


def test_apart_waits_between_writes_and_nowhere_else():
    rendered = plan("a", "b", writes="per-step", write_gap=0.25)
    kinds = [type(move) for move in rendered.moves]
    assert [Write, Wait] * (len(kinds) // 2) + [Write] == kinds
    assert {0.25} == set(waits(rendered))
