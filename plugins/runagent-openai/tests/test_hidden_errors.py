"""A server's error past the format of errors: it reaches the user and ends the run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent import AgentError, Completed, ProtocolError, StreamError, StreamLimitError, StreamTruncatedError
from tests.support.peer import chunked, http, sse
from tests.support.sessions import Seen, feed, open_session
from tests.support.small_stack import on_a_small_stack

WORDS = "the budget is used up"
ERROR: dict[str, Any] = {"error": {"code": "BUDGET", "message": WORDS}}
LINE = json.dumps(ERROR).encode()
APIS = ["chat", "responses"]


def run(api: str, *parts: bytes, end: bool = True) -> Seen:
    return feed(open_session("openai", options={"openai_api": api}), sse(*parts, end=end), eof=True)


def invoke(api: str, answer: dict[str, Any]) -> Seen:
    session = open_session("openai", mode="invoke", options={"openai_api": api})
    return feed(session, http(200, answer), eof=True)


def data(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


CHUNK = data({"choices": [{"index": 0, "delta": {"content": "x"}}]})


@pytest.mark.parametrize("end", [True, False], ids=["ends", "is cut"])
@pytest.mark.parametrize(
    "written",
    [
        data(ERROR),
        data({"type": "error", "message": WORDS, "code": "BUDGET"}),
        data({"object": "error", "message": WORDS, "code": "BUDGET"}),
        data({"error": WORDS, "code": "BUDGET"}),
        data({"error": True, "message": WORDS, "code": "BUDGET"}),
        b"event: failure\n" + data(ERROR),
        LINE + b"\n",
        LINE,
        json.dumps(ERROR, indent=1).encode(),
        b"data: " + LINE,
        b"event: error\ndata: " + json.dumps(ERROR["error"]).encode() + b"\n",
    ],
)
@pytest.mark.parametrize("api", APIS)
def test_an_error_in_a_stream(api: str, written: bytes, end: bool) -> None:
    seen = run(api, written, end=end)
    assert (StreamError, "BUDGET", WORDS) == (type(seen.error), seen.error.code, seen.error.message)


@pytest.mark.parametrize("where", ["error", "choices"])
def test_an_error_in_a_choice(where: str) -> None:
    answer = {"choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "error", **ERROR}]}
    for seen in (run("chat", CHUNK, data(answer)), invoke("chat", answer)):
        assert isinstance(seen.error, StreamError | AgentError)
        assert ("BUDGET", WORDS) == (seen.error.code, seen.error.message)


def test_an_answer_that_ends_with_an_error_is_no_good_end() -> None:
    seen = run(
        "chat", CHUNK, data({"choices": [{"delta": {}, "finish_reason": "error"}]}), b"data: [DONE]\n\n"
    )
    assert (StreamError, "error") == (type(seen.error), seen.error.code)


@pytest.mark.parametrize("written", [data({"message": WORDS}), WORDS.encode() + b"\n", WORDS.encode()])
@pytest.mark.parametrize("api", APIS)
def test_what_was_left_out_before_a_bad_end_is_kept(api: str, written: bytes) -> None:
    seen = run(api, written)
    assert type(seen.error) is StreamTruncatedError
    session: Any = seen.session
    assert WORDS in session.last_ignored


@pytest.mark.parametrize("api", APIS)
def test_an_error_in_place_of_a_stream(api: str) -> None:
    seen = feed(open_session("openai", options={"openai_api": api}), http(200, ERROR), eof=True)
    assert isinstance(seen.error, ProtocolError)
    assert WORDS in str(seen.error)


@pytest.mark.parametrize("empty", [None, False, "", []])
def test_an_empty_error_is_no_error(empty: Any) -> None:
    chunk = {"error": empty, "choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}
    assert isinstance(run("chat", data(chunk), b"data: [DONE]\n\n").events[-1], Completed)
    plain = {"error": empty, "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    assert invoke("chat", plain).error is None


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 5},
        {"usage": []},
        {"usage": "none"},
        {"choices": [{"index": None, "delta": {"content": "x"}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": 1}]},
        {"choices": [{"index": 0, "delta": [], "finish_reason": None}]},
    ],
)
def test_fields_of_the_wrong_type_that_do_no_harm(odd: dict[str, Any]) -> None:
    stop = {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]}
    seen = run("chat", CHUNK, data({"choices": [], **odd}), data(stop), b"data: [DONE]\n\n")
    assert seen.error is None
    assert isinstance(seen.events[-1], Completed)


UNFINISHED = data({"type": "response.output_item.done", "item": {"status": "incomplete"}})


@pytest.mark.parametrize(
    ("api", "written"),
    [
        ("chat", [data({"choices": [{"delta": {"tool_calls": [{"index": n}]}}]}) for n in range(200)]),
        ("chat", [data({"choices": [{"delta": {"tool_calls": [{"id": str(n)}]}}]}) for n in range(200)]),
        ("responses", [UNFINISHED] * 200),
    ],
)
def test_what_is_gathered_over_many_events_has_a_limit(api: str, written: list[bytes]) -> None:
    session = open_session("openai", options={"openai_api": api}, limits={"max_event_bytes": 2000})
    seen = feed(session, sse(*written), eof=True)
    assert isinstance(seen.error, StreamLimitError)
    assert "max_event_bytes" == seen.error.limit_name


@pytest.mark.parametrize("api", APIS)
def test_kinds_that_are_left_out_are_counted_up_to_a_limit(api: str) -> None:
    seen = run(api, *(data({"type": f"odd.{n}", "message": "x"}) for n in range(200)))
    assert 52 > len(seen.session.ignored)
    assert 200 == sum(seen.session.ignored.values())


@pytest.mark.parametrize(
    "content_type", ["text/event-stream, text/event-stream; charset=utf-8", "application/x-event-stream"]
)
@pytest.mark.parametrize("coding", ["none", "UTF-8"])
def test_odd_fields_of_an_answer_do_no_harm(content_type: str, coding: str) -> None:
    stop = data({"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]})
    answer = chunked(content_type, stop, b"data: [DONE]\n\n", content_encoding=coding)
    seen = feed(open_session("openai"), answer, eof=True)
    assert ([1], Completed) == (list(seen.session.ignored.values()), type(seen.events[-1]))


@pytest.mark.parametrize("value", ["[" * 50_000 + "]" * 50_000, "9" * 4301], ids=["deep", "a long integer"])
@pytest.mark.parametrize("begin", ["", "data: "], ids=["a line that is no field", "an event"])
@pytest.mark.parametrize("api", APIS)
@on_a_small_stack
def test_an_error_that_cannot_be_decoded(api: str, begin: str, value: str) -> None:
    seen = run(api, f'{begin}{{"error": {{"message": {value}}}}}\n\n'.encode())
    assert ProtocolError is type(seen.error)
    assert '{"error": ' in str(seen.error)
