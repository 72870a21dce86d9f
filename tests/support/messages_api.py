"""Streams of the Messages API as servers write them, and sessions that read them."""

from __future__ import annotations

import json
from typing import Any

from runagent import Chunk, Completed, Started
from tests.support.peer import sse
from tests.support.sessions import WHOLE, Seen, feed, open_session

__all__ = [
    "START",
    "STOP",
    "USAGE",
    "begins",
    "delta",
    "ends",
    "event",
    "others",
    "run",
    "stops",
    "text",
    "thought",
]

USAGE = {"input_tokens": 4, "output_tokens": 1}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    """An event as the service writes it."""
    return {"type": kind, **fields}


START = event("message_start", message={"id": "msg_1", "type": "message", "model": "m-1", "usage": USAGE})
STOP = event("message_stop")


def begins(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    """The begin of a content block."""
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


def delta(index: int, **fields: Any) -> dict[str, Any]:
    """A piece of a content block; its type follows from the field."""
    (name,) = fields
    return event(
        "content_block_delta", index=index, delta={"type": _DELTAS.get(name, f"{name}_delta"), **fields}
    )


_DELTAS = {"partial_json": "input_json_delta", "citation": "citations_delta"}


def text(piece: str, index: int = 0) -> dict[str, Any]:
    """A piece of text."""
    return delta(index, text=piece)


def thought(piece: str, index: int = 0) -> dict[str, Any]:
    """A piece of thinking."""
    return delta(index, thinking=piece)


def ends(index: int) -> dict[str, Any]:
    """The end of a content block."""
    return event("content_block_stop", index=index)


def stops(reason: str | None = "end_turn", usage: Any = None, **fields: Any) -> dict[str, Any]:
    """Why the model stopped, and what it used."""
    return event(
        "message_delta", delta={"stop_reason": reason, **fields}, usage=usage or {"output_tokens": 7}
    )


def run(*payloads: Any, step: int = WHOLE, end: bool = True, named: bool = True, **fields: Any) -> Seen:
    """Feed the events of an answer, in steps of some bytes; without `end`, its body is cut.

    Args:
        payloads: The events: objects, or bytes as they are.
        step: Bytes of each piece.
        end: Whether the body has its formal end.
        named: Whether the events have their names, as the service writes them.
        fields: Those of the call.
    """
    return feed(
        open_session("anthropic", **fields),
        sse(*(_written(each, named) for each in payloads), end=end),
        step=step,
        eof=True,
    )


def _written(payload: Any, named: bool) -> bytes:
    if isinstance(payload, bytes):
        return payload
    name = f"event: {payload['type']}\n" if named else ""
    return f"{name}data: {json.dumps(payload)}\n\n".encode()


def others(seen: Seen) -> list[Any]:
    """The events that are neither content nor the beginning or the end."""
    return [event for event in seen.events if not isinstance(event, Started | Chunk | Completed)]
