"""What is asked of a server, and how a refusal of it reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent import (
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    ConfigurationError,
    RateLimitError,
    ValidationError,
)
from tests.support.peer import http
from tests.support.sessions import Seen, feed, open_session


def ask(input: dict[str, Any], **fields: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The request's target, header fields and body."""
    sent = open_session("openai", input=input, **fields).data_to_send()
    head, _, body = sent.partition(b"\r\n\r\n")
    line, *pairs = head.decode().split("\r\n")
    headers = dict(pair.split(": ", 1) for pair in pairs)
    return line.split(" ")[1], headers, json.loads(body)


def refused(status: int, body: Any = b"", **headers: str) -> Seen:
    return feed(open_session("openai"), http(status, body, **headers))


USER = [{"role": "user", "content": "hi"}]
PARTS = [{"type": "text", "text": "hi"}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
FILE = {"type": "input_file", "file_id": "f"}
INPUT_TEXT = {"type": "input_text", "text": "hi"}
INPUT_IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
SYSTEM = {"role": "system", "content": "Be brief."}
FUNCTION = {"name": "weather", "arguments": "{}"}
CALLING = {
    "role": "assistant",
    "content": "Let me see.",
    "tool_calls": [{"id": "c1", "type": "function", "function": FUNCTION}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "sunny"}
USAGE = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"query": "hi"}, {"messages": USER}),
        ({"query": PARTS}, {"messages": [{"role": "user", "content": PARTS}]}),
        ({"messages": USER}, {"messages": USER}),
        ({"query": "hi", "parameters": {"seed": 1}, "tools": []}, {"messages": USER, "seed": 1, "tools": []}),
        ({"query": "hi", "seed": 2, "parameters": {"seed": 1}}, {"messages": USER, "seed": 2}),
        ({"query": "hi", "model": "other"}, {"messages": USER, "model": "other"}),
        ({"query": "hi", "n": 1, "stream": False}, {"messages": USER, "n": 1}),
        (
            {"query": "hi", "stream_options": {"x": 1}},
            {"messages": USER, "stream_options": {"include_usage": True, "x": 1}},
        ),
        (
            {"query": "hi", "stream_options": {"include_usage": False}},
            {"messages": USER, "stream_options": {"include_usage": False}},
        ),
    ],
)
def test_the_body_of_a_chat_completion(given: dict[str, Any], asked: dict[str, Any]) -> None:
    _, _, body = ask(given, agent_id="m")
    assert {"model": "m", "stream": True, **USAGE, **asked} == body


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"query": "hi"}, {"input": "hi"}),
        ({"query": PARTS}, {"input": [{"role": "user", "content": PARTS}]}),
        ({"input": USER, "instructions": "be brief"}, {"input": USER, "instructions": "be brief"}),
        ({"prompt": {"id": "p"}}, {"prompt": {"id": "p"}}),
        ({"messages": USER}, {"input": USER}),
        (
            {"messages": [{"role": "user", "content": [*PARTS, IMAGE, FILE]}]},
            {
                "input": [
                    {
                        "role": "user",
                        "content": [INPUT_TEXT, INPUT_IMAGE, FILE],
                    }
                ]
            },
        ),
        (
            {"messages": [SYSTEM, *USER, CALLING, RESULT, {"role": "assistant", "content": PARTS}]},
            {
                "input": [
                    SYSTEM,
                    *USER,
                    {"role": "assistant", "content": "Let me see."},
                    {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
                    {"role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
                ]
            },
        ),
        (
            {"messages": [{**CALLING, "content": None}]},
            {"input": [{"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}]},
        ),
    ],
)
def test_the_body_of_a_response(given: dict[str, Any], asked: dict[str, Any]) -> None:
    _, _, body = ask(given, agent_id="m", options={"openai_api": "responses"})
    assert {"model": "m", "stream": True, **asked} == body


def test_tools_and_calls_in_the_form_that_all_protocols_take() -> None:
    tool = {"name": "weather", "parameters": {"type": "object"}}
    called = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "name": "weather", "index": 0}],
    }
    other = {"type": "custom", "custom": {"name": "f"}}
    _, _, body = ask({"messages": [*USER, called, *USER], "tools": [tool, other]})
    assert [{"type": "function", "function": tool}, other] == body["tools"]
    function = {"name": "weather", "arguments": ""}
    assert [
        *USER,
        {**called, "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        *USER,
    ] == (body["messages"])
    nested = {"type": "function", "function": tool}
    _, _, body = ask({"input": "hi", "tools": [tool, nested, other]}, options={"openai_api": "responses"})
    assert [{"type": "function", **tool}, {"type": "function", **tool}, other] == body["tools"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "give query or messages"),
        ({"query": "a", "messages": USER}, "give one of them"),
        ({"query": 5}, "neither text nor a list"),
        ({"query": "a", "n": 2}, "one answer"),
        ({"query": "a", "parameters": [1]}, "parameters is not an object"),
        ({"query": "a", "session_id": "s1"}, "session_id: OpenAI's protocol cannot carry it"),
        ({"query": "a", "resume": [{"id": "i1"}]}, "resume: OpenAI's protocol cannot carry it"),
    ],
)
def test_an_input_that_cannot_be_asked(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ask(given)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"query": "a", "messages": USER}, "give one of them"),
        ({"input": "a", "messages": USER}, "give one of them"),
        ({"messages": [{"content": "a"}]}, "messages"),
        ({"messages": "a"}, "messages"),
    ],
)
def test_messages_that_responses_cannot_be_asked_with(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ask(given, options={"openai_api": "responses"})


@pytest.mark.parametrize(
    ("base_url", "options", "target"),
    [
        ("http://h", {}, "/v1/chat/completions"),
        ("http://h/v1/", {}, "/v1/chat/completions"),
        ("http://h/openai/v1", {"openai_api": "responses"}, "/openai/v1/responses"),
        ("http://h", {"stream_path": "/v1beta/openai/chat/completions"}, "/v1beta/openai/chat/completions"),
        ("http://h", {"stream_path": "/d/{agent_id}/chat?api-version=1"}, "/d/a/chat?api-version=1"),
    ],
)
def test_where_is_asked(base_url: str, options: dict[str, Any], target: str) -> None:
    assert target == ask({"query": "hi"}, base_url=base_url, options=options)[0]


def test_the_key_goes_into_one_field_only() -> None:
    _, headers, body = ask({"query": "hi"}, api_key="secret")
    assert "Bearer secret" == headers.pop("Authorization")
    assert "secret" not in f"{headers}{body}"


def test_a_plain_run_asks_for_json_and_no_stream() -> None:
    _, headers, body = ask({"query": "hi"}, mode="invoke")
    assert ("application/json", False, False) == (headers["Accept"], body["stream"], "stream_options" in body)


def test_the_usage_need_not_be_asked_for() -> None:
    assert "stream_options" not in ask({"query": "hi"}, options={"openai_include_usage": False})[2]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"openai_api": "assistants"}, '"chat" or "responses"'),
        ({"openai_include_usage": 1}, "true or false"),
        ({"openai_apis": "chat"}, "did you mean 'openai_api'"),
    ],
)
def test_options_that_are_not_usable(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ask({"query": "hi"}, options=options)


# Refusals


@pytest.mark.parametrize(
    ("status", "error", "kind", "code", "details"),
    [
        (
            401,
            {"message": "no", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"},
            AuthenticationError,
            "invalid_api_key",
            {"type": "invalid_request_error"},
        ),
        (
            404,
            {"message": "no", "type": "invalid_request_error", "code": "model_not_found"},
            AgentNotFoundError,
            "model_not_found",
            {"type": "invalid_request_error"},
        ),
        (
            400,
            {"message": "no", "type": "bad", "param": "n", "code": None},
            ValidationError,
            "bad",
            {"type": "bad", "param": "n"},
        ),
        (503, {"message": "no", "code": 503}, AgentServerError, "503", None),
    ],
)
def test_a_refusal(status: int, error: Any, kind: type, code: str, details: Any) -> None:
    seen = refused(status, {"error": error}, x_request_id="req_1")
    assert (kind, code, details) == (type(seen.error), seen.error.code, seen.error.details)
    assert ("req_1", False) == (seen.error.request_id, seen.session.unsupported)
    assert seen.error.message.startswith("no")


def test_a_refusal_may_come_as_an_event() -> None:
    body = b'data: {"error": {"message": "it broke", "type": "t", "code": "500"}}\n\ndata: [DONE]\n\n'
    seen = refused(500, body, content_type="text/event-stream")
    assert (AgentServerError, "it broke", "500") == (type(seen.error), seen.error.message, seen.error.code)


@pytest.mark.parametrize("body", [b"", b"<html>", b"data: {", b"[1]", b'{"detail": "odd"}', b"\xff"])
def test_a_refusal_may_come_as_anything(body: bytes) -> None:
    assert isinstance(refused(500, body).error, AgentServerError)


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        (
            {
                "retry_after": "7",
                "x_ratelimit_limit_requests": "60",
                "x_ratelimit_remaining_requests": "0",
                "x_ratelimit_reset_requests": "1m30.5s",
            },
            (7.0, 60, 0, 90.5),
        ),
        ({"retry_after": "7", "retry_after_ms": "1500"}, (1.5, None, None, None)),
        ({"x_ratelimit_reset_requests": "120ms"}, (None, None, None, 0.12)),
        ({"x_ratelimit_reset_requests": "6h2m"}, (None, None, None, 21720.0)),
        (
            {
                "x_ratelimit_limit_requests": "many",
                "x_ratelimit_reset_requests": "soon",
                "retry_after_ms": "-1",
            },
            (None, None, None, None),
        ),
    ],
)
def test_rate_limits(headers: dict[str, str], fields: Any) -> None:
    error = refused(429, {"error": {"message": "slow down"}}, **headers).error
    assert isinstance(error, RateLimitError)
    assert fields == (error.retry_after, error.limit, error.remaining, error.reset)


def test_a_missing_endpoint_is_distinguished_from_an_unknown_model() -> None:
    assert (True, False) == (
        refused(404, b"<html>").session.unsupported,
        refused(404, {"error": {"message": "no such model"}}).session.unsupported,
    )
