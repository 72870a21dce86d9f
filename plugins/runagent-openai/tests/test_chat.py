"""Chat Completions without sockets: what each event means, whole and byte by byte, and how a stream ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent import (
    AgentError,
    AgentServerError,
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    RateLimitError,
    Reasoning,
    RunResult,
    Started,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
    ToolCall,
)
from tests.support.peer import http, sse
from tests.support.sessions import WHOLE, Seen, feed, open_session

ID = "chatcmpl-1"
USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
DONE = "[DONE]"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"  # of a body that ends with the connection
)
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def sends(delta: Any, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk as the endpoint writes it."""
    about = {"id": ID, "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
    return {**about, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **fields}


def piece(text: str) -> dict[str, Any]:
    return sends({"content": text})


def call(index: int | None = 0, **fields: Any) -> dict[str, Any]:
    """A piece of a tool call; name and arguments belong to its function."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    place = {} if index is None else {"index": index}
    return sends({"tool_calls": [{**place, "function": function, **fields}]})


def events(*payloads: Any) -> list[bytes]:
    """Unnamed events: objects as JSON, text as it is."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in payloads]
    return [f"data: {text}\n\n".encode() for text in texts]


def run(*payloads: Any, step: int = WHOLE, end: bool = True, **fields: Any) -> Seen:
    return feed(open_session("openai", **fields), sse(*events(*payloads), end=end), step=step, eof=True)


def plain(body: Any) -> Seen:
    answer = http(200, json.dumps(body), content_type="application/json")
    return feed(open_session("openai", mode="invoke"), answer)


@pytest.mark.parametrize("step", [1, 7, WHOLE])
def test_the_documented_stream(step: int) -> None:
    seen = run(
        sends({"role": "assistant", "content": ""}),
        piece("Once"),
        piece(" upon"),
        sends({}, "stop"),
        {"id": ID, "model": "m-1", "choices": [], "usage": USAGE},
        DONE,
        step=step,
    )
    about = {"finish_reason": "stop", "id": ID, "model": "m-1", "created": 1}
    assert [
        Started(invocation_id=ID),
        Chunk("Once"),
        Chunk(" upon"),
        Completed(usage=USAGE, stop_reason="stop", metadata=about),
    ] == seen.events
    assert ({}, None) == (seen.session.ignored, seen.session.resume_point)


@pytest.mark.parametrize("step", [1, WHOLE])
def test_the_connection_is_kept_after_the_end(step: int) -> None:
    seen = run(piece("x"), STOP, DONE, step=step)
    seen.session.receive_data(seen.rest)
    assert seen.session.reusable


WEATHER = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
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


def test_a_refusal_is_an_error_with_its_whole_text_and_the_usage() -> None:
    usage = {"choices": [], "usage": USAGE}
    seen = run(piece("Well"), sends({"refusal": "I "}), sends({"refusal": "cannot."}), STOP, usage, DONE)
    assert (["Well"], StreamError, "refusal", "the model refused: I cannot.") == (
        seen.contents,
        type(seen.error),
        seen.error.code,
        seen.error.message,
    )
    assert {"refusal": "I cannot.", "usage": USAGE} == seen.error.details


def others(seen: Seen) -> list[Any]:
    """The events that are neither content nor the beginning or the end."""
    return [event for event in seen.events if not isinstance(event, Started | Chunk | Completed)]


# Ends


def ended(seen: Seen) -> Any:
    """How a stream ended: the error's type, or whether the end is proven and why the model stopped."""
    if seen.error is not None:
        return type(seen.error)
    last = seen.events[-1]
    assert isinstance(last, Completed)
    assert last.stop_reason == (last.metadata or {}).get("finish_reason")
    return last.proven, last.stop_reason


def until_the_connection_ends(*payloads: Any, tail: bytes = b"") -> Seen:
    return feed(open_session("openai"), HEAD + b"".join(events(*payloads)) + tail, eof=True)


def test_the_good_end() -> None:
    assert (True, "stop") == ended(run(piece("x"), STOP, DONE))


def test_a_reason_to_stop_is_an_end_as_sure_as_the_body() -> None:
    assert (True, "stop") == ended(run(piece("x"), STOP))
    assert (False, "stop") == ended(until_the_connection_ends(piece("x"), STOP))


def test_done_without_a_reason_proves_nothing() -> None:
    assert (False, None) == ended(run(piece("x"), DONE))
    assert (False, None) == ended(run(DONE))


@pytest.mark.parametrize(
    ("payloads", "end"),
    [
        pytest.param([piece("x")], True, id="no reason and no done"),
        pytest.param([piece("x"), STOP], False, id="the body cut behind the reason"),
        pytest.param([], True, id="nothing"),
    ],
)
def test_any_other_end_is_a_cut(payloads: list[Any], end: bool) -> None:
    assert StreamTruncatedError is ended(run(*payloads, end=end))


@pytest.mark.parametrize("tail", [b"data: [DO", b"data: [DONE]\n", b"data: {}\n"])
def test_an_event_that_is_cut_is_a_cut(tail: bytes) -> None:
    assert StreamTruncatedError is ended(until_the_connection_ends(piece("x"), STOP, tail=tail))


@pytest.mark.parametrize("framed", [True, False], ids=["chunked", "until the connection ends"])
def test_no_beginning_of_an_answer_is_taken_for_all_of_it(framed: bool) -> None:
    payloads = events(piece("a"), piece("b"), STOP, DONE)
    whole = sse(b"".join(payloads)) if framed else HEAD + b"".join(payloads)
    for size in range(len(HEAD), len(whole)):
        seen = feed(open_session("openai"), whole[:size], eof=True)
        if b"[DONE]\n\n" in whole[:size]:
            expected: Any = True, "stop"
        elif not framed and whole[:size].endswith(payloads[2]):
            expected = False, "stop"
        else:
            expected = StreamTruncatedError
        assert (size, expected) == (size, ended(seen))
        assert ["a", "b"][: len(seen.contents)] == seen.contents


def test_nothing_counts_after_done() -> None:
    seen = run(piece("x"), STOP, DONE, piece("late"), "{")
    assert (["x"], (True, "stop")) == (seen.contents, ended(seen))


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_was_cut_is_marked(reason: str) -> None:
    assert (True, reason) == ended(run(piece("x"), sends({}, reason), DONE))


# Servers


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([{"choices": [], "prompt_filter_results": [{}]}, piece("x"), STOP], id="azure"),
        pytest.param([{**piece("x"), "usage": {"total_tokens": 1}}, {**STOP, "usage": USAGE}], id="vllm"),
        pytest.param([piece("x"), STOP, sends({}, usage=USAGE)], id="litellm"),
        pytest.param([piece("x"), {**STOP, "choices": [{"finish_reason": "stop"}]}], id="no delta"),
        pytest.param([{"choices": None}, sends(None), piece("x"), STOP], id="nulls"),
        pytest.param([sends({"content": "x", "tool_calls": [], "refusal": None}), STOP], id="empty fields"),
        pytest.param([{**piece("x"), "obfuscation": "abc", "new": {"a": [1]}}, STOP], id="unknown fields"),
    ],
)
def test_servers_that_differ(payloads: list[Any]) -> None:
    seen = run(*payloads, DONE)
    assert (["x"], (True, "stop"), {}) == (seen.contents, ended(seen), seen.session.ignored)


def test_the_last_usage_counts() -> None:
    seen = run({**piece("x"), "usage": {"total_tokens": 1}}, {**STOP, "usage": USAGE}, {"choices": []}, DONE)
    last = seen.events[-1]
    assert isinstance(last, Completed)
    assert USAGE == last.usage


def test_what_is_left_out_is_counted() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "other"}}]}
    seen = run(other, piece("x"), STOP, DONE)
    assert (["x"], {"a second choice": 1}) == (seen.contents, seen.session.ignored)


@pytest.mark.parametrize("step", [1, 7, WHOLE])
@pytest.mark.parametrize("names", ["reasoning_content", "reasoning", "reasoning reasoning_content"])
def test_reasoning_comes_as_it_is_sent(names: str, step: int) -> None:
    thoughts = [
        sends(dict.fromkeys(names.split(), text)) for text in ("let me", " see", "\ud83d", "\ude00", "")
    ]
    seen = run(*thoughts, piece("x"), STOP, DONE, step=step)
    assert [Reasoning("let me"), Reasoning(" see"), Reasoning("\N{GRINNING FACE}")] == others(seen)
    assert (["x"], {}) == (seen.contents, seen.session.ignored)


def test_other_pieces_of_a_message_have_the_name_of_the_protocol() -> None:
    seen = run(sends({"audio": {"data": "AA"}, "annotations": [{"url": "u"}]}), piece("x"), STOP, DONE)
    assert [Custom("audio", {"data": "AA"}), Custom("annotations", [{"url": "u"}])] == others(seen)
    assert {} == seen.session.ignored


def test_an_emoji_in_two_halves_is_one() -> None:
    halves = [f'{{"choices": [{{"delta": {{"content": "{half}"}}}}]}}' for half in ("a\\ud83d", "\\ude00b")]
    assert "a\N{GRINNING FACE}b" == "".join(run(*halves, STOP, DONE).contents)


def test_half_an_emoji_is_no_text() -> None:
    half = '{"choices": [{"delta": {"content": "a\\ud83d"}}]}'
    assert "a\N{REPLACEMENT CHARACTER}" == "".join(run(half, STOP, DONE).contents)


def test_an_emoji_in_two_halves_is_one_in_arguments_too() -> None:
    halves = [json.dumps(call(id="c", name="f", arguments=half)) for half in ('["\ud83d', '\ude00"]')]
    assert [ToolCall("c", "f", '["\N{GRINNING FACE}"]', 0)] == others(run(*halves, STOP, DONE))


def test_content_in_parts_is_its_texts_and_what_else_there_is() -> None:
    thinking: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    seen = run(sends({"content": [thinking, {"type": "text", "text": "x"}, "y", 3]}), STOP, DONE)
    assert (["x", "y"], [Custom("thinking", thinking), Custom("content", 3)]) == (seen.contents, others(seen))


@pytest.mark.parametrize(
    "payloads", ["{", '{"choices": 5}', "[]", sends({"tool_calls": [5]}), sends({"function_call": [5]})]
)
def test_what_is_no_chunk_is_an_error_and_loses_nothing(payloads: Any) -> None:
    seen = run(piece("x"), payloads, piece("late"), DONE)
    assert (["x"], ProtocolError) == (seen.contents, type(seen.error))


@pytest.mark.parametrize(
    ("payloads", "message", "code", "details"),
    [
        (
            {"error": {"message": "full", "type": "server_error", "param": None, "code": "busy"}},
            "full",
            "busy",
            {"type": "server_error"},
        ),
        ({"error": {"message": "no", "type": "Bad", "code": 400}}, "no", "400", {"type": "Bad"}),
        ({"object": "error", "message": "no", "type": "bad", "code": None}, "no", "bad", {"type": "bad"}),
        ({"error": "no"}, "no", None, None),
        ({"error": {}}, "the server reported an error without a message", None, None),
        ({"error": {"message": {"detail": 1}, "param": "n"}}, "\"{'detail': 1}\"", None, {"param": "n"}),
    ],
)
def test_an_error_in_the_stream(payloads: Any, message: str, code: str | None, details: Any) -> None:
    seen = run(piece("x"), payloads, DONE)
    error = seen.error
    assert (["x"], StreamError, message) == (seen.contents, type(error), error.message)
    assert (code, details) == (error.code, error.details)


@pytest.mark.parametrize("data", ['{"message": "no"}', '{"error": {"message": "no"}}', "no"])
def test_an_event_may_be_named_an_error(data: str) -> None:
    answer = sse(f"event: error\ndata: {data}\n\n".encode())
    seen = feed(open_session("openai"), answer, eof=True)
    assert (StreamError, "no") == (type(seen.error), seen.error.message)


# Plain runs


def completion(message: dict[str, Any], reason: str = "stop") -> dict[str, Any]:
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}]
    return {"id": ID, "object": "chat.completion", "model": "m-1", "choices": choices, "usage": USAGE}


def test_a_plain_run_gives_the_text() -> None:
    about = {"finish_reason": "stop", "id": ID, "model": "m-1"}
    answer = completion({"content": "Once", "tool_calls": None, "refusal": None})
    assert [RunResult("Once", usage=USAGE, metadata=about)] == plain(answer).events


def test_a_plain_run_gives_the_message_where_it_calls_tools() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [WEATHER]}
    (event,) = plain(completion(message, "tool_calls")).events
    assert isinstance(event, RunResult)
    assert message == event.result


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (completion({"content": None, "refusal": "no"}), AgentError, "refusal"),
        (
            completion({"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}, "length"),
            AgentError,
            "length",
        ),
        ({"error": {"message": "slow down", "code": 429}}, RateLimitError, "429"),
        ({"error": {"message": "no", "code": "odd"}}, AgentServerError, "odd"),
        ({"choices": []}, ProtocolError, None),
        ({"choices": [{"index": 0}]}, ProtocolError, None),
        ({"choices": 5}, ProtocolError, None),
        ([], ProtocolError, None),
    ],
)
def test_a_plain_run_that_gives_no_result(body: Any, kind: type, code: str | None) -> None:
    seen = plain(body)
    assert ([], kind, code) == (seen.events, type(seen.error), seen.error.code)
