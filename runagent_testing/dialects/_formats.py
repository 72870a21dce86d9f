"""How each event is written in each format of the stream (docs/wire.md sections 1 to 3). No I/O."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from runagent_testing.dialects._frames import PING, TEXT, frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing._script.steps import Chunk, Done, Error
    from runagent_testing.dialects import Dialect

__all__ = [
    "Format",
    "Run",
    "Transport",
    "given",
    "stream_format",
    "structured",
    "to_json",
]

Transport = Literal["sse", "chunked", "text", "websocket", "invoke", "run"]


@dataclass(frozen=True, slots=True)
class Run:
    """What a plan needs to know of the request it answers.

    Attributes:
        transport: Which protocol asks.
        run_id: The invocation's or request's id.
        timestamp: When the run began, ISO 8601.
        input: The agent's input, if it is an object.
        headers: The request's, names in lower case.
        http_1_1: False for HTTP/1.0, which knows no chunked framing.
        keep_alive: Whether the connection outlives the answer.
        dialect: What it is answered in; None for the built-in one that has this transport.
        resume_from: The place, from 0, of the first chunk that is wanted, as the dialect understood it.
        subprotocol: What the answer to a WebSocket's handshake names; None for none.
    """

    transport: str
    run_id: str
    timestamp: str
    input: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    http_1_1: bool = True
    keep_alive: bool = True
    dialect: Dialect | None = None
    resume_from: int | None = None
    subprotocol: str | None = None


# Made once: json.dumps would make one for every event.
_SPACED = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def to_json(value: Any, *, compact: bool = False) -> str:
    """Write JSON with its non-ASCII as it is, except lone surrogates, which become escapes."""
    if type(value) is int:
        return str(value)
    encode = (_COMPACT if compact else _SPACED).encode
    try:
        text = encode(value)
    except ValueError:
        text = encode(_finite(value))
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _object(fields: dict[str, Any], *, compact: bool = False) -> str:
    """Write an object with plain names as `to_json` does.

    Most values of an event are texts and numbers, which it writes five times as fast: json sets up an
    encoder anew for every object.
    """
    comma, colon = (",", ":") if compact else (", ", ": ")
    items = [f'"{name}"{colon}{to_json(value, compact=compact)}' for name, value in fields.items()]
    return f"{{{comma.join(items)}}}"


# In this order: True is an int, too.
_TYPE_NAMES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    dict: "object",
    list: "array",
    tuple: "array",
    type(None): "null",
}


def structured(value: Any) -> str:
    """Wrap a value as the published server does: JSON text in JSON text (docs/wire.md section 2)."""
    return _object({"type": _type_name(value), "payload": to_json(value)})


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _type_name(value: Any) -> str:
    known = _TYPE_NAMES.get(type(value))
    return known or next(name for kind, name in _TYPE_NAMES.items() if isinstance(value, kind))


def given(**fields: Any) -> dict[str, Any]:
    """Leave out the fields that are None."""
    return {name: value for name, value in fields.items() if value is not None}


class Format(Protocol):
    """Writes the events of one run; an instance serves one run only.

    Attributes:
        content_type: Of the answer; unused on a WebSocket.
        frames: What it writes are a WebSocket's frames (`runagent_testing.dialects._frames`).
        heartbeat: A sign of life without an event; empty where there is none.
        can_fail: Whether there is a word for an error; without one a run that fails is cut off.
        delimited: Whether a reader can tell where one chunk ends and the next begins.
    """

    content_type: str = ""
    frames: bool = False
    heartbeat: bytes = b""
    can_fail: bool = True
    delimited: bool = True

    def start(self, run: Run) -> bytes:
        """Write what comes before the first chunk, perhaps nothing."""

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write a chunk.

        Args:
            step: Its content, and what the script says of its names.
            index: Its place, where the script numbers its chunks.
            id: Its event id, where the script gives them.
        """

    def error(self, step: Error) -> bytes:
        """Write how the run fails; its message and code may be None."""

    def done(self, step: Done, run: Run, total_chunks: int) -> bytes:
        """Write the good end."""


class _Events(Format):
    """SSE and NDJSON: the same fields, one event each."""

    def event(self, name: str | None, fields: dict[str, Any], id: str | None = None) -> bytes:
        raise NotImplementedError

    def start(self, run: Run) -> bytes:
        return self.event("start", given(message="stream started", session_id=run.input.get("session_id")))

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        name = "chunk" if step.event is ... else step.event
        fields = {"content": step.content}
        if index is not None:
            fields["index"] = index
        return self.event(name, fields, id)

    def error(self, step: Error) -> bytes:
        return self.event("error", given(error=step.message, code=step.code, retry_after=step.retry_after))

    def done(self, step: Done, run: Run, total_chunks: int) -> bytes:
        about = given(message=step.message, usage=step.usage, execution_time=step.execution_time)
        return self.event("done", about | given(metadata=step.metadata))


class Sse(_Events):
    """Server-sent events (docs/wire.md section 1)."""

    content_type = "text/event-stream"
    heartbeat = b": heartbeat\n\n"

    def event(self, name: str | None, fields: dict[str, Any], id: str | None = None) -> bytes:
        lines = "" if name is None else f"event: {name}\n"
        lines += "" if id is None else f"id: {id}\n"
        return f"{lines}data: {_object(fields)}\n\n".encode()


class Ndjson(_Events):
    """One JSON object a line (docs/wire.md section 3)."""

    content_type = "application/x-ndjson"
    heartbeat = b"\n"

    def event(self, name: str | None, fields: dict[str, Any], id: str | None = None) -> bytes:
        return f"{_object(fields if name is None else {'type': name, **fields})}\n".encode()


class Text(Format):
    """Nothing but the text; values that are not text are written as JSON (docs/wire.md section 3)."""

    content_type = "text/plain; charset=utf-8"
    can_fail = False
    delimited = False

    def __init__(self) -> None:
        self._half = ""

    def start(self, run: Run) -> bytes:
        return b""

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        text = self._half + (step.content if isinstance(step.content, str) else to_json(step.content))
        # A high surrogate waits for its other half, which may begin the next chunk.
        cut = len(text) - 1 if "\ud800" <= text[-1:] <= "\udbff" else len(text)
        text, self._half = text[:cut], text[cut:]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()

    def error(self, step: Error) -> bytes:
        return b""

    def done(self, step: Done, run: Run, total_chunks: int) -> bytes:
        return "\ufffd".encode() if self._half else b""


class WebSocket(Format):
    """The published server's messages (docs/wire.md section 2)."""

    frames = True
    heartbeat = frame(PING, b"")

    def message(self, fields: dict[str, Any]) -> bytes:
        return frame(TEXT, _object(fields, compact=True).encode())

    def start(self, run: Run) -> bytes:
        return self.message({"type": "status", "status": "stream_started", "invocation_id": run.run_id})

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        name = "data" if step.event is ... else step.event
        fields = {"content": structured(step.content)}
        if name is not None:
            fields = {"type": name} | fields
        if step.index is not ... and step.index is not None:
            fields["index"] = step.index
        return self.message(fields)

    def error(self, step: Error) -> bytes:
        fields = given(error=step.message, code=step.code, retry_after=step.retry_after)
        return self.message({"type": "error"} | fields)

    def done(self, step: Done, run: Run, total_chunks: int) -> bytes:
        fields = {"total_chunks": total_chunks, "execution_time": step.execution_time or 0.0}
        extra = given(message=step.message, usage=step.usage, metadata=step.metadata)
        extra |= {"invocation_id": run.run_id}
        return self.message({"type": "status", "status": "stream_completed"} | fields | extra)


def stream_format(transport: str) -> Format:
    """Make the writer for one run of a built-in streaming transport."""
    formats: dict[str, type[Format]] = {"sse": Sse, "chunked": Ndjson, "text": Text, "websocket": WebSocket}
    return formats[transport]()
