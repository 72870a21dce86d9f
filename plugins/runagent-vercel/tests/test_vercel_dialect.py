"""The fake agent in the UI message stream: what it writes for each step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from runagent_testing import custom, done, error, heartbeat, reasoning, status, tool_call

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer

USER = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
ASKED = {"id": "chat", "messages": [USER], "trigger": "submit-message"}
FINISH = [{"type": "finish-step"}, {"type": "finish", "finishReason": "stop"}]


def ask(server: FakeAgentServer, *steps: Any, **fields: Any) -> httpx2.Response:
    """What the agent answers with these steps."""
    server.agent("a").always(*(steps or ["Once"]))
    return httpx2.post(f"{server.url}/vercel/a", json=ASKED | fields)


def chunks(server: FakeAgentServer, *steps: Any) -> list[Any]:
    """The chunks of such an answer behind its begin and before its end marker; ids have no run in them."""
    answer = ask(server, *steps)
    assert "v1" == answer.headers["x-vercel-ai-ui-message-stream"]
    frames = [frame for frame in answer.text.split("\n\n") if frame and not frame.startswith(":")]
    assert frames.pop() == "data: [DONE]"
    first, second, *rest = (json.loads(frame.removeprefix("data: ")) for frame in frames)
    run_id = first.pop("messageId").removeprefix("msg-")
    assert ({"type": "start"}, {"type": "start-step"}) == (first, second)
    shown: list[Any] = json.loads(json.dumps(rest).replace(f"{run_id}-", ""))
    return shown


def test_text_and_reasoning_are_parts_until_something_else_comes(server: FakeAgentServer) -> None:
    steps = reasoning("so"), reasoning(" it is"), "Once", heartbeat(), " upon", custom("mood"), {"a": 1}
    assert [
        {"type": "reasoning-start", "id": "reasoning-1"},
        {"type": "reasoning-delta", "id": "reasoning-1", "delta": "so"},
        {"type": "reasoning-delta", "id": "reasoning-1", "delta": " it is"},
        {"type": "reasoning-end", "id": "reasoning-1"},
        {"type": "text-start", "id": "text-2"},
        {"type": "text-delta", "id": "text-2", "delta": "Once"},
        {"type": "text-delta", "id": "text-2", "delta": " upon"},
        {"type": "text-end", "id": "text-2"},
        {"type": "data-mood", "data": None},
        {"type": "text-start", "id": "text-3"},
        {"type": "text-delta", "id": "text-3", "delta": '{"a": 1}'},
        {"type": "text-end", "id": "text-3"},
        *FINISH,
    ] == chunks(server, *steps)


def test_tool_calls(server: FakeAgentServer) -> None:
    call = {"toolCallId": "c1"}
    assert [
        {"type": "tool-input-start", **call, "toolName": "weather"},
        {"type": "tool-input-delta", **call, "inputTextDelta": '{"city":'},
        {"type": "tool-input-delta", **call, "inputTextDelta": ' "Oslo"}'},
        {"type": "tool-input-available", **call, "toolName": "weather", "input": {"city": "Oslo"}},
        {"type": "tool-output-available", **call, "output": "sunny"},
        {"type": "tool-input-start", "toolCallId": "call-1", "toolName": "now"},
        {"type": "tool-input-available", "toolCallId": "call-1", "toolName": "now", "input": None},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "tool-calls"},
    ] == chunks(
        server,
        tool_call("weather", {"city": "Oslo"}, id="c1"),
        custom("tool_result", {"output": "sunny"}),
        tool_call("now", ""),
    )


@pytest.mark.parametrize(
    ("step", "chunk"),
    [
        (custom("data-mood", 1), {"type": "data-mood", "data": 1}),
        (custom("message-metadata", {"a": 1}), {"type": "message-metadata", "messageMetadata": {"a": 1}}),
        (custom("file", {"url": "u", "mediaType": "m"}), {"type": "file", "url": "u", "mediaType": "m"}),
    ],
)
def test_other_chunks(server: FakeAgentServer, step: Any, chunk: dict[str, Any]) -> None:
    assert [chunk, *FINISH] == chunks(server, step)


@pytest.mark.parametrize(
    ("end", "last"),
    [
        (
            done(stop_reason="length", metadata={"a": 1}),
            {"finishReason": "length", "messageMetadata": {"a": 1}},
        ),
        (done(stop_reason="odd", usage={"total_tokens": 1}), {"finishReason": "other"}),
    ],
)
def test_how_a_run_ends(server: FakeAgentServer, end: Any, last: dict[str, Any]) -> None:
    assert [FINISH[0], {"type": "finish"} | last] == chunks(server, end)


def test_requests_for_approval(server: FakeAgentServer) -> None:
    calls = tool_call("book", "", id="c1"), done(interrupts=[{}, {"id": "a1", "toolCallId": "c9"}])
    assert [
        {"type": "tool-approval-request", "approvalId": "approval-1", "toolCallId": "c1"},
        {"type": "tool-approval-request", "approvalId": "a1", "toolCallId": "c9"},
    ] == chunks(server, *calls)[2:4]


def test_runs_that_fail(server: FakeAgentServer) -> None:
    ended = [FINISH[0], {"type": "finish", "finishReason": "error"}]
    assert [{"type": "error", "errorText": "no room left"}, *ended] == chunks(
        server, error("BUSY", "no room left")
    )
    assert [{"type": "abort", "reason": "why"}] == chunks(server, done("why", stop_reason="cancelled"))


@pytest.mark.parametrize(
    ("fields", "input"),
    [
        ({}, {"query": "hi", "session_id": "chat"}),
        ({"id": "r", "messages": [USER | {"id": "r-0"}], "model": "m"}, {"query": "hi", "model": "m"}),
        ({"messages": [USER, USER]}, {"messages": [USER, USER], "session_id": "chat"}),
    ],
)
def test_the_input(server: FakeAgentServer, fields: dict[str, Any], input: dict[str, Any]) -> None:
    ask(server, **fields)
    assert input == server.requests[-1].input


@pytest.mark.parametrize("messages", [None, {}, ["hi"], [{"role": "user", "content": "hi"}], [{"parts": []}]])
def test_an_invalid_request(server: FakeAgentServer, messages: Any) -> None:
    answer = ask(server, messages=messages)
    assert (400, True) == (answer.status_code, "UI messages" in answer.json()["error"]["message"])


def test_refusals(server: FakeAgentServer) -> None:
    answer = ask(server, status(429, message="slow down"))
    assert (429, "slow down") == (answer.status_code, answer.json()["error"]["message"])
    assert 404 == httpx2.post(f"{server.url}/vercel/nobody", json=ASKED).status_code
