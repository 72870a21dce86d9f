"""The transport ``agui`` and two servers, the dialect and AG-UI's own client."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentNotFoundError,
    Chunk,
    Custom,
    Reasoning,
    StreamError,
    StreamTruncatedError,
    Tokens,
    ToolCall,
    ValidationError,
)
from runagent_testing import custom, done, error, heartbeat, reasoning, status, tool_call
from tests.interop.peers import met
from tests.interop.programs import (
    NODE_PACKAGES,
    Port,
    Program,
    find,
    needs_environment,
    needs_node_packages,
)
from tests.interop.protocols.asking import ask_over
from tests.interop.protocols.conversation import TOOLS, converse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style

pytestmark = pytest.mark.interop

PYDANTIC_AI = met("agui", "pydantic-ai-slim", "server")
AIMOCK = met("agui", "@copilotkit/aimock", "server")
AGUI_CLIENT = met("agui", "@ag-ui/client", "client")

AGENTS = Path(__file__).parents[1] / "agents"


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of aimock's AG-UI server."""
    log = tmp_path_factory.mktemp("aimock") / "log"
    with Port() as port:
        command = [find("node"), AGENTS / "aimock.mjs", port.number]
        with Program(command, port, log, {"NODE_PACKAGES": str(NODE_PACKAGES)}) as program:
            yield program.url


def ask(style: Style, url: str, input: Any = "hi") -> tuple[list[Any], Any]:
    """See `ask_over`."""
    return ask_over("agui", style, url, input)


# pydantic-ai is the server


@PYDANTIC_AI
@needs_environment("agui")
def test_text_reasoning_and_usage(style: Style, pydantic_ai: str) -> None:
    events, stream = ask(style, f"{pydantic_ai}/agui/story", {"query": "hi", "session_id": "thread-1"})
    assert "a story, then" == "".join(e.text for e in events if isinstance(e, Reasoning))
    assert ["Once", " upon", " a ", "tïme 🦊"] == [e.content for e in events if isinstance(e, Chunk)]
    assert ("thread-1", stream.report.run_id) == (stream.started.session_id, stream.started.invocation_id)
    assert ("success", Tokens(input=50, output=9, total=59)) == (
        stream.completed.stop_reason,
        stream.report.tokens,
    )


@PYDANTIC_AI
@needs_environment("agui")
def test_a_tool_of_the_server_and_its_state(style: Style, pydantic_ai: str) -> None:
    events, _ = ask(style, f"{pydantic_ai}/agui/counter")
    call, result, state, text = events
    assert ToolCall("count-1", "count", "{}", 0) == call
    assert ("tool_result", "count-1", "1") == (
        result.name,
        result.value["toolCallId"],
        result.value["content"],
    )
    assert (Custom("state", {"count": 1}), Chunk("counted 1")) == (state, text)


@PYDANTIC_AI
@needs_environment("agui")
def test_a_tool_of_the_caller_is_pending(style: Style, pydantic_ai: str) -> None:
    asked = {"query": "I am off to Oslo", "tools": TOOLS}
    events, stream = ask(style, f"{pydantic_ai}/agui/conversation", asked)
    assert [Chunk("Let me see."), ToolCall("weather-1", "weather", '{"city": "Oslo"}', 0)] == events
    assert {"pendingToolCallIds": ["weather-1"]} == stream.completed.metadata


@PYDANTIC_AI
@needs_environment("agui")
def test_a_conversation(style: Style, pydantic_ai: str) -> None:
    async def scenario() -> Any:
        url = f"{pydantic_ai}/agui/conversation"
        async with style.client("agent", base_url=url, transport="agui") as client:
            return await converse(client, tools=TOOLS)

    seen = style.run(scenario)
    assert ["Let me see.", "It is sunny. ", "It is booked: 7A."] == seen.texts
    assert [("weather", {"city": "Oslo"}), ("book", {"seat": "7A"})] == seen.calls
    (interrupt,) = seen.interrupts
    assert ("tool_call", "book-1") == (interrupt["reason"], interrupt["toolCallId"])
    assert ("state", {"seat": "7A"}) in seen.customs


@PYDANTIC_AI
@needs_environment("agui")
def test_an_agent_that_fails(style: Style, pydantic_ai: str) -> None:
    events, failed = ask(style, f"{pydantic_ai}/agui/failing")
    assert ([Chunk("Once")], StreamError) == (events, type(failed))
    assert "no room left" == failed.message


@PYDANTIC_AI
@needs_environment("agui")
@pytest.mark.parametrize(
    ("name", "input", "kind", "problem"),
    [
        ("nobody", "hi", AgentNotFoundError, "404"),
        ("story", {"query": "hi", "context": "x"}, ValidationError, "context: Input should be"),
        ("story", {"query": "hi", "parentRunId": 5}, ValidationError, "parentRunId: Input should be"),
    ],
)
def test_refusals(style: Style, pydantic_ai: str, name: str, input: Any, kind: Any, problem: str) -> None:
    _, refused = ask(style, f"{pydantic_ai}/agui/{name}", input)
    assert isinstance(refused, kind)
    assert problem in refused.message


# aimock is the server


@AIMOCK
@needs_node_packages()
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("text", [Chunk("Once upon a time")]),
        ("slowly", [Chunk("Once upon a time")]),
        ("chunks", [Chunk("Once")]),
        ("tool chunks", [ToolCall("c1", "weather", '{"city":"Oslo"}', 0)]),
        ("state", [Custom("state", {"count": 1}), Custom("STATE_DELTA", {"delta": []})]),
        (
            "step",
            [
                Custom("STEP_STARTED", {"stepName": "draft"}),
                Chunk("Once"),
                Custom("STEP_FINISHED", {"stepName": "draft"}),
            ],
        ),
        ("raw", [Custom("RAW", {"event": {"any": 1}, "source": "model"})]),
        ("custom", [Custom("mood", "good")]),
    ],
)
def test_what_aimock_sends(style: Style, aimock: str, asked: str, expected: list[Any]) -> None:
    events, stream = ask(style, aimock, asked)
    assert (expected, None) == (events, stream.report.error)


@AIMOCK
@needs_node_packages()
def test_other_events_of_aimock(style: Style, aimock: str) -> None:
    (call, result), _ = ask(style, aimock, "tool")
    assert ("weather", '{"city":"Oslo"}', "tool_result", "sunny") == (
        call.name,
        call.arguments,
        result.name,
        result.value["content"],
    )
    ((thought,), _), ((activity,), _) = ask(style, aimock, "reasoning"), ask(style, aimock, "activity")
    assert ("let me see", "ACTIVITY_SNAPSHOT", {"steps": 2}) == (
        thought.text,
        activity.name,
        activity.value["content"],
    )
    assert Tokens(input=4, output=1) == ask(style, aimock, "usage")[1].report.tokens


@AIMOCK
@needs_node_packages()
def test_how_aimock_ends(style: Style, aimock: str) -> None:
    _, failed = ask(style, aimock, "error")
    assert (StreamError, "no room left", "BUSY") == (type(failed), failed.message, failed.code)
    assert StreamTruncatedError is type(ask(style, aimock, "unfinished")[1])


# AG-UI's own client is the reader


def read(url: str, *runs: dict[str, Any]) -> list[dict[str, Any]]:
    """What the client makes of these runs of one conversation."""
    ran = subprocess.run(
        [str(find("node")), str(AGENTS / "agui.mjs"), url, json.dumps(runs)],
        env={"PATH": os.defpath, "NODE_PACKAGES": str(NODE_PACKAGES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    shown: list[dict[str, Any]] = json.loads(ran.stdout)
    return shown


ASKED = {"messages": [{"id": "1", "role": "user", "content": "hi"}]}


@AGUI_CLIENT
@needs_node_packages()
def test_the_client_reads_everything_that_the_dialect_writes(agents: FakeAgentServer) -> None:
    agents.agent("a").reply(
        *(reasoning("let me "), reasoning("see"), "Once", heartbeat(), " up\N{FOX FACE}on"),
        tool_call("weather", {"city": "Oslo"}, id="c1"),
        custom("tool_result", {"toolCallId": "c1", "content": "sunny"}),
        custom("state", {"n": 1}),
        custom("STATE_DELTA", {"delta": [{"op": "replace", "path": "/n", "value": 2}]}),
        custom("STEP_STARTED", {"stepName": "s"}),
        custom("ACTIVITY_SNAPSHOT", {"messageId": "p", "activityType": "plan", "content": {"a": 1}}),
        custom("STEP_FINISHED", {"stepName": "s"}),
        *(custom("mood", "good"), custom("RAW", {"event": 1}), tool_call("now", ""), "The end"),
        done("so it goes", usage={"prompt_tokens": 4, "completion_tokens": 2}, metadata={"a": 1}),
    )
    (seen,) = read(f"{agents.url}/agui/a", ASKED)
    assert (None, None, []) == (seen["error"], seen["failed"], seen["warnings"])
    assert ({"n": 2}, "so it goes", [{"inputTokens": 4, "outputTokens": 2}]) == (
        seen["state"],
        seen["result"],
        seen["usage"],
    )
    by_role: dict[str, list[Any]] = {}
    for message in seen["messages"]:
        by_role.setdefault(message["role"], []).append(message)
    assert {"user": 1, "reasoning": 1, "assistant": 2, "tool": 1, "activity": 1} == {
        role: len(messages) for role, messages in by_role.items()
    }
    first, last = by_role["assistant"]
    assert ("Once up\N{FOX FACE}on", "The end") == (first["content"], last["content"])
    assert [("weather", '{"city": "Oslo"}'), ("now", "")] == [
        (call["function"]["name"], call["function"]["arguments"]) for call in first["toolCalls"]
    ]
    assert ("let me see", "sunny") == (by_role["reasoning"][0]["content"], by_role["tool"][0]["content"])
    assert agents.requests[-1].input == {"query": "hi", "session_id": "thread"}


@AGUI_CLIENT
@needs_node_packages()
def test_the_client_answers_an_interrupt(agents: FakeAgentServer) -> None:
    agent = agents.agent("a").reply("Hm.", done(interrupts=[{"reason": "tool_call", "message": "Approve?"}]))
    agent.reply("Booked.")
    first, second = read(f"{agents.url}/agui/a", ASKED, {"answer": {"approved": True}})
    (interrupt,) = first["interrupts"]
    assert ("Approve?", None, []) == (interrupt["message"], second["error"], second["interrupts"])
    assert [{"interruptId": interrupt["id"], "status": "resolved", "payload": {"approved": True}}] == (
        agents.requests[-1].body["resume"]
    )


@AGUI_CLIENT
@needs_node_packages()
def test_the_client_sees_failures(agents: FakeAgentServer) -> None:
    agents.agent("a").reply("Once", error("BUSY", "no room left")).reply(status(429, message="slow down"))
    failed, refused = read(f"{agents.url}/agui/a", ASKED, {})
    assert {"message": "no room left", "code": "BUSY"} == failed["failed"]
    assert "slow down" in refused["error"]
