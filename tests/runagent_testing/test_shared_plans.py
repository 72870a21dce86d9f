"""A script is rendered once for all requests that are alike, and no client can see it."""

from __future__ import annotations

import gc
import itertools
import uuid
import weakref

import pytest

from runagent_testing import delay, done, ending, every, fixed, gate, inside, rechunked
from runagent_testing._render.render import stream_plan
from runagent_testing._render.templates import shared_plan, templates_of
from runagent_testing._script.script import Script
from runagent_testing.dialects import DialectRun
from runagent_testing.dialects._builtin import dialect_of

STEPS = ("Once", delay(1), " upon ä", gate("g"), {"page": 1}, done(usage={"total_tokens": 3}))
ASKED = [
    {},
    {"query": "hi"},
    {"session_id": "s1"},
    {"session_id": ["odd"]},
    {"parameters": {"resume_from_index": 2}},
    {"parameters": {"resume_from_index": 9}},
    {"parameters": "odd"},
]


def run(transport="sse", asked=None, headers=None, **how):
    how.setdefault("dialect", dialect_of(transport))
    return DialectRun(transport, str(uuid.uuid4()), "2026-01-01", asked or {}, headers or {}, **how)


@pytest.mark.parametrize("writes", ["merged", "per-step", every(1), inside("characters"), rechunked(5)])
@pytest.mark.parametrize("transport", ["sse", "chunked", "text", "websocket"])
def test_a_shared_plan_is_that_of_the_run(transport, writes):
    script = Script.of(STEPS, writes=writes, ids=True, pace=fixed(0.5, jitter=0.5))
    headers = [{}, {"origin": "http://a"}, {"origin": "http://b", "last-event-id": "1"}, {"user-agent": "x"}]
    ways = [{}, {"keep_alive": False}, {"http_1_1": False, "keep_alive": False}]
    for asked, fields, how in [*itertools.product(ASKED, headers, ways)] * 2:
        one = run(transport, asked, fields, **how)
        assert stream_plan(script, one) == shared_plan(script, one)


@pytest.mark.parametrize("kind", ["cut", "fin-in-chunk", "close", "bad-utf8", "stall"])
@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_shared_plan_ends_as_that_of_the_run(transport, kind):
    script = Script.of(("a", ending(kind)), resume="fake")
    for one in (run(transport), run(transport)):
        assert stream_plan(script, one) == shared_plan(script, one)


@pytest.mark.parametrize("transport", ["sse", "chunked", "text"])
def test_equal_requests_share_a_plan(transport):
    script = Script.of(STEPS)
    first, second, other = (run(transport, {"query": query}, {"host": query}) for query in ("a", "b", "c"))
    assert shared_plan(script, first) is shared_plan(script, second)
    assert shared_plan(script, other) is not shared_plan(Script.of(STEPS), other)


def test_runs_over_a_websocket_keep_their_own_ids():
    script = Script.of(STEPS)
    runs = [run("websocket") for _ in range(3)]
    plans = [shared_plan(script, one) for one in runs]
    for one, plan in zip(runs, plans, strict=True):
        assert [2 if other is one else 0 for other in runs] == [
            plan.data.count(o.run_id.encode()) for o in runs
        ]


def test_few_plans_are_kept():
    script = Script.of(STEPS)
    for number in range(100):
        shared_plan(script, run(asked={"session_id": str(number)}))
    assert len(templates_of(script)) <= 8


@pytest.mark.parametrize("steps", [STEPS, ["x"] * 10_000], ids=["short", "long"])
def test_what_is_rendered_of_a_script_is_forgotten_with_it(steps):
    script = Script.of(steps)
    assert shared_plan(script, run()).after(0)
    kept = weakref.ref(script)
    del script
    gc.collect()
    assert kept() is None


def test_scripts_are_compared_by_their_steps():
    one, other = Script.of(STEPS), Script.of(STEPS)
    shared_plan(one, run())
    assert one == other
    assert "templates" not in repr(one)
