"""The RunAgent formats as a relay writes them: events in, bytes out. See docs/wire.md, sections 1 to 3.

A relay announces a stream by ``start``, with the ids of the conversation and of the run, before its first
event, and ends it by ``done`` or ``error``.
"""

from __future__ import annotations

from itertools import groupby
from math import isinf
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from runagent._events import Chunk, Completed, Custom, Reasoning, ToolCall
from runagent._wire.jsontext import encode_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent._events import Event

__all__ = ["END_ID", "FORMATS", "INCLUDABLE", "Format"]

INCLUDABLE = frozenset({"reasoning", "tool_call", "custom", "usage"})
END_ID = "end"  # the event id of the last event: a browser that reconnects with it gets no other run
RETRY_MILLISECONDS = 3000
_CHUNK_BEGIN, _CHUNK_END = b'event: chunk\ndata: {"content":', b"}\n\n"
_CHUNK = _CHUNK_BEGIN + b"%b" + _CHUNK_END
_NUMBERED_CHUNK = b'event: chunk\nid: %d\ndata: {"content":%b,"index":%d}\n\n'
_BETWEEN_CHUNKS = b'}\n\nevent: chunk\ndata: {"content":'
_LINE = b'{"type":"chunk","content":%b}\n'
_BETWEEN_LINES = b'}\n{"type":"chunk","content":'
_NUMBERED_LINE = b'{"type":"chunk","content":%b,"index":%d}\n'
_encoder = msgspec.json.Encoder()
_encode = _encoder.encode
_KINDS = {
    str: b"string",
    bool: b"boolean",
    int: b"integer",
    float: b"number",
    list: b"array",
    dict: b"object",
    type(None): b"null",
}


class Format:
    """Writes the events of one stream.

    Attributes:
        content_type: The media type of the answer.
        opening: What is written with the head of the answer, so that servers and proxies send it at once.
        heartbeat: What is written into a long silence.
    """

    __slots__ = ("_include",)

    content_type: ClassVar[str]
    opening: ClassVar[bytes] = b""
    heartbeat: ClassVar[bytes]

    def __init__(self, include: frozenset[str]) -> None:
        self._include = include

    def chunk(self, chunk: Chunk) -> bytes:
        """Write a chunk."""
        raise NotImplementedError

    def message(self, kind: str, fields: dict[str, Any]) -> bytes:
        """Write any other event."""
        raise NotImplementedError

    def chunks(self, chunks: Sequence[Chunk]) -> list[bytes]:
        """Write chunks that came together."""
        return [self.chunk(each) for each in chunks]

    def events(self, events: Sequence[Event]) -> list[bytes]:
        """Write those of the events that are relayed."""
        if {*map(type, events)} == {Chunk}:
            return self.chunks(events)  # type: ignore[arg-type]  # by their types
        written: list[bytes] = []
        for is_chunk, alike in groupby(events, _is_chunk):
            group: list[Any] = list(alike)
            written += self.chunks(group) if is_chunk else map(self._other, group)
        return [each for each in written if each]

    def start(self, session_id: str | None, run_id: str) -> bytes:
        """Write what comes before the first event."""
        return self.message("start", _given(session_id=session_id, invocation_id=run_id))

    def _other(self, event: Event) -> bytes:
        """Write an event that is no chunk; nothing if it is not relayed."""
        include = self._include
        if isinstance(event, Reasoning) and "reasoning" in include:
            return self.message("reasoning", _given(text=event.text, id=event.id))
        if isinstance(event, ToolCall) and "tool_call" in include:
            fields = _given(name=event.name, arguments=event.arguments, id=event.id, index=event.index)
            return self.message("tool_call", fields)
        if isinstance(event, Custom) and "custom" in include:
            return self.message("custom", {"name": event.name, "value": event.value})
        return self.message("done", self._end(event)) if isinstance(event, Completed) else b""

    def _end(self, event: Completed) -> dict[str, Any]:
        """Return why the run ended, and for which answers it waits; its usage only if that is relayed."""
        fields = _given(stop_reason=event.stop_reason, interrupts=event.interrupts or None)
        if not event.proven:
            fields["proven"] = False
        if "usage" in self._include:
            fields |= _given(usage=event.usage, execution_time=event.execution_time)
        return fields


class ServerSentEvents(Format):
    """Server-sent events, for an ``EventSource`` or any client of the documented API."""

    __slots__ = ()

    content_type = "text/event-stream; charset=utf-8"
    opening = b"retry: %d\n\n" % RETRY_MILLISECONDS
    heartbeat = b":\n\n"

    def chunk(self, chunk: Chunk) -> bytes:
        """Write a chunk; one that the agent numbers has its index as event id."""
        if chunk.index is None:
            return _CHUNK_BEGIN + write(chunk.content) + _CHUNK_END
        index = chunk.index
        return _NUMBERED_CHUNK % (index, write(chunk.content), index)

    def chunks(self, chunks: Sequence[Chunk]) -> list[bytes]:
        """Write chunks that came together, in one call if they are alike."""
        numbers, lines = numbers_of(chunks), write_lines(chunks)
        if lines is None or numbers is None:
            return super().chunks(chunks)
        if numbers:
            rows = zip(numbers, lines.split(b"\n"), numbers, strict=True)
            return [_NUMBERED_CHUNK % row for row in rows]
        return [_CHUNK % lines.replace(b"\n", _BETWEEN_CHUNKS)]

    def message(self, kind: str, fields: dict[str, Any]) -> bytes:
        """Write any other event; the last one has the id of the end."""
        last = f"id: {END_ID}\n" if kind in ("done", "error") else ""
        return b"event: %b\n%bdata: %b\n\n" % (kind.encode(), last.encode(), write(fields))


class JSONLines(Format):
    """One JSON object a line."""

    __slots__ = ()

    content_type = "application/x-ndjson"
    opening = heartbeat = b"\n"

    def chunk(self, chunk: Chunk) -> bytes:
        """Write a chunk."""
        content, index = write(chunk.content), chunk.index
        if index is None:
            return _LINE % content
        return _NUMBERED_LINE % (content, index)

    def chunks(self, chunks: Sequence[Chunk]) -> list[bytes]:
        """Write chunks that came together, in one call if all are numbered or none is."""
        numbers, lines = numbers_of(chunks), write_lines(chunks)
        if lines is None or numbers is None:
            return super().chunks(chunks)
        if numbers:
            rows = zip(lines.split(b"\n"), numbers, strict=True)
            return [_NUMBERED_LINE % row for row in rows]
        return [_LINE % lines.replace(b"\n", _BETWEEN_LINES)]

    def message(self, kind: str, fields: dict[str, Any]) -> bytes:
        """Write any other event."""
        return write({"type": kind, **fields}) + b"\n"


class Messages(Format):
    """The messages of the published server, one in each message of a WebSocket."""

    __slots__ = ()

    content_type = ""
    heartbeat = b'{"type":"status","status":"heartbeat"}'

    def chunk(self, chunk: Chunk) -> bytes:
        """Write a chunk; its content is wrapped twice, and its index has no place here."""
        content = chunk.content
        kind = next((_KINDS[each] for each in type(content).__mro__ if each in _KINDS), b"object")
        if kind == b"number" and isinf(content):  # type: ignore[arg-type]  # a float, by its kind
            payload = b'"inf"' if content > 0 else b'"-inf"'  # type: ignore[operator]
        else:
            payload = write(content)
        wrapped = b'{"type":"%b","payload":%b}' % (kind, write(payload.decode()))
        return b'{"type":"data","content":%b}' % write(wrapped.decode())

    def message(self, kind: str, fields: dict[str, Any]) -> bytes:
        """Write any other event."""
        if kind == "start":
            return write({"type": "status", "status": "stream_started", **fields})
        if kind == "done":
            return write({"type": "status", "status": "stream_completed", **fields})
        return write({"type": kind, **fields})


def write(value: Any) -> bytes:
    """Encode a value; half of a surrogate pair, which UTF-8 cannot hold, becomes an escape."""
    try:
        return _encode(value)
    except TypeError:  # see `encode_json`
        return encode_json(value)
    except UnicodeEncodeError:
        import json

        return json.dumps(value, separators=(",", ":")).encode()


def _is_chunk(event: Event) -> bool:
    return type(event) is Chunk


def numbers_of(chunks: Sequence[Chunk]) -> list[int | None] | None:
    """Return the chunks' numbers; [] if none has one, None if only some have."""
    numbers = [chunk.index for chunk in chunks]
    missing = numbers.count(None)
    return numbers if not missing else [] if missing == len(numbers) else None


def write_lines(chunks: Sequence[Chunk]) -> bytes | None:
    """Encode the contents in one call, with LF between two and nowhere else; None if one needs `write`."""
    try:
        return _encoder.encode_lines([chunk.content for chunk in chunks])[:-1]
    except (TypeError, UnicodeEncodeError):
        return None


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


FORMATS: dict[str, type[Format]] = {"sse": ServerSentEvents, "ndjson": JSONLines, "websocket": Messages}
