"""Chat Completions as endpoints write them, and sessions that read them."""

from __future__ import annotations

import json
from typing import Any

from runagent import Chunk, Completed, Started
from tests.support.peer import sse
from tests.support.sessions import WHOLE, Seen, feed, open_session

__all__ = [
    "DONE",
    "ID",
    "STOP",
    "USAGE",
    "WEATHER",
    "call",
    "ended",
    "events",
    "others",
    "piece",
    "run",
    "sends",
]

ID = "chatcmpl-1"
USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
DONE = "[DONE]"
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
WEATHER = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


def sends(delta: Any, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk as the endpoint writes it."""
    about = {"id": ID, "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
    return {**about, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **fields}


def piece(text: str) -> dict[str, Any]:
    """A chunk of text."""
    return sends({"content": text})


def call(index: int | None = 0, **fields: Any) -> dict[str, Any]:
    """A piece of a tool call; name and arguments belong to its function."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    place = {} if index is None else {"index": index}
    return sends({"tool_calls": [{**place, "function": function, **fields}]})


def events(*payloads: Any) -> list[bytes]:
    """Unnamed events: objects as JSON, text as it is."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in payloads]
    return [f"data: {text}\n\n".encode() for text in texts]


def run(*payloads: Any, step: int = WHOLE, end: bool = True, **fields: Any) -> Seen:
    """Feed the events of an answer, in steps of some bytes; without `end`, its body is cut."""
    return feed(open_session("openai", **fields), sse(*events(*payloads), end=end), step=step, eof=True)


def others(seen: Seen) -> list[Any]:
    """The events that are neither content nor the beginning or the end."""
    return [event for event in seen.events if not isinstance(event, Started | Chunk | Completed)]


def ended(seen: Seen) -> Any:
    """How a stream ended: the error's type, or whether the end is proven and why the model stopped."""
    if seen.error is not None:
        return type(seen.error)
    last = seen.events[-1]
    assert isinstance(last, Completed)
    assert last.stop_reason == (last.metadata or {}).get("finish_reason")
    return last.proven, last.stop_reason
