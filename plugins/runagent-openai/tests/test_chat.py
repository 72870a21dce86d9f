"""Chat Completions without sockets: what each event means, whole and byte by byte, and plain runs."""

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
)
from tests.support.chat import DONE, ID, STOP, USAGE, WEATHER, ended, others, piece, run, sends
from tests.support.peer import http, sse
from tests.support.sessions import WHOLE, Seen, feed, open_session


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


def plain(body: Any) -> Seen:
    answer = http(200, json.dumps(body), content_type="application/json")
    return feed(open_session("openai", mode="invoke"), answer)


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
