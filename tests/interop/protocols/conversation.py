"""A conversation of three turns, which is the same for every protocol: a tool loop, an interrupt, its answer.

Its agent asks for the weather in Oslo, which the caller knows; then it wants to book a seat, which somebody
has to approve; then it reports what was booked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from runagent import Custom, answer

__all__ = ["QUESTION", "TOOLS", "Conversation", "converse", "said", "with_results"]

QUESTION = {"role": "user", "content": "I am off to Oslo"}
TOOLS = [
    {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


@dataclass
class Conversation:
    """What the three turns have shown.

    Attributes:
        texts: The text of each turn.
        calls: Name and arguments of the tool calls.
        interrupts: What the second turn waits for.
        customs: Names and values of the custom events of all turns.
    """

    texts: list[str] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    interrupts: list[dict[str, Any]] = field(default_factory=list)
    customs: list[tuple[str, Any]] = field(default_factory=list)


async def converse(client: Any, **always: Any) -> Conversation:
    """Have the conversation.

    Args:
        client: An `AsyncRunAgentClient`, or what has its methods.
        always: What the input of each turn has, such as ``tools=TOOLS`` for protocols that carry them.
    """
    seen = Conversation()
    messages: list[dict[str, Any]] = [QUESTION]
    session, calls, _ = await _turn(client, seen, **always, messages=messages)
    messages += with_results(seen.texts[-1], calls)
    session, calls, interrupts = await _turn(client, seen, **always, messages=messages, session_id=session)
    seen.interrupts += interrupts
    messages.append(said(seen.texts[-1], calls))
    answers = [answer(each, {"approved": True}) for each in interrupts]
    await _turn(client, seen, **always, messages=messages, session_id=session, resume=answers)
    return seen


async def _turn(client: Any, seen: Conversation, **asked: Any) -> tuple[Any, list[Any], list[Any]]:
    given = {name: value for name, value in asked.items() if value is not None}
    stream = client.run_generic_stream(given)
    events = [event async for event in stream.events()]
    seen.texts.append("".join(event.content for event in events if hasattr(event, "content")))
    calls = list(stream.tool_calls)
    seen.calls += [(call.name, json.loads(call.arguments)) for call in calls]
    seen.customs += [(event.name, event.value) for event in events if isinstance(event, Custom)]
    return stream.started.session_id, calls, stream.completed.interrupts


def said(text: str, calls: list[Any]) -> dict[str, Any]:
    """Make the assistant's message of a turn."""
    made = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    return {"role": "assistant", "content": text, "tool_calls": made}


def with_results(text: str, calls: list[Any]) -> list[dict[str, Any]]:
    """Make the assistant's message of a turn, and those with the results of the tools that it called."""
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
    return [said(text, calls), *results]
