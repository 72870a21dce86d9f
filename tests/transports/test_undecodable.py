"""JSON that is nested too deeply, or holds too long an integer, to be decoded is never taken for noise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent import AgentNotFoundError, ProtocolError
from tests.support.peer import http, websocket_frame
from tests.support.sessions import Seen, feed, handshake_answer, open_session
from tests.support.small_stack import on_a_small_stack

DEPTH = 100_000  # from Python 3.14 on, some 60 000 levels are decoded; before, a thousand
VALUES = {"deep": "[" * DEPTH + "]" * DEPTH, "a long integer": "9" * 4301}

pytestmark = pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))


@pytest.fixture(params=[7, 1 << 30], ids=["by sevens", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


def check(seen: Seen, found: str) -> None:
    assert ProtocolError is type(seen.error)
    assert found in seen.error.message
    assert "not JSON" in seen.error.message
    assert "Completed" not in {type(event).__name__ for event in seen.events}


def answer(content_type: str, body: str) -> bytes:
    return http(200, body, content_type=content_type)


@pytest.mark.parametrize(
    "event",
    ["event: chunk\n", "event: message\n", "", "event: done\n"],
    ids=["chunk", "message", "none", "done"],
)
@on_a_small_stack
def test_the_data_of_an_event(event: str, value: str, step: int) -> None:
    stream = f'event: start\ndata: {{}}\n\n{event}data: {{"content": {value}}}\n\nevent: done\ndata: {{}}\n\n'
    check(feed(open_session("sse"), answer("text/event-stream", stream), step=step, eof=True), '{"content": ')


@on_a_small_stack
def test_a_line_of_an_event_stream_that_is_no_field(value: str) -> None:
    stream = f'event: start\ndata: {{}}\n\n{{"error": {value}}}\n\n'
    pieces = [answer("text/event-stream", stream), b"event: done\ndata: {}\n\n"]
    check(feed(open_session("sse"), pieces), '{"error": ')


@on_a_small_stack
def test_a_line_of_ndjson(value: str, step: int) -> None:
    stream = f'{{"type": "start"}}\n{{"type": "chunk", "content": {value}}}\n{{"type": "done"}}\n'
    seen = feed(open_session("chunked"), answer("application/x-ndjson", stream), step=step, eof=True)
    check(seen, '{"type": "chunk"')


def wrapped(payload: str) -> str:
    return f'{{"type": "array", "payload": {payload}}}'


@pytest.mark.parametrize("burst", [False, True], ids=["alone", "among others"])
@pytest.mark.parametrize("form", ["plain", "payload", "text of the payload"])
@on_a_small_stack
def test_a_websocket_message(form: str, burst: bool, value: str, step: int) -> None:
    payload = value if form == "payload" else json.dumps(value)
    content = value if form == "plain" else json.dumps(wrapped(payload))
    other = json.dumps({"type": "data", "content": '{"type": "string", "payload": "\\"x\\""}'})
    between = [other] * burst + [f'{{"type": "data", "content": {content}}}'] + [other] * burst
    start, end = ({"type": "status", "status": f"stream_{word}"} for word in ("started", "completed"))
    frames = [websocket_frame(text.encode()) for text in (json.dumps(start), *between, json.dumps(end))]
    session = open_session("websocket")
    check(feed(session, lambda request: handshake_answer(request, *frames), step=step, eof=True), "")


@pytest.mark.parametrize("form", ["result", "payload", "text of the payload"])
@on_a_small_stack
def test_a_plain_run(form: str, value: str, step: int) -> None:
    payload = value if form == "payload" else json.dumps(value)
    data: dict[str, Any] = {"success": True, "data": wrapped(payload)}
    body = f'{{"result": {value}}}' if form == "result" else json.dumps(data)
    session = open_session("websocket", mode="invoke")
    check(feed(session, answer("application/json", body), step=step), "")


@on_a_small_stack
def test_a_refusal_proves_nothing_about_the_transport(value: str) -> None:
    body = f'{{"error": {{"code": "AGENT_NOT_FOUND", "details": {value}}}}}'
    seen = feed(open_session("sse"), http(404, body, content_type="application/json"))
    assert (AgentNotFoundError, False) == (type(seen.error), seen.session.unsupported)
