"""What is sent for an input, and how requests are refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentError,
    AgentServerError,
    AuthenticationError,
    RateLimitError,
    RunAgentClient,
    ValidationError,
)
from runagent_testing import FakeAgentServer, MemoryNetwork, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style

    Run = Callable[..., Any]

NOT_FOUND = {"code": -32001, "message": "no such task", "data": [{"reason": "TASK_NOT_FOUND"}]}


def message_of(memory: MemoryNetwork) -> dict[str, Any]:
    body = memory.requests[-1].body
    message: dict[str, Any] = body.get("params", body)["message"]
    return message


def test_a_message_has_the_run_id_and_one_part_for_each_kind_of_input(
    run_a2a: Run, memory: MemoryNetwork, spoken: dict[str, Any]
) -> None:
    memory.agent("writer").reply("Once")
    run_a2a(
        {
            "query": "hi",
            "city": "Oslo",
            "parameters": {"n": 1},
            "metadata": {"a": 1},
            "referenceTaskIds": ["t0"],
        }
    )
    message = message_of(memory)
    old = "a2a_version" in spoken
    text, data = ({"kind": "text"}, {"kind": "data"}) if old else ({}, {})
    assert [text | {"text": "hi"}, data | {"data": {"city": "Oslo", "parameters": {"n": 1}}}] == message[
        "parts"
    ]
    assert ("user" if old else "ROLE_USER", {"a": 1}, ["t0"]) == (
        message["role"],
        message["metadata"],
        message["referenceTaskIds"],
    )
    assert 32 == len(message["messageId"])
    assert (None if old else "1.0") == memory.requests[-1].raw_headers.get("a2a-version")


def test_content_parts_and_a_conversation_of_one_message(run_a2a: Run, memory: MemoryNetwork) -> None:
    file = {"url": "https://files.example/a.png"}
    memory.agent("writer").always("Once")
    for given in (
        {"query": [{"type": "text", "text": "look"}, file]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, file]}]},
    ):
        run_a2a(given)
        text, other = message_of(memory)["parts"]
        assert ("look", file) == (text["text"], other)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "give a query"),
        ({"query": 7}, "query"),
        ({"query": "hi", "tools": [{"name": "f"}]}, "tools: A2A cannot carry it"),
        ({"messages": [{"role": "system", "content": "x"}]}, "keeps the conversation itself"),
        ({"messages": [{"role": "user", "content": "x"}] * 2}, "keeps the conversation itself"),
        ({"resume": [{"id": "a", "payload": 1}, {"id": "b", "payload": 2}]}, "belongs to one task"),
        ({"resume": [{"id": "a", "status": "cancelled"}]}, "cannot carry a cancelled answer"),
    ],
)
def test_what_a2a_cannot_carry_is_refused_before_anything_is_sent(
    run_a2a: Run, memory: MemoryNetwork, given: Any, problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        run_a2a(given)
    assert [] == memory.requests


def test_answers_are_parts_of_the_next_message(
    run_a2a: Run, memory: MemoryNetwork, spoken: dict[str, Any]
) -> None:
    memory.agent("writer")
    resume = [{"id": "t1", "payload": "Oslo"}, {"id": "t1", "payload": {"n": 1}}, {"id": "t1", "payload": 7}]
    with pytest.raises(AgentError, match="Task not found"):
        run_a2a({"query": "well:", "resume": resume, "session_id": "c1"})
    message = message_of(memory)
    assert ("t1", "c1") == (message["taskId"], message["contextId"])
    value = {"value": 7} if "a2a_version" in spoken else 7
    found = [part.get("text", part.get("data")) for part in message["parts"]]
    assert ["well:", "Oslo", {"n": 1}, value] == found


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (NOT_FOUND, ValidationError, "-32001"),
        ({"code": -32602, "message": "no such city"}, ValidationError, "-32602"),
        ({"code": -32603, "message": "kettle"}, AgentServerError, "-32603"),
        ({"code": -32007, "message": "no card"}, AgentError, "-32007"),
        ({"code": 7}, AgentError, "7"),
    ],
)
def test_a_refusal_with_status_200_keeps_its_code_and_is_not_repeated(
    style: Style,
    server: FakeAgentServer,
    plain: bool,
    error: dict[str, Any],
    kind: type[AgentError],
    code: str,
) -> None:
    async def scenario() -> AgentError:
        url, options = f"{server.url}/a2a/writer", {"a2a_version": "1.0"}
        async with style.client("writer", base_url=url, transport="a2a", transport_options=options) as client:
            with pytest.raises(AgentError) as caught:
                await (client.run_generic("hi") if plain else client.run_generic_stream("hi").accepted())
            return caught.value

    refusal = status(200, body={"jsonrpc": "2.0", "id": 1, "error": error})
    server.agent("writer").always(refusal).returns(refusal)
    found = style.run(scenario)
    message = error.get("message", "the agent reported an error without a message")
    assert (kind, code, message, error.get("data")) == (type(found), found.code, found.message, found.details)
    assert 1 == len(server.requests)


def test_a_service_that_does_not_know_the_method_changes_the_transport(memory: MemoryNetwork) -> None:
    refusal = status(200, body={"jsonrpc": "2.0", "id": 1, "error": {"code": -32009, "message": "version"}})
    memory.on_request("POST /v1/agents/writer/rpc", refusal)
    memory.agent("writer").reply("Once")
    options = {"a2a_version": "1.0", "a2a_path": "/v1/agents/writer/rpc"}
    with RunAgentClient(
        "writer",
        base_url=memory.url,
        transport=["a2a", "sse"],
        transport_options=options,
        network=memory.blocking,
    ) as client:
        assert "Once" == client.run_generic_stream("hi").text()
    assert ["sse"] == [asked.transport for asked in memory.requests]


@pytest.mark.parametrize(
    ("refusal", "kind", "code"),
    [
        (status(429, message="slow down", retry_after=7), RateLimitError, None),
        (status(401, message="who?"), AuthenticationError, None),
        (
            status(
                403,
                body=json.dumps(
                    {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "no"}}
                ).encode(),
            ),
            AgentError,
            "403",
        ),
    ],
)
def test_a_refusal_by_status(
    run_a2a: Run, memory: MemoryNetwork, refusal: Any, kind: type[AgentError], code: str | None
) -> None:
    memory.agent("writer").reply(refusal)
    with pytest.raises(kind) as caught:
        run_a2a()
    assert refusal.status == caught.value.status
    assert code in (None, caught.value.code)
