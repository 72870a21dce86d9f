"""What is asked of a server, and how its refusals read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent import AgentNotFoundError, ConfigurationError, ValidationError, answer
from tests.support.peer import http
from tests.support.sessions import feed, open_session

RUN = "0" * 32
DEFAULTS = {
    "threadId": RUN,
    "runId": RUN,
    "protocolVersion": "1.0",
    "messages": [],
    "tools": [],
    "state": {},
    "context": [],
    "forwardedProps": {},
}


def ask(input: dict[str, Any], **fields: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The request's target, header fields and body."""
    sent = open_session("agui", input=input, run_id=RUN, **fields).data_to_send()
    head, _, body = sent.partition(b"\r\n\r\n")
    line, *pairs = head.decode().split("\r\n")
    return line.split(" ")[1], dict(pair.split(": ", 1) for pair in pairs), json.loads(body)


def user(content: Any, number: int = 0) -> dict[str, Any]:
    return {"id": f"{RUN}-{number}", "role": "user", "content": content}


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"query": "hi"}, {"messages": [user("hi")]}),
        ({"query": "hi", "session_id": "t"}, {"messages": [user("hi")], "threadId": "t"}),
        (
            {
                "messages": [
                    {"role": "user", "content": "hi", "id": "mine", "name": None},
                    {"role": "assistant", "content": None, "tool_calls": [CALL]},
                    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
                ]
            },
            {
                "messages": [
                    {"id": "mine", "role": "user", "content": "hi"},
                    {"id": f"{RUN}-1", "role": "assistant", "toolCalls": [CALL]},
                    {"id": f"{RUN}-2", "role": "tool", "toolCallId": "c1", "content": "sunny"},
                ]
            },
        ),
        (
            {"query": "hi", "tools": [{"name": "now"}, {"name": "w", "description": "d", "parameters": {}}]},
            {
                "messages": [user("hi")],
                "tools": [
                    {"name": "now", "description": ""},
                    {"name": "w", "description": "d", "parameters": {}},
                ],
            },
        ),
        (
            {"resume": [answer("i", {"approved": True}), answer("j", status="cancelled")]},
            {
                "resume": [
                    {"interruptId": "i", "status": "resolved", "payload": {"approved": True}},
                    {"interruptId": "j", "status": "cancelled"},
                ]
            },
        ),
        (
            {"query": "hi", "state": {"a": 1}, "context": [{"description": "d", "value": "v"}], "new": 1},
            {
                "messages": [user("hi")],
                "state": {"a": 1},
                "context": [{"description": "d", "value": "v"}],
                "new": 1,
            },
        ),
        (
            {
                "query": [
                    {"type": "text", "text": "what is it?"},
                    {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "audio", "source": {"type": "url", "value": "https://x.test/a"}},
                ]
            },
            {
                "messages": [
                    user(
                        [
                            {"type": "text", "text": "what is it?"},
                            {"type": "image", "source": {"type": "url", "value": "https://x.test/a.png"}},
                            {
                                "type": "image",
                                "source": {"type": "data", "value": "AAAA", "mimeType": "image/png"},
                            },
                            {"type": "audio", "source": {"type": "url", "value": "https://x.test/a"}},
                        ]
                    )
                ]
            },
        ),
    ],
)
def test_the_body(given: dict[str, Any], asked: dict[str, Any]) -> None:
    assert DEFAULTS | asked == ask(given)[2]


@pytest.mark.parametrize(
    ("base_url", "options", "target"),
    [
        ("http://h", {}, "/"),
        ("http://h/agents/a", {}, "/agents/a"),
        ("http://h/agents/v1/", {}, "/agents/v1/"),
        ("http://h/agents/", {"agui_path": "/{agent_id}"}, "/agents/a%2Fb"),
        ("http://h/agents", {"stream_path": "/run?x=1"}, "/run?x=1"),
    ],
)
def test_where_is_asked(base_url: str, options: dict[str, Any], target: str) -> None:
    assert target == ask({"query": "hi"}, base_url=base_url, options=options, agent_id="a/b")[0]


def test_the_header_fields() -> None:
    _, headers, body = ask({"query": "hi"}, api_key="secret")
    assert ("text/event-stream", "application/json", "Bearer secret") == (
        headers["Accept"],
        headers["Content-Type"],
        headers["Authorization"],
    )
    assert "secret" not in str(body)


@pytest.mark.parametrize("given", [{"query": 5}, {"query": "a", "messages": []}, {"resume": ["i"]}])
def test_an_input_that_cannot_be_asked(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ask(given)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"agui_pat": "/x"}, "agui_path"),
        ({"agui_path": 1}, "expected text"),
        ({"agui_path": "x"}, "begins with /"),
    ],
)
def test_options_that_are_not_usable(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ask({"query": "hi"}, options=options)


def test_a_bare_list_of_faults_is_read() -> None:
    body = [{"type": "missing", "loc": ["threadId"], "msg": "Field required", "input": {}}]
    error = feed(open_session("agui"), http(422, json.dumps(body), content_type="application/json")).error
    assert (ValidationError, "threadId: Field required") == (type(error), error.message)


def test_an_unknown_path_is_another_protocol() -> None:
    seen = feed(open_session("agui"), http(404, b"Not Found", content_type="text/plain"))
    assert (AgentNotFoundError, True) == (type(seen.error), seen.session.unsupported)
