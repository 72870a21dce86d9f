"""Refusals, which all transports share, whole and byte by byte."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runagent import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    NetworkError,
    PermissionDeniedError,
    RateLimitError,
    StreamTruncatedError,
    ValidationError,
)
from runagent.transports._base import Wants
from runagent.transports._refusals import error_from_answer, proves_unsupported
from tests.support.peer import chunked, http
from tests.support.sessions import WAYS, feed, open_session, refused


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "MISSING_REQUIRED_FIELD", ValidationError),
        (422, "INVALID_FIELD_TYPE", ValidationError),
        (401, "INVALID_API_KEY", AuthenticationError),
        (401, "EXPIRED_API_KEY", AuthenticationError),
        (403, "FORBIDDEN", PermissionDeniedError),
        (404, "AGENT_NOT_FOUND", AgentNotFoundError),
        (429, "RATE_LIMITED", RateLimitError),
        (429, "RATE_LIMIT_EXCEEDED", RateLimitError),
        (500, "INTERNAL_ERROR", AgentServerError),
        (503, "CAPACITY_ERROR", AgentServerError),
        (599, "ODD", AgentServerError),
        (413, "TOO_LARGE", AgentError),
        (418, "TEAPOT", AgentError),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_the_status_decides_the_class(
    way: tuple[str, str], status: int, code: str, kind: type, step: int
) -> None:
    body = {
        "code": code,
        "message": "because",
        "details": {"field": "x"},
        "request_id": "r",
        "status": status,
    }
    for envelope in ({"error": body}, {"status": "error", "error": body}):
        error = refused(way, http(status, envelope), step).error
        assert (kind, status, code, "r", {"field": "x"}) == (
            type(error),
            error.status,
            error.code,
            error.request_id,
            error.details,
        )
        assert error.message.startswith("because")


@pytest.mark.parametrize(
    ("body", "message", "details"),
    [
        ({"detail": "Not authenticated"}, "Not authenticated", None),
        (
            {"detail": [{"type": "missing", "loc": ["body", "query"], "msg": "Field required", "input": {}}]},
            "body.query: Field required",
            [{"type": "missing", "loc": ["body", "query"], "msg": "Field required", "input": {}}],
        ),
        ({"detail": [{"loc": 5}, "x"]}, ": not valid", [{"loc": 5}, "x"]),
        ({"detail": {"a": 1}}, "the agent did not accept the request", {"a": 1}),
        ({"error": "just text"}, "just text", None),
        ({"message": "on top"}, "on top", None),
        ({"error": {"message": 5, "code": []}}, "the agent answered with HTTP status 422", None),
        ({"error": {"code": "ONLY_CODE"}}, "the agent answered with HTTP status 422", None),
    ],
)
def test_bodies_of_other_shapes(body: Any, message: str, details: Any, step: int) -> None:
    error = refused(("sse", "stream"), http(422, body), step).error
    assert (ValidationError, details) == (type(error), error.details)
    assert error.message.startswith(message)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html><h1>Bad Gateway</h1></html>", b"[1]", b"5", b"\xff\x00", b"{" * 3000, b"x" * 200_000],
)
def test_any_other_body_leaves_the_status(way: tuple[str, str], body: bytes, step: int) -> None:
    error = refused(way, http(502, body, content_type="text/html"), max(step, len(body) // 100)).error
    assert (AgentServerError, 502) == (type(error), error.status)
    assert "502" in str(error)
    assert 500 > len(str(error))
    assert not body or "its body begins" in str(error)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "api_key"),
        (403, "API key"),
        (404, "check the agent id and base_url"),
        (413, "larger"),
        (405, "check base_url"),
        (501, "check base_url"),
    ],
)
def test_a_refusal_has_advice(status: int, advice: str, step: int) -> None:
    assert advice in str(refused(("sse", "stream"), http(status, {"error": {"message": "no"}}), step).error)
    assert advice in str(refused(("sse", "stream"), http(status), step).error)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("field", ["x_request_id", "request_id"])
def test_the_request_id_of_the_header_is_kept(way: tuple[str, str], field: str) -> None:
    assert "r" == refused(way, http(500, **{field: "r"})).error.request_id


FAULT = {"type": "missing", "loc": ["body", "threadId"], "msg": "Field required", "input": {}}
FOREIGN: dict[str, tuple[int, Any, tuple[Any, ...]]] = {
    "Anthropic": (
        429,
        {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}, "request_id": "r1"},
        ("slow down", "rate_limit_error", None, "r1"),
    ),
    "Ollama": (404, {"error": "model 'x' not found"}, ("model 'x' not found", None, None, None)),
    "JSON-RPC": (
        400,
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": "no task", "data": [{"task": "t"}]}},
        ("no task", "-32001", [{"task": "t"}], None),
    ),
    "Google": (
        404,
        {"error": {"code": 404, "status": "NOT_FOUND", "message": "no task", "details": [{"@type": "x"}]}},
        ("no task", "NOT_FOUND", [{"@type": "x"}], None),
    ),
    "Google in a list": (
        400,
        [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no contents"}}],
        ("no contents", "INVALID_ARGUMENT", None, None),
    ),
    "a number": (402, {"error": {"code": 402, "message": "no credits"}}, ("no credits", "402", None, None)),
    "OpenAI": (
        400,
        {"error": {"message": "too long", "type": "invalid_request_error", "param": None, "code": None}},
        ("too long", "invalid_request_error", None, None),
    ),
    "pydantic": (422, [FAULT], ("body.threadId: Field required", None, [FAULT], None)),
    "FastAPI": (404, {"detail": "no such thread"}, ("no such thread", None, None, None)),
    "RFC 9457": (409, {"type": "about:blank", "detail": "busy"}, ("busy", None, None, None)),
    "odd": (400, {"error": {"code": True, "type": "error", "message": "odd"}}, ("odd", None, None, None)),
}


@pytest.mark.parametrize("protocol", FOREIGN)
def test_the_errors_of_other_protocols_keep_their_fields(protocol: str, step: int) -> None:
    status, body, expected = FOREIGN[protocol]
    seen = refused(("sse", "stream"), http(status, json.dumps(body)), step)
    error = seen.error
    assert expected == (error.message, error.code, error.details, error.request_id)
    assert (status, False) == (error.status, seen.session.unsupported)


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, gzip, gzip, gzip"])
@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_whose_body_cannot_be_decoded_is_that_refusal(
    way: tuple[str, str], coding: str, step: int
) -> None:
    error = refused(way, http(401, "<html>not coded at all</html>", content_encoding=coding), step).error
    assert (AuthenticationError, 401) == (type(error), error.status)


def test_a_coded_refusal_is_decoded(step: int) -> None:
    body = gzip.compress(json.dumps({"error": {"code": "C", "message": "m"}}).encode())
    assert "C" == refused(("sse", "stream"), http(401, body, content_encoding="gzip"), step).error.code


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "answer",
    [
        http(413, "too large")[:-3],
        chunked("x", b"too")[:-5].replace(b"200", b"413"),
        b"HTTP/1.1 413 x\r\n\r\ntoo",
    ],
)
def test_a_refusal_whose_body_is_cut_short_is_that_refusal(
    way: tuple[str, str], answer: bytes, step: int
) -> None:
    error = refused(way, answer, step).error
    assert (AgentError, 413) == (type(error), error.status)


@pytest.mark.parametrize("way", WAYS)
def test_an_endless_refusal_is_cut_off(way: tuple[str, str]) -> None:
    session = open_session(way[0], mode=way[1], limits={"max_error_bytes": 1000})
    seen = feed(session, b"HTTP/1.1 500 x\r\n\r\n" + b"x" * 1000, eof=False)
    assert (AgentServerError, Wants.DONE) == (type(seen.error), session.wants)


@pytest.mark.parametrize("way", WAYS)
def test_an_end_without_an_answer(way: tuple[str, str]) -> None:
    error = refused(way, b"").error
    assert (NetworkError, "NO_ANSWER") == (type(error), error.code)
    assert "base_url" in str(error)
    assert isinstance(refused(way, b"HTTP/1.1 20").error, StreamTruncatedError)


@pytest.mark.parametrize("status", [405, 406, 415, 426, 501])
@pytest.mark.parametrize("way", WAYS)
def test_proof_that_a_transport_is_not_spoken(way: tuple[str, str], status: int, step: int) -> None:
    assert refused(way, http(status, {"error": {"message": "no"}}), step).session.unsupported


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("answer", "proof"),
    [
        (http(404), True),
        (http(404, "<html>"), True),
        (http(404, {"detail": "Not Found"}), True),
        (http(404, {"detail": "Not found."}), True),
        (http(404, {"status": 404, "error": "Not Found", "path": "/x"}), True),
        (http(404, {"message": "no Route matched with those values"}), True),
        (http(404, {"detail": [], "error": None}), True),
        (http(404, {"detail": {"code": "NO_THREAD"}}), False),
        (http(404, {"error": {"code": "AGENT_NOT_FOUND", "message": "no"}}), False),
        (http(401), False),
        (http(429), False),
        (http(500), False),
        (http(503), False),
        (http(422), False),
    ],
)
def test_only_a_404_without_an_agents_error_is_proof(
    way: tuple[str, str], answer: bytes, proof: bool
) -> None:
    assert proof == refused(way, answer).session.unsupported


NAMES = (
    "error",
    "message",
    "detail",
    "details",
    "data",
    "code",
    "status",
    "type",
    "msg",
    "loc",
    "request_id",
    "x",
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([400, 401, 404, 409, 422, 429, 500]))
def test_no_body_is_more_than_a_refusal(body: Any, status: int) -> None:
    error = error_from_answer(status, {}, json.dumps(body).encode(), 0.0)
    assert status == error.status
    assert error.message
    assert all(isinstance(field, str | None) for field in (error.code, error.request_id))
    assert proves_unsupported(status, json.dumps(body).encode()) in (False, status == 404)
