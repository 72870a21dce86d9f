"""What is asked of the service, and how its refusals and plain answers read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runagent_anthropic.requests import MAX_TOKENS

from runagent import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    ConfigurationError,
    ProtocolError,
    RateLimitError,
    RunResult,
    Tokens,
    ValidationError,
)
from tests.support.peer import http
from tests.support.sessions import Seen, feed, open_session


def ask(input: dict[str, Any], **fields: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The request's target, header fields by lower-case name, and body."""
    sent = open_session("anthropic", input=input, **fields).data_to_send()
    head, _, body = sent.partition(b"\r\n\r\n")
    line, *pairs = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (pair.split(": ", 1) for pair in pairs)}
    return line.split(" ")[1], headers, json.loads(body)


def body_of(**given: Any) -> dict[str, Any]:
    return ask(given)[2]


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


def test_a_query() -> None:
    body = ask({"query": "hi", "parameters": {"temperature": 0}, "system": "Be brief."}, agent_id="m")[2]
    assert {
        "model": "m",
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0,
        "system": "Be brief.",
        "stream": True,
    } == body


def test_a_conversation_with_tools() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "s"}
    body = body_of(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {"role": "assistant", "content": [signed], "tool_calls": [CALL, {"id": "c2", "name": "time"}]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {
                "role": "tool",
                "tool_call_id": "c2",
                "content": [{"type": "text", "text": "noon"}],
                "is_error": True,
            },
            {"role": "assistant", "content": "It rains."},
            {"role": "user", "content": "Thanks.", "cache_control": {"type": "ephemeral"}},
        ],
        tools=[{"name": "weather", "description": "d", "parameters": SCHEMA}],
    )
    assert [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}] == body["system"]
    assert [
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {
            "role": "assistant",
            "content": [
                signed,
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "c2", "name": "time", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                {
                    "type": "tool_result",
                    "tool_use_id": "c2",
                    "content": [{"type": "text", "text": "noon"}],
                    "is_error": True,
                },
            ],
        },
        {"role": "assistant", "content": "It rains."},
        {"role": "user", "content": "Thanks.", "cache_control": {"type": "ephemeral"}},
    ] == body["messages"]
    assert [{"name": "weather", "description": "d", "input_schema": SCHEMA}] == body["tools"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"name": "now"}, {"name": "now", "input_schema": {"type": "object"}}),
        ({"name": "now", "input_schema": SCHEMA}, {"name": "now", "input_schema": SCHEMA}),
        (
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        ),
    ],
)
def test_a_tool_without_parameters(given: Any, sent: Any) -> None:
    assert [sent] == body_of(query="x", tools=[given])["tools"]


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://a.test/x.png", {"type": "url", "url": "https://a.test/x.png"}),
        ("data:image/png;base64,AAAA", {"type": "base64", "media_type": "image/png", "data": "AAAA"}),
    ],
)
def test_an_image(url: str, source: Any) -> None:
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "document", "source": {}}]
    assert [{"type": "image", "source": source}, parts[1]] == body_of(query=parts)["messages"][0]["content"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "give query or messages"),
        ({"query": "x", "session_id": "s"}, "session_id: the Messages API cannot carry it"),
        ({"query": "x", "resume": [{"id": "i"}]}, "resume: the Messages API cannot carry it"),
        ({"system": "x", "messages": [{"role": "system", "content": "y"}]}, "mean the same"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "{oops"}]}]},
            "the arguments of the call of 'f' are not JSON",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "[1]"}]}]},
            "the arguments of the call of 'f' are not an object",
        ),
    ],
)
def test_an_input_that_cannot_be_asked(given: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        body_of(**given)


@pytest.mark.parametrize(
    ("base_url", "options", "target"),
    [
        ("http://h", {}, "/v1/messages"),
        ("http://h/v1/", {}, "/v1/messages"),
        ("http://h/anthropic", {}, "/anthropic/v1/messages"),
        ("http://h", {"stream_path": "/api/messages?beta=true"}, "/api/messages?beta=true"),
    ],
)
def test_where_is_asked(base_url: str, options: dict[str, Any], target: str) -> None:
    assert target == ask({"query": "hi"}, base_url=base_url, options=options)[0]


def test_the_key_goes_into_one_field_only_and_the_caller_s_field_counts() -> None:
    _, headers, body = ask({"query": "hi"}, api_key="secret")
    assert "secret" == headers.pop("x-api-key")
    assert "secret" not in f"{headers}{body}"
    given = (("X-Api-Key", "other"), ("anthropic-version", "2023-06-01"), ("anthropic-beta", "b"))
    _, headers, _ = ask({"query": "hi"}, api_key="secret", headers=given)
    assert ("other", "2023-06-01", "b") == tuple(headers[name.lower()] for name, _ in given)


def test_options_of_the_request() -> None:
    options = {"anthropic_version": "2023-06-01", "anthropic_max_tokens": 10}
    _, headers, body = ask({"query": "hi"}, options=options)
    assert ("2023-06-01", 10) == (headers["anthropic-version"], body["max_tokens"])
    assert 20 == ask({"query": "hi", "max_tokens": 20}, options=options)[2]["max_tokens"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"anthropic_versions": "x"}, "did you mean 'anthropic_version'"),
        ({"anthropic_max_tokens": "10"}, "a whole number"),
        ({"anthropic_version": 2023}, "expected text"),
    ],
)
def test_options_that_are_not_usable(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ask({"query": "hi"}, options=options)


def test_a_plain_run_asks_for_json_and_no_stream() -> None:
    target, headers, body = ask({"query": "hi"}, mode="invoke", options={"invoke_path": "/x"})
    assert ("/x", "application/json", False) == (target, headers["accept"], body["stream"])


# Refusals


def refused(status: int, error: Any = "", mode: Any = "stream", **headers: str) -> Seen:
    body = {"type": "error", "error": error, "request_id": "req_1"} if error else b""
    return feed(open_session("anthropic", mode=mode), http(status, body, **headers))


@pytest.mark.parametrize("mode", ["stream", "invoke"])
@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (400, "invalid_request_error", ValidationError, False),
        (401, "authentication_error", AuthenticationError, False),
        (402, "billing_error", AgentError, False),
        (404, "not_found_error", AgentNotFoundError, False),
        (429, "rate_limit_error", RateLimitError, False),  # the client decides
        (500, "api_error", AgentServerError, False),
        (529, "overloaded_error", AgentServerError, True),
    ],
)
def test_a_refusal(mode: str, status: int, code: str, kind: type, retryable: bool) -> None:
    seen = refused(status, {"type": code, "message": "no"}, mode, request_id="req_0")
    assert (kind, code, "req_1", False) == (
        type(seen.error),
        seen.error.code,
        seen.error.request_id,
        seen.session.unsupported,
    )
    assert (seen.error.message.startswith("no"), retryable) == (True, seen.error.retryable is True)


@pytest.mark.parametrize(("word", "retryable"), [("true", True), ("false", False)])
def test_the_service_decides_what_is_tried_again(word: str, retryable: bool) -> None:
    for status in (400, 429, 529):
        assert (
            retryable is refused(status, {"type": "x", "message": "no"}, x_should_retry=word).error.retryable
        )


def test_waits_and_rate_limits() -> None:
    error = refused(
        429,
        {"type": "rate_limit_error", "message": "slow"},
        retry_after="7",
        retry_after_ms="1500",
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="0",
    ).error
    assert (1.5, 50, 0) == (error.retry_after, error.limit, error.remaining)


def test_a_missing_endpoint_is_distinguished_from_an_unknown_model() -> None:
    assert refused(404).session.unsupported
    assert not refused(404, {"type": "not_found_error", "message": "model: x"}).session.unsupported


# Plain answers


def plain(answer: Any) -> Seen:
    body = {"type": "message", "id": "msg_1", "model": "m", "usage": {"input_tokens": 1, "output_tokens": 2}}
    return feed(open_session("anthropic", mode="invoke"), http(200, body | answer, request_id="req_1"))


TEXT = {"type": "text", "text": "Once"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}


@pytest.mark.parametrize(
    ("content", "result"),
    [
        ([TEXT, {"type": "text", "text": " upon"}], "Once upon"),
        ([THOUGHT, TEXT], "Once"),
        ([], ""),
        ([THOUGHT, TEXT, USE], [THOUGHT, TEXT, USE]),
    ],
)
def test_a_plain_answer(content: Any, result: Any) -> None:
    seen = plain({"content": content, "stop_reason": "end_turn"})
    (got,) = seen.events
    assert isinstance(got, RunResult)
    assert (result, "req_1", {"input_tokens": 1, "output_tokens": 2}) == (
        got.result,
        got.request_id,
        got.usage,
    )
    assert {"id": "msg_1", "model": "m", "stop_reason": "end_turn"} == got.metadata
    assert Tokens(input=1, output=2) == seen.session.tokens


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ({"content": [TEXT], "stop_reason": "refusal"}, AgentError, "refusal"),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
            AgentServerError,
            "overloaded_error",
        ),
        ({"type": "error", "error": "x"}, AgentServerError, None),
        ({"content": "Once"}, ProtocolError, None),
        ({}, ProtocolError, None),
    ],
)
def test_a_plain_answer_that_is_none(answer: Any, kind: type, code: Any) -> None:
    error = plain(answer).error
    assert (kind, code) == (type(error), error.code if code else None)
    assert (code == "overloaded_error") is (error.retryable is True)
