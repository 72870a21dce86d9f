"""Streamed messages: text, thinking, tools and other blocks, whole or cut, and how streams end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent import (
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    Reasoning,
    Started,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
    Tokens,
    ToolCall,
)
from tests.support.messages_api import (
    START,
    STOP,
    USAGE,
    begins,
    delta,
    ends,
    event,
    others,
    run,
    stops,
    text,
    thought,
)

ARGUMENTS = '{"city": "Oslo"}'
CALL = (
    begins(1, "tool_use", id="toolu_1", name="weather", input={}),
    *(delta(1, partial_json=""), delta(1, partial_json=ARGUMENTS[:5]), delta(1, partial_json=ARGUMENTS[5:])),
)
PING = event("ping")


@pytest.mark.parametrize("step", [1, 7, 1 << 30])
@pytest.mark.parametrize("named", [True, False])
def test_a_message(step: int, named: bool) -> None:
    seen = run(
        *(START, PING, begins(0, "text", text=""), text("Once"), PING, text(" upon"), ends(0)),
        *(*CALL, ends(1), stops("tool_use", {"output_tokens": 9, "input_tokens": None}), STOP, text("late")),
        step=step,
        named=named,
    )
    assert [
        Started(invocation_id="msg_1"),
        Chunk("Once"),
        Chunk(" upon"),
        ToolCall("toolu_1", "weather", ARGUMENTS, 0),
        Completed(
            usage={"input_tokens": 4, "output_tokens": 9},
            stop_reason="tool_use",
            metadata={"id": "msg_1", "model": "m-1", "stop_reason": "tool_use"},
        ),
    ] == seen.events
    assert ({}, Tokens(input=4, output=9)) == (seen.session.ignored, seen.session.tokens)


def test_tokens_of_caches_and_thinking() -> None:
    usage = {
        "output_tokens": 9,
        "cache_read_input_tokens": 3,
        "output_tokens_details": {"thinking_tokens": 5},
    }
    seen = run(START, stops(usage=usage), STOP)
    assert Tokens(input=4, output=9, cached=3, reasoning=5) == seen.session.tokens


def test_thinking_comes_in_pieces_and_if_it_is_signed_once_more_whole() -> None:
    seen = run(
        *(START, begins(0, "thinking", thinking="", signature=""), thought("let me "), thought("see")),
        *(delta(0, signature="si"), delta(0, signature="gn"), ends(0)),
        *(begins(1, "thinking", thinking=""), thought("unsigned", 1), ends(1)),
        *(begins(2, "redacted_thinking", data="xyz"), ends(2), stops(), STOP),
    )
    assert [
        *(Reasoning("let me "), Reasoning("see")),
        Custom("thinking", {"type": "thinking", "thinking": "let me see", "signature": "sign"}),
        Reasoning("unsigned"),
        Custom("redacted_thinking", {"type": "redacted_thinking", "data": "xyz"}),
    ] == others(seen)


def test_other_blocks_come_whole() -> None:
    found: Any = [{"type": "web_search_result", "url": "https://a.test"}]
    citation: Any = {"type": "char_location", "cited_text": "x"}
    seen = run(
        *(START, begins(0, "server_tool_use", id="s1", name="web_search", input={})),
        *(delta(0, partial_json='{"query": '), delta(0, partial_json='"x"}'), ends(0)),
        *(begins(1, "web_search_tool_result", tool_use_id="s1", content=found), ends(1)),
        *(begins(2, "text", text=""), text("Once", 2), delta(2, citation=citation), ends(2), stops(), STOP),
    )
    search: Any = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    assert [
        Custom("server_tool_use", search),
        Custom(
            "web_search_tool_result",
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": found},
        ),
        Custom("citations_delta", citation),
    ] == others(seen)


@pytest.mark.parametrize(
    ("given", "pieces", "arguments"),
    [
        ({}, (), "{}"),
        ({}, ("",), "{}"),
        ({"city": "Oslo"}, (), '{"city":"Oslo"}'),
        ({"city": "\ud83d"}, (), '{"city":"\\ud83d"}'),
        (None, (), "{}"),
        ({}, ('["\ud83d', '\ude00"]'), '["\N{GRINNING FACE}"]'),
    ],
)
def test_the_arguments_of_a_call(given: Any, pieces: tuple[str, ...], arguments: str) -> None:
    seen = run(
        *(START, begins(0, "tool_use", id="t", name="f", input=given)),
        *(delta(0, partial_json=piece) for piece in pieces),
        *(ends(0), stops("tool_use"), STOP),
    )
    assert [ToolCall("t", "f", arguments, 0)] == others(seen)


def test_blocks_that_begin_with_text_and_never_end_are_read_too() -> None:
    seen = run(
        *(START, begins(0, "thinking", thinking="Hm", signature="s"), begins(1, "text", text="Once")),
        *(*CALL[:0], begins(2, "tool_use", id="t", name="f", input={"a": 1}), STOP),
    )
    assert ["Once"] == seen.contents
    assert [
        Reasoning("Hm"),
        ToolCall("t", "f", '{"a":1}', 0),
        Custom("thinking", {"type": "thinking", "thinking": "Hm", "signature": "s"}),
    ] == others(seen)
    assert isinstance(seen.events[-1], Completed)


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_an_answer_cut_inside_a_call_is_an_error(reason: str) -> None:
    seen = run(START, text("x"), *CALL[:-1], ends(1), stops(reason), STOP)
    assert (["x"], StreamError, reason) == (seen.contents, type(seen.error), seen.error.code)
    assert {"id": "toolu_1", "name": "weather", "arguments": ARGUMENTS[:5]} == seen.error.details["tool_call"]


@pytest.mark.parametrize("reason", [[], {}, 7, ["max_tokens"]], ids=str)
def test_a_stop_reason_that_is_no_text_is_none(reason: Any) -> None:
    seen = run(START, *CALL[:-1], ends(1), stops(reason), STOP)
    assert (Completed, None) == (type(seen.events[-1]), seen.events[-1].stop_reason)  # type: ignore[union-attr]


def test_arguments_that_are_not_json_are_passed_on_if_the_model_ended_there() -> None:
    seen = run(START, *CALL[:-1], ends(1), stops("tool_use"), STOP)
    assert [ToolCall("toolu_1", "weather", ARGUMENTS[:5], 0)] == others(seen)


def test_a_whole_call_of_an_answer_that_was_cut_is_handed_out() -> None:
    seen = run(START, *CALL, ends(1), stops("max_tokens"), STOP)
    assert ToolCall("toolu_1", "weather", ARGUMENTS, 0) in seen.events
    assert "max_tokens" == seen.events[-1].stop_reason  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({"type": "refusal", "category": "bio", "explanation": "No."}, "the model refused: No."),
        ({"category": "bio"}, "the model refused: bio"),
        (None, "the model refused"),
    ],
)
def test_a_refusal_is_an_error(details: Any, message: str) -> None:
    seen = run(START, text("Well\ud83d"), stops("refusal", stop_details=details), STOP)
    assert (["Well", "\ufffd"], StreamError, "refusal", message) == (
        seen.contents,
        type(seen.error),
        seen.error.code,
        seen.error.message,
    )
    assert {"stop_details": details, "usage": USAGE | {"output_tokens": 7}} == seen.error.details


@pytest.mark.parametrize("end", [True, False], ids=["clean end", "cut"])
@pytest.mark.parametrize("last", [(), (stops(),), (event("message_sto"),)], ids=["text", "delta", "other"])
def test_only_message_stop_ends_a_run(end: bool, last: Any) -> None:
    seen = run(START, text("Once"), *last, end=end)
    assert (["Once"], StreamTruncatedError) == (seen.contents, type(seen.error))
    assert not end or "without message_stop" in str(seen.error)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("error", "message", "code", "retryable"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "Overloaded", "overloaded_error", True),
        ({"type": "api_error", "message": "Broken"}, "Broken", "api_error", False),
        ("odd", "odd", None, False),
    ],
)
def test_an_error_in_the_stream(named: bool, error: Any, message: str, code: Any, retryable: bool) -> None:
    seen = run(START, text("Once"), event("error", error=error, request_id="req_1"), STOP, named=named)
    assert (["Once"], StreamError) == (seen.contents, type(seen.error))
    assert (message, code, "req_1", retryable) == (
        seen.error.message,
        seen.error.code,
        seen.error.request_id,
        seen.error.retryable is True,
    )


def test_an_error_is_found_in_a_stream_that_breaks_off_in_it() -> None:
    error = json.dumps(event("error", error={"type": "api_error", "message": "no memory"}))
    seen = run(START, f"event: error\ndata: {error}".encode(), end=False)
    assert ("no memory", "api_error") == (seen.error.message, seen.error.code)


@pytest.mark.parametrize(
    "wrong",
    [
        b"event: content_block_delta\ndata: {oops\n\n",
        delta(5, partial_json="{"),
        begins(0, "tool_use", id="t", input={}),
        event("content_block_delta", index="x", delta={"type": "text_delta", "text": "x"}),
        event("content_block_start", index=None, content_block={"type": "thinking"}),
    ],
)
def test_what_violates_the_protocol_is_an_error(wrong: Any) -> None:
    seen = run(START, text("Once"), wrong, STOP)
    assert (["Once"], ProtocolError) == (seen.contents, type(seen.error))


def test_a_block_that_begins_twice_is_an_error() -> None:
    for kind in ("thinking", "tool_use"):
        seen = run(START, begins(0, kind, id="t", name="f"), begins(0, kind, id="t", name="f"), STOP)
        assert isinstance(seen.error, ProtocolError)


@pytest.mark.parametrize(
    "pieces",
    [
        [begins(0, "tool_use", id="t", name="f"), *[delta(0, partial_json="x" * 100)] * 20],
        [begins(0, "thinking"), *[thought("x" * 100)] * 20],
        [begins(0, "server_tool_use"), *[delta(0, partial_json="x" * 100)] * 20],
        [begins(n, "redacted_thinking", data="x" * 100) for n in range(20)],
    ],
)
def test_what_is_collected_is_bounded(pieces: list[Any]) -> None:
    seen = run(START, text("x"), *pieces, STOP, limits={"max_event_bytes": 1000})
    assert (["x"], StreamLimitError) == (seen.contents, type(seen.error))
    assert "max_event_bytes" == seen.error.limit_name


def test_finished_blocks_are_not_counted() -> None:
    blocks = [[begins(n, "redacted_thinking", data="x" * 100), ends(n)] for n in range(20)]
    seen = run(START, *(each for pair in blocks for each in pair), STOP, limits={"max_event_bytes": 1000})
    assert (20, None) == (len(others(seen)), seen.error)


def test_unknown_events_and_deltas_are_counted() -> None:
    seen = run(START, event("new_event"), delta(0, novel="x"), text("Once"), STOP)
    assert (["Once"], None) == (seen.contents, seen.error)
    assert {"event 'new_event'": 1, "delta 'novel_delta'": 1} == seen.session.ignored
