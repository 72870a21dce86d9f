"""Tool calls of Chat Completions: put together from pieces, as servers differ in them, and cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent import Custom, StreamError, StreamLimitError, ToolCall
from tests.support.chat import DONE, STOP, WEATHER, call, ended, others, piece, run, sends

TIME = {"id": "c2", "type": "function", "function": {"name": "time", "arguments": "{}"}}


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param(
            [
                call(id="c1", type="function", name="weather", arguments=""),
                call(arguments='{"city"'),
                call(arguments=': "Oslo"}'),
                call(1, id="c2", type="function", name="time", arguments="{}"),
            ],
            id="in pieces",
        ),
        pytest.param(
            [
                call(id="c1", type="function", name="weather", arguments='{"city"'),
                call(1, id="c2", type="function", name="time", arguments=""),
                call(id=None, name=None, arguments=': "Oslo"}'),
                call(1, id="", name="", arguments="{}"),
            ],
            id="in turns, with empty fields",
        ),
        pytest.param(
            [
                call(None, id="c1", type="function", name="weather", arguments='{"city"'),
                call(None, arguments=': "Oslo"}'),
                call(None, id="c2", type="function", name="time", arguments="{}"),
            ],
            id="without an index",
        ),
        pytest.param(
            [
                call(id="c1", type="function", name="weather", arguments='{"city": "Oslo"}'),
                call(id="c2", type="function", name="time", arguments="{}"),
            ],
            id="all with index 0",
        ),
        pytest.param(
            [
                call(id="c1", type="function", name="weather", arguments='{"city"'),
                call(id="c1", type="function", name="weather", arguments=': "Oslo"}'),
                call(1, id="c2", type="function", name="time", arguments="{}"),
            ],
            id="with fields that are repeated",
        ),
        pytest.param([sends({"tool_calls": [{"index": 0, **WEATHER}, {"index": 1, **TIME}]})], id="at once"),
    ],
)
def test_tool_calls_are_put_together(payloads: list[Any]) -> None:
    seen = run(*payloads, sends({}, "tool_calls"), DONE)
    calls = [ToolCall("c1", "weather", '{"city": "Oslo"}', 0), ToolCall("c2", "time", "{}", 1)]
    assert (calls, (True, "tool_calls")) == (others(seen), ended(seen))
    assert [] == seen.contents


@pytest.mark.parametrize(
    ("delta", "whole"),
    [
        pytest.param(
            {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]},
            [ToolCall("c", "f", '{"a":1}', 0)],
            id="arguments as an object",
        ),
        pytest.param(
            {"tool_calls": [{"id": "c", "extra_content": {"sign": "s"}, "function": {"name": "f"}}]},
            [
                ToolCall("c", "f", "", 0),
                Custom(
                    "tool_call",
                    {"id": "c", "extra_content": {"sign": "s"}, "function": {"name": "f", "arguments": ""}},
                ),
            ],
            id="fields of one server's own",
        ),
        pytest.param(
            {
                "tool_calls": [
                    {"index": 0, "id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}
                ]
            },
            [Custom("custom", {"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}})],
            id="a custom tool",
        ),
        pytest.param(
            {"function_call": {"name": "f", "arguments": "{}"}},
            [ToolCall(None, "f", "{}", 0)],
            id="a function call of the old form",
        ),
    ],
)
def test_what_else_a_call_may_be(delta: dict[str, Any], whole: list[Any]) -> None:
    assert whole == others(run(sends(delta), sends({}, "stop"), DONE))


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_cut_inside_a_call_is_an_error(reason: str) -> None:
    seen = run(piece("x"), call(id="c", name="f", arguments='{"a'), sends({}, reason), DONE)
    assert (["x"], StreamError, reason) == (seen.contents, type(seen.error), seen.error.code)
    assert '{"a' == seen.error.details["tool_call"]["function"]["arguments"]


def test_a_whole_call_of_an_answer_that_was_cut_is_handed_out() -> None:
    seen = run(call(id="c", name="f", arguments="{}"), sends({}, "length"), DONE)
    assert ([ToolCall("c", "f", "{}", 0)], (True, "length")) == (others(seen), ended(seen))


def test_arguments_of_tool_calls_are_passed_on_as_they_are() -> None:
    seen = run(call(id="c", name="f", arguments="no json"), sends({}, "tool_calls"), DONE)
    assert (None, [ToolCall("c", "f", "no json", 0)]) == (seen.error, others(seen))


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([call(arguments="x" * 100)] * 20, id="arguments"),
        pytest.param([call(n, id=f"call {n}") for n in range(200)], id="calls"),
        pytest.param([sends({"refusal": "x" * 100})] * 20, id="a refusal"),
    ],
)
def test_what_is_collected_is_bounded(payloads: list[Any]) -> None:
    seen = run(piece("x"), *payloads, STOP, DONE, limits={"max_event_bytes": 1000})
    assert (["x"], StreamLimitError, "max_event_bytes") == (
        seen.contents,
        type(seen.error),
        seen.error.limit_name,
    )


def test_an_emoji_in_two_halves_is_one_in_arguments_too() -> None:
    halves = [json.dumps(call(id="c", name="f", arguments=half)) for half in ('["\ud83d', '\ude00"]')]
    assert [ToolCall("c", "f", '["\N{GRINNING FACE}"]', 0)] == others(run(*halves, STOP, DONE))
