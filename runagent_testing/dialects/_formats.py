"""The built-in formats, which write the events of a stream (docs/wire.md sections 1 to 3). No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing.dialects._base import Format
from runagent_testing.dialects._frames import PING, TEXT, frame
from runagent_testing.dialects._jsontext import object_json, structured, to_json, without_none

if TYPE_CHECKING:
    from runagent_testing._script.steps import Chunk, Custom, Done, Error, Reasoning, ToolCall
    from runagent_testing.dialects._base import DialectRun

__all__ = ["Transport", "stream_format"]

__tracebackhide__ = is_ours

Transport = Literal["sse", "chunked", "text", "websocket", "invoke", "run"]


def _reasoning(step: Reasoning) -> dict[str, Any]:
    return {"text": step.text} | without_none(id=step.id)


def _tool_call(step: ToolCall) -> dict[str, Any]:
    return without_none(id=step.id, name=step.name, arguments=step.arguments, index=step.index)


def _custom(step: Custom) -> dict[str, Any]:
    return {"name": step.name, "value": step.value}


def _end(step: Done) -> dict[str, Any]:
    return without_none(metadata=step.metadata, stop_reason=step.stop_reason, interrupts=step.interrupts)


class _Events(Format):
    """SSE and NDJSON: the same fields, one event each."""

    def event(self, name: str | None, fields: dict[str, Any], id: str | None = None) -> bytes:
        raise NotImplementedError

    def start(self, run: DialectRun) -> bytes:
        session_id = run.input.get("session_id") if run.session_id is None else run.session_id
        return self.event("start", without_none(message="stream started", session_id=session_id))

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        name = "chunk" if step.event is ... else step.event
        fields = {"content": step.content}
        if index is not None:
            fields["index"] = index
        return self.event(name, fields, id)

    def reasoning(self, step: Reasoning) -> bytes:
        return self.event("reasoning", _reasoning(step))

    def tool_call(self, step: ToolCall) -> bytes:
        return self.event("tool_call", _tool_call(step))

    def custom(self, step: Custom) -> bytes:
        return self.event("custom", _custom(step))

    def error(self, step: Error) -> bytes:
        return self.event(
            "error", without_none(error=step.message, code=step.code, retry_after=step.retry_after)
        )

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        about = without_none(message=step.message, usage=step.usage, execution_time=step.execution_time)
        return self.event("done", about | _end(step))


class Sse(_Events):
    """Server-sent events (docs/wire.md section 1)."""

    content_type = "text/event-stream"
    heartbeat = b": heartbeat\n\n"

    def event(self, name: str | None, fields: dict[str, Any], id: str | None = None) -> bytes:
        lines = "" if name is None else f"event: {name}\n"
        lines += "" if id is None else f"id: {id}\n"
        return f"{lines}data: {object_json(fields)}\n\n".encode()


class Ndjson(_Events):
    """One JSON object a line (docs/wire.md section 3)."""

    content_type = "application/x-ndjson"
    heartbeat = b"\n"

    def event(self, name: str | None, fields: dict[str, Any], id: str | None = None) -> bytes:
        return f"{object_json(fields if name is None else {'type': name, **fields})}\n".encode()


class Text(Format):
    """Plain text only; other values are written as JSON (docs/wire.md section 3)."""

    content_type = "text/plain; charset=utf-8"
    supports_errors = False
    delimited = False

    def __init__(self) -> None:
        self._half = ""

    def start(self, run: DialectRun) -> bytes:
        return b""

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        text = self._half + (step.content if isinstance(step.content, str) else to_json(step.content))
        # A high surrogate waits for its other half, which may begin the next chunk.
        cut = len(text) - 1 if "\ud800" <= text[-1:] <= "\udbff" else len(text)
        text, self._half = text[:cut], text[cut:]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()

    def error(self, step: Error) -> bytes:
        return b""

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        return "\ufffd".encode() if self._half else b""


class WebSocket(Format):
    """The published server's messages (docs/wire.md section 2)."""

    writes_frames = True
    heartbeat = frame(PING, b"")

    def message(self, fields: dict[str, Any]) -> bytes:
        return frame(TEXT, object_json(fields, compact=True).encode())

    def start(self, run: DialectRun) -> bytes:
        started = {"type": "status", "status": "stream_started", "invocation_id": run.run_id}
        return self.message(started | without_none(session_id=run.session_id))

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        name = "data" if step.event is ... else step.event
        fields = {"content": structured(step.content)}
        if name is not None:
            fields = {"type": name} | fields
        if step.index is not ... and step.index is not None:
            fields["index"] = step.index
        return self.message(fields)

    def reasoning(self, step: Reasoning) -> bytes:
        return self.message({"type": "reasoning"} | _reasoning(step))

    def tool_call(self, step: ToolCall) -> bytes:
        return self.message({"type": "tool_call"} | _tool_call(step))

    def custom(self, step: Custom) -> bytes:
        return self.message({"type": "custom"} | _custom(step))

    def error(self, step: Error) -> bytes:
        fields = without_none(error=step.message, code=step.code, retry_after=step.retry_after)
        return self.message({"type": "error"} | fields)

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        fields = {"total_chunks": total_chunks, "execution_time": step.execution_time or 0.0}
        extra = without_none(message=step.message, usage=step.usage) | _end(step)
        extra |= {"invocation_id": run.run_id}
        return self.message({"type": "status", "status": "stream_completed"} | fields | extra)


def stream_format(transport: str) -> Format:
    """Make the writer for one run of a built-in streaming transport."""
    formats: dict[str, type[Format]] = {"sse": Sse, "chunked": Ndjson, "text": Text, "websocket": WebSocket}
    return formats[transport]()
