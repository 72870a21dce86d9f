"""The answers that are measured: the documented payloads, on every wire, as the bytes of whole responses.

The n-th event is ``word N ``, every eighth one with a letter beyond ASCII. An answer is a head, the events
one by one, and an ending; the server writes them at once or one by one.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WIRES", "Answer", "answer", "stamped", "word"]


@dataclass(frozen=True)
class Answer:
    """One response in pieces.

    Attributes:
        head: The response's head, and whatever comes before the first event.
        events: The events.
        ending: What ends the run.
    """

    head: bytes
    events: tuple[bytes, ...]
    ending: bytes

    @property
    def whole(self) -> bytes:
        """Everything in one piece."""
        return b"".join((self.head, *self.events, self.ending))


def word(number: int) -> str:
    """Return the text of an event."""
    return f"wörd {number} " if number % 8 == 0 else f"word {number} "


@lru_cache(maxsize=32)
def answer(wire: str, count: int) -> Answer:
    """Write an answer of so many events."""
    render = WIRES[wire]
    events = tuple(render.event(word(number), number) for number in range(count))
    return Answer(render.head, events, render.ending)


def stamped(wire: str, number: int) -> bytes:
    """Write one event whose text is the moment of its writing, in nanoseconds."""
    return WIRES[wire].event(str(time.monotonic_ns()), number)


@dataclass(frozen=True)
class Wire:
    """How one wire writes a run."""

    head: bytes
    event: Callable[[str, int], bytes]
    ending: bytes


def _json(value: Any, *, compact: bool = False) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":") if compact else None)


def _chunk(text: str) -> bytes:
    data = text.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(content_type: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def _sse(name: str, data: str) -> bytes:
    return _chunk(f"event: {name}\ndata: {data}\n\n")


def _frame(text: str) -> bytes:
    data = text.encode()
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2)
    return b"\x81" + length + data


def _openai(text: str, number: int) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    message = {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    return _chunk(f"data: {_json(message)}\n\n")


def _anthropic(text: str, number: int) -> bytes:
    delta = {"type": "text_delta", "text": text}
    message = {"type": "content_block_delta", "index": 0, "delta": delta}
    return _sse("content_block_delta", _json(message, compact=True))


def _published(text: str, number: int) -> bytes:
    content = _json({"type": "string", "payload": _json(text)})
    return _frame(_json({"type": "data", "content": content}, compact=True))


def _plain(text: str, number: int) -> bytes:
    return _frame(_json({"type": "data", "content": text}, compact=True))


_EVENTS = _head("text/event-stream")
_DONE = {"message": "Stream completed", "usage": {"total_tokens": 150}, "execution_time": 2.5}
_MESSAGE: dict[str, Any] = {
    "id": "m-1",
    "type": "message",
    "role": "assistant",
    "content": [],
    "model": "m",
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
_STARTED = {"type": "status", "status": "stream_started", "invocation_id": "i-1"}
_COMPLETED = {"type": "status", "status": "stream_completed", "total_chunks": 1, "execution_time": 0.1}

WIRES = {
    "sse": Wire(
        _EVENTS + _sse("start", _json({"message": "Stream started", "session_id": "s-1"})),
        lambda text, number: _sse("chunk", _json({"content": text, "index": number})),
        _sse("done", _json(_DONE)) + b"0\r\n\r\n",
    ),
    "ndjson": Wire(
        _head("application/x-ndjson") + _chunk(_json({"type": "start"}) + "\n"),
        lambda text, number: _chunk(_json({"type": "chunk", "content": text, "index": number}) + "\n"),
        _chunk(_json({"type": "done"} | _DONE) + "\n") + b"0\r\n\r\n",
    ),
    "openai": Wire(_EVENTS, _openai, _chunk("data: [DONE]\n\n") + b"0\r\n\r\n"),
    "anthropic": Wire(
        _EVENTS + _sse("message_start", _json({"type": "message_start", "message": _MESSAGE})),
        _anthropic,
        _sse("message_stop", _json({"type": "message_stop"})) + b"0\r\n\r\n",
    ),
    "published": Wire(_frame(_json(_STARTED)), _published, _frame(_json(_COMPLETED))),
    "plain": Wire(
        _frame(_json(_STARTED)),
        _plain,
        _frame(_json(_COMPLETED)),
    ),
}
