"""Scripts written in the form of a script file are read as the same scripts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent_testing import (
    Agent,
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
    raw_response,
    reasoning,
    rechunked,
    status,
    tokens_per_second,
    tool_call,
    uniform,
)
from runagent_testing._host.conditions import Conditions
from runagent_testing._host.scripts import AgentScripts
from runagent_testing._script.gates import Gate
from runagent_testing._script.script import Result, Script
from runagent_testing._standalone.script_file import read_agent
from runagent_testing._standalone.serialize import FormError, conditions_form, script_form

if TYPE_CHECKING:
    from runagent_testing._script.steps import EndingKind
    from runagent_testing._script.writes import Place

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
SECONDS = st.floats(0, 100, allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=2)
OR_NONE = st.none() | TEXTS
HEADERS = st.dictionaries(st.sampled_from(["X-One", "Content-Type"]), WORDS, max_size=2)
NUMBERED = st.just(...) | st.none() | st.integers(0, 5) | WORDS
CHUNKS = st.builds(chunk, JSON, NUMBERED, NUMBERED, NUMBERED)
MIDDLE = st.one_of(
    CHUNKS,
    JSON,
    st.builds(reasoning, TEXTS, OR_NONE),
    st.builds(tool_call, TEXTS, JSON, OR_NONE, st.none() | st.integers(0, 3)),
    st.builds(custom, WORDS, JSON),
    st.builds(delay, SECONDS),
    st.builds(heartbeat),
    st.builds(gate, TEXTS),
    st.builds(raw, st.binary(max_size=5)),
    st.builds(error, OR_NONE, OR_NONE, st.none() | SECONDS),
    st.builds(done, OR_NONE, st.none() | OBJECTS, st.none() | SECONDS, st.none() | OBJECTS, OR_NONE),
)
ENDING_KINDS: tuple[EndingKind, ...] = ("cut", "reset", "stall", "no-done", "fin-in-chunk")
PLACES: tuple[Place, ...] = ("characters", "crlf")
ENDINGS = st.one_of(
    st.sampled_from(ENDING_KINDS).map(ending),
    st.builds(ending, st.just("close"), code=st.integers(1000, 4999), reason=WORDS),
    st.builds(ending, st.just("stall-reset"), seconds=SECONDS),
)
PAUSES = st.builds(delay, SECONDS) | st.builds(gate, TEXTS)
HEADS = st.builds(head, st.none() | st.integers(200, 299), headers=HEADERS, start=st.booleans())
STATUSES = st.builds(
    status,
    st.integers(400, 599),
    retry_after=st.none() | SECONDS | WORDS,
    code=OR_NONE,
    message=OR_NONE,
    body=JSON | st.binary(max_size=5),
    headers=HEADERS,
)
PACES = st.one_of(
    st.none(),
    st.builds(fixed, SECONDS, first=SECONDS, jitter=st.floats(0, 1), seed=st.integers(0, 9)),
    st.builds(log_normal, SECONDS, st.floats(0, 2), first=SECONDS, seed=st.integers(0, 9)),
    st.builds(tokens_per_second, st.floats(1, 100), seed=st.integers(0, 9)),
    st.builds(lambda low, more: uniform(low, low + more), SECONDS, SECONDS),
)
WRITES = st.one_of(
    st.sampled_from(["merged", "per-step"]),
    st.builds(every, st.integers(1, 50)),
    st.lists(st.integers(0, 50), max_size=3).map(lambda offsets: at(*offsets)),
    st.lists(st.sampled_from(PLACES), max_size=2).map(lambda places: inside(*places)),
    st.builds(rechunked, st.integers(0, 9)),
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "indexed": st.booleans(),
        "ids": st.booleans(),
        "resume": st.sampled_from(["honour", "refuse", "fake"]),
        "pace": PACES,
        "writes": WRITES,
        "write_gap": SECONDS,
        "framing": st.sampled_from(["chunked", "extensions", "length", "close"]),
        "session_id": st.text(max_size=5),
    },
)
STREAMS = st.builds(
    lambda first, middle, last: (*first, *middle, *last),
    st.lists(PAUSES, max_size=2).map(tuple) | st.tuples(HEADS),
    st.lists(MIDDLE, max_size=5),
    st.lists(ENDINGS, max_size=1),
)
REFUSALS = st.builds(lambda first, last: (*first, last), st.lists(PAUSES, max_size=2), STATUSES)
RAW = st.builds(
    lambda data, more: (raw_response(data), *more), st.binary(max_size=9), st.lists(PAUSES, max_size=1)
)
RESULTS = st.fixed_dictionaries(
    {},
    optional={
        "usage": OBJECTS,
        "execution_time": SECONDS,
        "agent_version": WORDS,
        "writes": WRITES,
        "write_gap": SECONDS,
    },
)


def read_back(key: str, form: Any) -> AgentScripts:
    scripts = AgentScripts("a")

    class Host:
        name = ""

        def agent(self, agent_id: str) -> Any:
            return Agent(agent_id, None, scripts)

    read_agent(json.dumps({key: form}), "body.json", "a").apply_once(Host())  # type: ignore[arg-type]
    return scripts


def plain(value: Any) -> Any:
    """Return a value with gates by their names and tuples as lists, which JSON does not distinguish."""
    if isinstance(value, Gate):
        return f"gate {value.name}"
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def fields_of(script: Script | Result) -> dict[str, Any]:
    return {name: plain(getattr(script, name)) for name in type(script).__dataclass_fields__}


@settings(max_examples=60)
@given(STREAMS | REFUSALS | RAW, OPTIONS)
def test_a_stream_is_read_as_it_was_written(steps, options):
    script = Script.of(tuple(steps), **options)
    read = read_back("always", script_form(script)).script
    assert isinstance(read, Script)
    assert fields_of(script) == fields_of(read)


@settings(max_examples=30)
@given(REFUSALS | st.tuples(CHUNKS), RESULTS)
def test_a_result_is_read_as_it_was_written(steps, options):
    result = Result.of(tuple(steps), **options)
    read = read_back("returns", script_form(result)).result
    assert isinstance(read, Result)
    assert fields_of(result) == fields_of(read)


def test_a_policy_of_the_tests_own_cannot_be_written():
    class Mine:
        def cuts(self, events, start):
            return ()

    with pytest.raises(FormError, match="a policy of the test's own"):
        script_form(Script.of(("x",), writes=Mine()))


def test_a_plain_chunk_is_written_as_its_content():
    assert {"steps": ["Once", [1], None, {"chunk": {"a": 1}}]} == script_form(
        Script.of(("Once", [1], None, {"a": 1}))
    )


def test_forms_of_a_pattern_keep_its_flags():
    conditions = Conditions.of(
        re.compile("once", re.IGNORECASE | re.DOTALL),
        {"a": [re.compile("b")]},
        {"X": None},
        range(2, 5),
        None,
    )
    assert {
        "query": {"regex": "(?is)once"},
        "body": {"a": [{"regex": "b"}]},
        "headers": {"x": None},
        "nth": {"from": 2, "to": 4},
    } == conditions_form(conditions)
