"""Plain runs in both protocols: docs/wire.md sections 1 and 2, whole and byte by byte."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from runagent import (
    AgentNotFoundError,
    AgentServerError,
    ProtocolError,
    RateLimitError,
    StreamLimitError,
    StreamTruncatedError,
    ValidationError,
)
from tests.support.peer import chunked, http
from tests.support.sessions import Seen, feed, open_session


def invoke(answer: bytes, step: int = 1 << 30, transport: str = "sse", **fields: Any) -> Seen:
    return feed(open_session(transport, mode="invoke", **fields), answer, step=step, eof=True)


def test_both_requests() -> None:
    documented, published = (
        invoke(b"", agent_id="ü/x"),
        invoke(b"", transport="websocket", timeout_seconds=2.6),
    )
    assert documented.request.startswith(b"POST /v1/agents/%C3%BC%2Fx/invoke HTTP/1.1\r\n")
    assert {"query": "x"} == json.loads(documented.request.partition(b"\r\n\r\n")[2])
    assert published.request.startswith(b"POST /api/v1/agents/a/run HTTP/1.1\r\n")
    body = json.loads(published.request.partition(b"\r\n\r\n")[2])
    assert ("generic", {"query": "x"}, 3) == (
        body["entrypoint_tag"],
        body["input_kwargs"],
        body["timeout_seconds"],
    )


@pytest.mark.parametrize(
    ("body", "result", "usage", "seconds", "version", "request_id"),
    [
        (
            {
                "result": {"n": 1},
                "usage": {"total_tokens": 3},
                "metadata": {"execution_time": 0.5, "agent_version": "2", "request_id": "r"},
            },
            {"n": 1},
            {"total_tokens": 3},
            0.5,
            "2",
            "r",
        ),
        (
            {
                "status": "success",
                "data": {"result": "x", "metadata": {"execution_time": 1, "usage": {"total_tokens": 1}}},
            },
            "x",
            {"total_tokens": 1},
            1,
            None,
            None,
        ),
        ({"result": None}, None, None, None, None, None),
        (
            {
                "result": 1,
                "usage": [],
                "metadata": {"execution_time": "1", "agent_version": 2, "request_id": []},
            },
            1,
            None,
            None,
            None,
            None,
        ),
        ({"result": 1, "metadata": None, "error": None}, 1, None, None, None, None),
    ],
)
def test_documented_results(
    body: dict[str, Any], result: Any, usage: Any, seconds: Any, version: Any, request_id: Any, step: int
) -> None:
    (found,) = invoke(http(200, body), step).events
    assert (result, usage, seconds, version, request_id) == (
        found.result,  # type: ignore[union-attr]
        found.usage,  # type: ignore[union-attr]
        found.execution_time,  # type: ignore[union-attr]
        found.agent_version,  # type: ignore[union-attr]
        found.request_id,  # type: ignore[union-attr]
    )


@pytest.mark.parametrize(
    ("data", "result"),
    [
        ('{"type": "object", "payload": "{\\"a\\": 1}"}', {"a": 1}),
        ("plain", "plain"),
        ({"a": 1}, {"a": 1}),
        (None, None),
    ],
)
def test_published_results(data: Any, result: Any, step: int) -> None:
    body = {"success": True, "data": data, "message": "ok", "error": None, "request_id": "r"}
    (found,) = invoke(http(200, body), step, "websocket").events
    assert (result, "r") == (found.result, found.request_id)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            {"code": "INTERNAL_ERROR", "message": "Agent execution failed: x"},
            AgentServerError,
            "Agent execution failed: x",
        ),
        ({"code": "VALIDATION_ERROR", "message": "bad"}, ValidationError, "bad"),
        ({"code": "NOT_FOUND", "message": "no tag"}, AgentNotFoundError, "no tag"),
        ({"code": "RATE_LIMITED", "message": "slow", "retry_after": 3}, RateLimitError, "slow"),
        ({}, AgentServerError, "the agent reported an error without a message"),
        (None, AgentServerError, "the agent reported an error without a message"),
        ("text", AgentServerError, "text"),
    ],
)
def test_a_failure_in_an_answer_of_status_200(error: Any, kind: type, text: str, step: int) -> None:
    seen = invoke(http(200, {"success": False, "data": None, "error": error}), step, "websocket")
    assert ([], kind, text) == (seen.events, type(seen.error), seen.error.message)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (http(200, "<html>", content_type="text/html"), ProtocolError, "application/json"),
        (http(200, "{oops", content_type="application/json"), ProtocolError, "oops"),
        (http(200, "", content_type="application/json"), ProtocolError, "JSON"),
        (http(200, "[1]", content_type="application/json"), ProtocolError, "[1]"),
        (http(200, {"answer": 1}), ProtocolError, "no result"),
        (
            http(200, {"success": True, "data": '{"type": "object", "payload": "oops"}'}),
            ProtocolError,
            "oops",
        ),
        (http(204), ProtocolError, "204"),
        (http(200, {"result": 1})[:-1], StreamTruncatedError, "middle"),
        (chunked("application/json", b'{"result": 1}', end=False), StreamTruncatedError, "middle"),
        (
            chunked(
                "application/json",
                gzip.compress(b'{"result": 1}', mtime=0)[:-9],  # the time would be part of the test's name
                content_encoding="gzip",
            ),
            StreamTruncatedError,
            "gzip",
        ),
    ],
)
def test_invalid_answers(answer: bytes, kind: type, message: str, step: int) -> None:
    seen = invoke(answer, step)
    assert ([], kind) == (seen.events, type(seen.error))
    assert message in str(seen.error)


def test_an_error_that_is_only_text(step: int) -> None:
    error = invoke(http(200, {"error": "boom"}), step).error
    assert (AgentServerError, "boom") == (type(error), error.message)


def test_any_kind_of_json_and_any_framing(step: int) -> None:
    for answer in (
        chunked("application/problem+json; charset=utf-8", b'{"res', b'ult": 1}'),
        b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"result": 1}',
        chunked("application/json", gzip.compress(b'{"result": 1}'), content_encoding="gzip"),
    ):
        assert 1 == invoke(answer, step).events[0].result  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [100, 101])
def test_a_result_has_a_limit(size: int, step: int) -> None:
    body = {"result": "x" * (size - len(json.dumps({"result": ""})))}
    seen = invoke(http(200, body), step, limits={"max_result_bytes": 100})
    assert (None if size == 100 else StreamLimitError) == (seen.error and type(seen.error))
