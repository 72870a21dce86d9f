"""What is asked of a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent import ConfigurationError, ValidationError, answer
from tests.support.sessions import open_session

RUN = "0" * 32
CALL = {"id": "c1", "type": "function", "function": {"name": "book", "arguments": '{"seat": "7A"}'}}
PART = {"type": "tool-book", "toolCallId": "c1", "state": "input-available", "input": {"seat": "7A"}}
ASKED = [{"role": "user", "content": "book"}, {"role": "assistant", "content": "Hm.", "tool_calls": [CALL]}]


def ask(input: dict[str, Any], **fields: Any) -> tuple[str, dict[str, Any]]:
    """The request's target and body."""
    sent = open_session("vercel", input=input, run_id=RUN, **fields).data_to_send()
    head, _, body = sent.partition(b"\r\n\r\n")
    return head.decode().split(" ")[1], json.loads(body)


def message(role: str, *parts: Any, number: int = 0) -> dict[str, Any]:
    made = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"id": f"{RUN}-{number}", "role": role, "parts": made}


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"query": "hi"}, {"messages": [message("user", "hi")]}),
        ({"query": "hi", "session_id": "s"}, {"messages": [message("user", "hi")], "id": "s"}),
        ({"query": "hi", "model": "m"}, {"messages": [message("user", "hi")], "model": "m"}),
        (
            {"messages": [*ASKED, {"role": "tool", "tool_call_id": "c1", "content": "done"}]},
            {
                "messages": [
                    message("user", "book"),
                    message(
                        "assistant", "Hm.", {**PART, "state": "output-available", "output": "done"}, number=1
                    ),
                ]
            },
        ),
        (
            {"messages": [{"role": "user", "id": "mine", "parts": [{"type": "text", "text": "hi"}]}]},
            {"messages": [{"role": "user", "id": "mine", "parts": [{"type": "text", "text": "hi"}]}]},
        ),
        (
            {
                "query": [
                    {"type": "text", "text": "what is it?"},
                    *(
                        {"type": "image_url", "image_url": {"url": url}}
                        for url in ("https://x.test/a.png", "https://x.test/a", "data:image/gif;base64,AA")
                    ),
                ]
            },
            {
                "messages": [
                    message(
                        "user",
                        "what is it?",
                        {"type": "file", "mediaType": "image/png", "url": "https://x.test/a.png"},
                        {"type": "file", "mediaType": "image/*", "url": "https://x.test/a"},
                        {"type": "file", "mediaType": "image/gif", "url": "data:image/gif;base64,AA"},
                    )
                ]
            },
        ),
    ],
)
def test_the_body(given: dict[str, Any], asked: dict[str, Any]) -> None:
    assert {"id": RUN, "trigger": "submit-message"} | asked == ask(given)[1]


@pytest.mark.parametrize(
    ("given", "approval"),
    [
        (answer("c1", {"approved": True}), {"id": "c1", "approved": True}),
        (answer("c1", True), {"id": "c1", "approved": True}),
        (
            answer("c1/a1", {"approved": False, "reason": "no"}),
            {"id": "a1", "approved": False, "reason": "no"},
        ),
        (answer("c1/a1", {"approved": True}, status="cancelled"), {"id": "a1", "approved": False}),
        (answer("c1", {"approved": 1}), {"id": "c1", "approved": False}),
        (answer("c1"), {"id": "c1", "approved": False}),
    ],
)
def test_an_answer_becomes_part_of_its_call(given: Any, approval: dict[str, Any]) -> None:
    _, body = ask({"messages": ASKED, "resume": [given]})
    expected = {**PART, "state": "approval-responded", "approval": approval}
    assert expected == body["messages"][-1]["parts"][-1]


def test_the_input_stays_as_it_is() -> None:
    part = dict(PART)
    given = {"messages": [{"role": "assistant", "parts": [part]}], "resume": [answer("c1", True)]}
    ask(given)
    assert PART == part


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"query": 5}, "query"),
        ({"query": "hi", "tools": [{"name": "now"}]}, "tools"),
        ({"messages": [{"role": "tool", "tool_call_id": "c9", "content": "x"}]}, "no message before it"),
        ({"messages": [{"role": "user", "parts": ["hi"]}]}, "parts: expected a list of objects"),
        ({"query": "hi", "resume": [answer("c1", True)]}, "no message has the tool call 'c1'"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"name": "a"}]}]}, "has no id"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "name": "a", "arguments": "{"}]}]},
            "the arguments of a tool call are",
        ),
    ],
)
def test_an_input_that_cannot_be_asked(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ask(given)


@pytest.mark.parametrize(
    ("base_url", "options", "target"),
    [
        ("http://h/api/chat", {}, "/api/chat"),
        ("http://h/api/v1", {}, "/api/v1"),
        ("http://h/chat", {"vercel_path": "/{agent_id}"}, "/chat/a%2Fb"),
    ],
)
def test_where_is_asked(base_url: str, options: dict[str, Any], target: str) -> None:
    assert target == ask({"query": "hi"}, base_url=base_url, options=options, agent_id="a/b")[0]


def test_options_that_are_not_usable() -> None:
    with pytest.raises(ConfigurationError, match="vercel_path"):
        ask({"query": "hi"}, options={"vercel_pat": "/x"})
