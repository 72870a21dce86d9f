"""The transport ``vercel`` and pydantic-ai's server, the dialect and the AI SDK's chat."""

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
    ToolCall,
    ValidationError,
)
from runagent_testing import custom, done, ending, error, heartbeat, reasoning, status, tool_call
from tests.interop.peers import met
from tests.interop.programs import NODE_PACKAGES, find, needs_environment, needs_node_packages
from tests.interop.protocols.asking import ask_over
from tests.interop.protocols.conversation import converse

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style

pytestmark = pytest.mark.interop

PYDANTIC_AI = met("vercel", "pydantic-ai-slim", "server")
AI_SDK = met("vercel", "ai", "client")

PROGRAM = Path(__file__).parents[1] / "agents" / "aisdk.mjs"


def ask(style: Style, url: str, input: Any = "hi") -> tuple[list[Any], Any]:
    """See `ask_over`."""
    return ask_over("vercel", style, url, input)


# pydantic-ai is the server


@PYDANTIC_AI
@needs_environment("agui")
def test_text_and_reasoning(style: Style, pydantic_ai: str) -> None:
    events, stream = ask(style, f"{pydantic_ai}/vercel/story", {"query": "hi", "session_id": "chat-1"})
    assert "a story, then" == "".join(e.text for e in events if isinstance(e, Reasoning))
    assert ["Once", " upon", " a ", "tïme 🦊"] == [e.content for e in events if isinstance(e, Chunk)]
    assert ["message-metadata"] == [e.name for e in events if isinstance(e, Custom)]
    assert "chat-1" == stream.started.session_id


@PYDANTIC_AI
@needs_environment("agui")
def test_a_tool_of_the_server(style: Style, pydantic_ai: str) -> None:
    events, _ = ask(style, f"{pydantic_ai}/vercel/counter")
    result = Custom("tool_result", {"toolCallId": "count-1", "output": "1"})
    assert [ToolCall("count-1", "count", "{}", 0), result, Chunk("counted 1")] == events[:-1]


@PYDANTIC_AI
@needs_environment("agui")
def test_a_conversation(style: Style, pydantic_ai: str) -> None:
    async def scenario() -> Any:
        url = f"{pydantic_ai}/vercel/conversation"
        async with style.client("agent", base_url=url, transport="vercel") as client:
            return await converse(client)

    seen = style.run(scenario)
    assert ["Let me see.", "It is sunny. ", "It is booked: 7A."] == seen.texts
    book = ("book", {"seat": "7A"})  # announced again by the run that makes the approved call
    assert [("weather", {"city": "Oslo"}), book, book] == seen.calls
    assert ["book-1"] == [each["toolCallId"] for each in seen.interrupts]


@PYDANTIC_AI
@needs_environment("agui")
def test_an_agent_that_fails_ends_with_finish_all_the_same(style: Style, pydantic_ai: str) -> None:
    events, failed = ask(style, f"{pydantic_ai}/vercel/failing")
    assert ([Chunk("Once")], StreamError) == (events, type(failed))
    assert "no room left" == failed.message


@PYDANTIC_AI
@needs_environment("agui")
@pytest.mark.parametrize(
    ("name", "input", "kind"),
    [
        ("nobody", "hi", AgentNotFoundError),
        ("story", {"messages": [{"role": "user", "parts": [{"type": "text"}]}]}, ValidationError),
    ],
)
def test_refusals(style: Style, pydantic_ai: str, name: str, input: Any, kind: Any) -> None:
    assert isinstance(ask(style, f"{pydantic_ai}/vercel/{name}", input)[1], kind)


# The chat of the AI SDK is the reader


def chat(url: str, *turns: dict[str, Any]) -> list[dict[str, Any]]:
    """What the chat makes of these turns."""
    ran = subprocess.run(
        [str(find("node")), str(PROGRAM), url, json.dumps(turns)],
        env={"PATH": os.defpath, "NODE_PACKAGES": str(NODE_PACKAGES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    shown: list[dict[str, Any]] = json.loads(ran.stdout)
    return shown


def parts_of(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of the last message, without ids that the dialect makes."""
    parts = seen["messages"][-1]["parts"]
    return [{name: value for name, value in part.items() if name not in ("id", "approval")} for part in parts]


HI = {"text": "hi"}


@AI_SDK
@needs_node_packages()
def test_the_chat_reads_everything_that_the_dialect_writes(agents: FakeAgentServer) -> None:
    agents.agent("a").reply(
        *(reasoning("let me "), reasoning("see"), "Once", heartbeat(), " up\N{FOX FACE}on"),
        tool_call("weather", {"city": "Oslo"}, id="c1"),
        custom("tool_result", {"toolCallId": "c1", "output": {"sky": "clear"}}),
        *(custom("mood", "good"), custom("source-url", {"sourceId": "s", "url": "https://x.test"})),
        custom("message-metadata", {"model": "m"}),
        *(tool_call("now", {}, id="c2"), "The end", done(metadata={"a": 1})),
    )
    (seen,) = chat(f"{agents.url}/vercel/a", HI)
    assert (None, "ready", "tool-calls", False) == (
        seen["error"],
        seen["status"],
        seen["finishReason"],
        seen["isError"],
    )
    called = {"type": "tool-weather", "toolCallId": "c1", "state": "output-available"}
    assert [
        {"type": "step-start"},
        {"type": "reasoning", "text": "let me see", "state": "done"},
        {"type": "text", "text": "Once up\N{FOX FACE}on", "state": "done"},
        {**called, "input": {"city": "Oslo"}, "output": {"sky": "clear"}},
        {"type": "data-mood", "data": "good"},
        {"type": "source-url", "sourceId": "s", "url": "https://x.test"},
        {"type": "tool-now", "toolCallId": "c2", "state": "input-available", "input": {}},
        {"type": "text", "text": "The end", "state": "done"},
    ] == parts_of(seen)
    assert {"model": "m", "a": 1} == seen["messages"][-1]["metadata"]
    assert {"query": "hi", "session_id": "chat"} == agents.requests[-1].input


@AI_SDK
@needs_node_packages()
def test_a_conversation_of_the_chat(agents: FakeAgentServer) -> None:
    agent = agents.agent("a").reply("Let me see.", tool_call("weather", {}, id="c1"))
    agent.reply(tool_call("book", {"seat": "7A"}, id="c2"), done(interrupts=[{}]))
    agent.reply(custom("tool_result", {"toolCallId": "c2", "output": "booked"}), "Booked.")
    first, second, third = chat(f"{agents.url}/vercel/a", HI, {"outputs": {"c1": "sunny"}}, {"approve": True})
    assert "input-available" == parts_of(first)[-1]["state"]
    assert "approval-requested" == parts_of(second)[-1]["state"]
    assert [None, None, None] == [seen["error"] for seen in (first, second, third)]
    assert ({"type": "text", "text": "Booked.", "state": "done"}, "output-available") == (
        parts_of(third)[-1],
        next(part for part in parts_of(third) if part.get("toolCallId") == "c2")["state"],
    )
    sent = [request.body["messages"][-1]["parts"] for request in agents.requests]
    assert ("sunny", True) == (sent[1][-1]["output"], sent[2][-1]["approval"]["approved"])


@AI_SDK
@needs_node_packages()
def test_the_chat_sees_failures(agents: FakeAgentServer) -> None:
    agent = agents.agent("a").reply("Once", error("BUSY", "no room left"))
    agent.reply(status(429, message="slow down")).reply("Once", ending("cut"))
    failed, refused, cut = chat(f"{agents.url}/vercel/a", HI, HI, HI)
    assert ("no room left", "error", True) == (failed["error"], failed["status"], failed["isError"])
    assert "slow down" in refused["error"]
    assert "error" == cut["status"]
