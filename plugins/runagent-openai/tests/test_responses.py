"""Responses without sockets: what each event means, and how a stream ends."""

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

USAGE = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}
ABOUT = {"id": "resp_1", "model": "m-1", "created_at": 1, "status": "completed"}
OPTIONS = {"openai_api": "responses"}

Payload = tuple[str, dict[str, Any]]

CREATED: Payload = ("response.created", {"response": {**ABOUT, "status": "in_progress", "output": []}})
COMPLETED: Payload = ("response.completed", {"response": {**ABOUT, "output": [], "usage": USAGE}})


def text(delta: str, at: int = 0) -> Payload:
    return "response.output_text.delta", {"item_id": f"msg_{at}", "output_index": at, "delta": delta}


def refusal(delta: str) -> Payload:
    return "response.refusal.delta", {"item_id": "msg_0", "output_index": 0, "delta": delta}


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "id": "msg_0", "role": "assistant", "content": list(parts)}


def words(sent: str) -> dict[str, Any]:
    return {"type": "output_text", "text": sent, "annotations": []}


def item_done(item: dict[str, Any]) -> Payload:
    return "response.output_item.done", {"output_index": 0, "item": item}


def incomplete(reason: str, *output: Any) -> Payload:
    response = {**ABOUT, "status": "incomplete", "output": list(output), "usage": USAGE}
    return "response.incomplete", {"response": {**response, "incomplete_details": {"reason": reason}}}


def events(*sent: Payload) -> list[bytes]:
    texts = [
        (kind, json.dumps({"type": kind, "sequence_number": n} | rest)) for n, (kind, rest) in enumerate(sent)
    ]
    return [f"event: {kind}\ndata: {sent}\n\n".encode() for kind, sent in texts]


def run(*sent: Payload, step: int = WHOLE, **fields: Any) -> Seen:
    return feed(open_session("openai", options=OPTIONS, **fields), sse(*events(*sent)), step=step, eof=True)


def plain(body: Any) -> Seen:
    session = open_session("openai", options=OPTIONS, mode="invoke")
    return feed(session, http(200, json.dumps(body), content_type="application/json"))


CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c1",
    "name": "weather",
    "arguments": '{"city": "Oslo"}',
    "status": "completed",
}


@pytest.mark.parametrize("step", [1, 7, WHOLE])
def test_the_documented_stream(step: int) -> None:
    seen = run(
        CREATED,
        ("response.in_progress", CREATED[1]),
        ("response.output_item.added", {"item": message()}),
        ("response.content_part.added", {"part": words("")}),
        text("Once"),
        text(" upon"),
        ("response.output_text.done", {"text": "Once upon"}),
        ("response.content_part.done", {"part": words("Once upon")}),
        item_done(message(words("Once upon"))),
        ("response.output_item.added", {"item": {**CALL, "arguments": ""}}),
        ("response.function_call_arguments.delta", {"delta": '{"city": "Oslo"}'}),
        ("response.function_call_arguments.done", {"arguments": '{"city": "Oslo"}'}),
        item_done(CALL),
        COMPLETED,
        step=step,
    )
    assert [
        Started(invocation_id="resp_1"),
        Chunk("Once"),
        Chunk(" upon"),
        ToolCall("c1", "weather", '{"city": "Oslo"}', 0),
        Completed(usage=USAGE, stop_reason="completed", metadata={"finish_reason": "completed"} | ABOUT),
    ] == seen.events
    assert ({}, None) == (seen.session.ignored, seen.session.resume_point)


def test_a_call_comes_before_the_end() -> None:
    seen = feed(open_session("openai", options=OPTIONS), sse(*events(CREATED, item_done(CALL)), end=False))
    assert [ToolCall("c1", "weather", '{"city": "Oslo"}', 0)] == seen.events[1:]


def test_any_other_item_is_handed_out_whole_by_its_type() -> None:
    image: dict[str, Any] = {"type": "image_generation_call", "id": "ig_1", "result": "AA=="}
    free: dict[str, Any] = {"type": "custom_tool_call", "call_id": "c2", "name": "f", "input": "not JSON"}
    seen = run(CREATED, item_done(image), item_done(free), COMPLETED)
    assert [Custom("image_generation_call", image), Custom("custom_tool_call", free)] == seen.events[1:-1]
    assert ([], {}) == (seen.contents, seen.session.ignored)


THOUGHT: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "hm"}],
}


@pytest.mark.parametrize("kind", ["response.reasoning_text.delta", "response.reasoning_summary_text.delta"])
@pytest.mark.parametrize("step", [1, 7, WHOLE])
def test_reasoning_comes_in_pieces_and_once(kind: str, step: int) -> None:
    pieces = [(kind, {"delta": piece, "item_id": "rs_1"}) for piece in ("h", "m")]
    ends = ("response.completed", {"response": {**ABOUT, "output": [THOUGHT, message(words("x"))]}})
    for sent in ([item_done(THOUGHT), text("x"), COMPLETED], [item_done(THOUGHT), ends]):
        seen = run(CREATED, *pieces, *sent, step=step)
        thoughts = [Reasoning("h", "rs_1"), Reasoning("m", "rs_1"), Custom("reasoning", THOUGHT)]
        assert [*thoughts, Chunk("x")] == seen.events[1:-1]


def test_reasoning_comes_whole_from_a_server_that_does_not_stream_it() -> None:
    ends = ("response.completed", {"response": {**ABOUT, "output": [THOUGHT, message(words("x"))]}})
    for sent in ([item_done(THOUGHT), text("x"), COMPLETED], [ends]):
        expected = [Reasoning("hm", "rs_1"), Custom("reasoning", THOUGHT), Chunk("x")]
        assert expected == run(CREATED, *sent).events[1:-1]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([item_done(message(words("x"), words("y"))), COMPLETED], id="only whole items"),
        pytest.param(
            [("response.completed", {"response": {**ABOUT, "output": [message(words("x"), words("y"))]}})],
            id="only the end",
        ),
        pytest.param(
            [
                text("x"),
                item_done(message(words("x"))),
                text("y", 1),
                item_done(message(words("y"))),
                COMPLETED,
            ],
            id="two messages",
        ),
        pytest.param(
            [text("x"), item_done({**message(words("x")), "id": "other"}), text("y"), COMPLETED], id="ids"
        ),
        pytest.param(
            [text("x"), text("y"), ("response.completed", {"response": {"output": [message(words("xy"))]}})],
            id="sent again at the end",
        ),
    ],
)
def test_text_comes_once_in_whatever_events(sent: list[Payload]) -> None:
    seen = run(CREATED, *sent)
    assert ("xy", None) == ("".join(seen.contents), seen.error)


def test_what_is_left_out_is_counted() -> None:
    seen = run(CREATED, ("new", {}), text("x"), COMPLETED)
    assert {"event 'new'": 1} == seen.session.ignored


def test_other_events_of_a_response_are_handed_out_by_their_type() -> None:
    name = "response.web_search_call.searching"
    seen = run(CREATED, (name, {"item_id": "ws_1"}), text("x"), COMPLETED)
    value: Any = {"type": name, "sequence_number": 1, "item_id": "ws_1"}
    assert ([Custom(name, value)], {}) == (seen.events[1:2], seen.session.ignored)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([refusal("I "), refusal("cannot."), COMPLETED], id="in pieces"),
        pytest.param(
            [item_done(message({"type": "refusal", "refusal": "I cannot."})), COMPLETED], id="whole"
        ),
    ],
)
def test_a_refusal_is_an_error(sent: list[Payload]) -> None:
    seen = run(CREATED, *sent)
    assert ([], StreamError, "refusal") == (seen.contents, type(seen.error), seen.error.code)
    assert {"refusal": "I cannot.", "usage": USAGE} == seen.error.details


def test_a_refusal_is_bounded() -> None:
    seen = run(*[refusal("x" * 100) for _ in range(20)], limits={"max_event_bytes": 1000})
    assert isinstance(seen.error, StreamLimitError)


# Ends


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_a_response_that_was_cut_is_marked(reason: str) -> None:
    last = run(CREATED, text("x"), incomplete(reason)).events[-1]
    assert isinstance(last, Completed)
    assert ({"finish_reason": reason} | ABOUT | {"status": "incomplete"}, USAGE) == (
        last.metadata,
        last.usage,
    )


def test_a_response_cut_inside_a_call_is_an_error() -> None:
    cut = {**CALL, "arguments": '{"ci', "status": "incomplete"}
    seen = run(CREATED, text("x"), item_done(cut), incomplete("max_output_tokens"))
    assert (["x"], StreamError, "max_output_tokens") == (seen.contents, type(seen.error), seen.error.code)
    assert cut == seen.error.details["tool_call"]


def test_any_other_end_is_a_cut() -> None:
    assert isinstance(run(CREATED, text("x"), item_done(message(words("x")))).error, StreamTruncatedError)


def test_the_other_endpoints_end_marker_proves_nothing() -> None:
    done = b"data: [DONE]\n\n"
    session = open_session("openai", options=OPTIONS)
    assert isinstance(
        feed(session, sse(*events(CREATED, text("x")), done), eof=True).error, StreamTruncatedError
    )
    session = open_session("openai", options=OPTIONS)
    whole = feed(session, sse(*events(CREATED, text("x"), COMPLETED), done), eof=True)
    session.receive_data(whole.rest)
    assert (None, True) == (whole.error, session.reusable)


@pytest.mark.parametrize(
    "sent",
    [
        ("error", {"code": "busy", "message": "full", "param": None}),
        ("error", {"error": {"type": "t", "code": "busy", "message": "full"}}),
        ("response.failed", {"response": {**ABOUT, "error": {"code": "busy", "message": "full"}}}),
    ],
)
def test_an_error_in_the_stream(sent: Payload) -> None:
    seen = run(CREATED, text("x"), sent)
    assert (["x"], StreamError, "busy", "full") == (
        seen.contents,
        type(seen.error),
        seen.error.code,
        seen.error.message,
    )


def test_a_failure_may_give_no_reason() -> None:
    assert "without a message" in run(CREATED, ("response.failed", {})).error.message


@pytest.mark.parametrize(
    "data", [b"{", b'{"type": 5}', b'{"type": "response.created", "response": []}', b"[]"]
)
def test_what_is_no_event_is_an_error_and_loses_nothing(data: bytes) -> None:
    session = open_session("openai", options=OPTIONS)
    seen = feed(session, sse(*events(text("x")), b"data: " + data + b"\n\n", *events(text("late"))), eof=True)
    assert (["x"], ProtocolError) == (seen.contents, type(seen.error))


# Plain runs


def response(*output: Any, **fields: Any) -> dict[str, Any]:
    return {**ABOUT, "error": None, "output": list(output), "usage": USAGE} | fields


def test_a_plain_run_gives_the_text() -> None:
    answer = response(
        {"type": "reasoning"}, message(words("Once"), words(" upon")), message(words(" a time"))
    )
    about = {"finish_reason": "completed"} | ABOUT
    assert [RunResult("Once upon a time", usage=USAGE, metadata=about)] == plain(answer).events


def test_a_plain_run_gives_the_items_where_there_are_others() -> None:
    (event,) = plain(response(message(words("x")), CALL)).events
    assert isinstance(event, RunResult)
    assert [message(words("x")), CALL] == event.result


def test_a_plain_run_that_was_cut_is_a_truncation() -> None:
    details = {"reason": "max_output_tokens"}
    (event,) = plain(response(message(words("x")), status="incomplete", incomplete_details=details)).events
    assert isinstance(event, RunResult)
    assert "max_output_tokens" == (event.metadata or {})["finish_reason"]


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (response(message({"type": "refusal", "refusal": "no"})), AgentError, "refusal"),
        (
            response(
                {**CALL, "arguments": "{"},
                status="incomplete",
                incomplete_details={"reason": "content_filter"},
            ),
            AgentError,
            "content_filter",
        ),
        (response(status="failed", error={"code": "busy", "message": "full"}), AgentServerError, "busy"),
        (response(status="queued"), AgentServerError, "queued"),
        ({"id": "resp_1"}, ProtocolError, None),
        ({"output": [5]}, ProtocolError, None),
    ],
)
def test_a_plain_run_that_gives_no_result(body: Any, kind: type, code: str | None) -> None:
    seen = plain(body)
    assert ([], kind, code) == (seen.events, type(seen.error), seen.error.code)
