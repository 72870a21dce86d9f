"""The service's side of the protocol of `threads`, as its transport's author would bring it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent_testing.dialects import (
    Dialect,
    Done,
    Error,
    Format,
    RunRequest,
    Status,
    parse_json,
    to_json,
    without_none,
)

if TYPE_CHECKING:
    from runagent_testing import dialects
    from runagent_testing.dialects import DialectHost, DialectRun, HostedRun, Request

__all__ = ["ThreadsDialect", "sse"]


def sse(event: str, value: Any) -> bytes:
    """Write an event with CRLF line ends."""
    return f"event: {event}\r\ndata: {to_json(value)}\r\n\r\n".encode()


class ThreadsFormat(Format):
    """Writes the events of one run; only its status reports how it ended."""

    content_type = "text/event-stream"
    separate_end = True
    heartbeat = b": heartbeat\r\n\r\n"

    def __init__(self, piece: int) -> None:
        self.piece = piece
        self.calls = 0

    def start(self, run: DialectRun) -> bytes:
        """Name the run."""
        return sse("metadata", {"run_id": run.run_id})

    def chunk(self, step: dialects.Chunk, index: int | None, id: str | None) -> bytes:
        """Write text; any other value as its JSON."""
        content = step.content if isinstance(step.content, str) else to_json(step.content)
        return sse("messages", {"content": content})

    def reasoning(self, step: dialects.Reasoning) -> bytes:
        """Write a thought."""
        return sse("thinking", without_none(text=step.text, id=step.id))

    def tool_call(self, step: dialects.ToolCall) -> bytes:
        """Write a call, its arguments in pieces."""
        index = self.calls if step.index is None else step.index
        self.calls += 1
        size = self.piece
        pieces = [step.arguments[at : at + size] for at in range(0, len(step.arguments), size)] or [""]
        first: dict[str, Any] = {"id": step.id, "name": step.name, "index": index, "arguments": pieces[0]}
        messages: list[dict[str, Any]] = [
            first,
            *({"index": index, "arguments": piece} for piece in pieces[1:]),
        ]
        messages[-1]["last"] = True
        return b"".join(sse("tools", message) for message in messages)

    def custom(self, step: dialects.Custom) -> bytes:
        """Write a custom event."""
        return sse("custom", {"name": step.name, "value": step.value})

    def error(self, step: Error) -> bytes:
        """Write nothing: the status has it."""
        return b""

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write the usage; the status has the rest."""
        return b"" if step.usage is None else sse("usage", step.usage)


class ThreadsDialect(Dialect):
    """Makes threads, runs agents on them, and reports what became of a run.

    Attributes:
        piece: The length of a piece of a tool call's arguments, in characters.
    """

    name = "threads"
    transports = ("threads",)
    keeps_runs = True
    piece = 30
    stream_path = re.compile(r"/threads/([^/?]+)/runs/stream")
    run_path = re.compile(r"/threads/([^/?]+)/runs/([^/?]+)")

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        if request.method != "POST" or self.stream_path.fullmatch(request.path) is None:
            return None
        body = parse_json(request.body)
        asked = body if isinstance(body, dict) else {}
        agent_id = str(asked.get("assistant_id"))
        return RunRequest(agent_id=agent_id, transport=self.name, body=body, input=asked.get("input"))

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        """See `Dialect.answer`."""
        if (request.method, request.path) == ("POST", "/threads"):
            return Status(200, body={"thread_id": f"thread-{host.number('thread')}"})
        match = self.run_path.fullmatch(request.path)
        if request.method != "GET" or match is None:
            return None
        run = host.run(unquote(match[2]))
        if run is None:
            return Status(404, body={"detail": "no such run"})
        return Status(200, body={"run_id": run.id, "thread_id": unquote(match[1]), **self.outcome(run)})

    def outcome(self, run: HostedRun) -> dict[str, Any]:
        """Return what became of a run."""
        last = run.sent[-1] if run.sent else None
        if isinstance(last, Error):
            return {"status": "error", "error": without_none(code=last.code, message=last.message)}
        if run.status != "completed":
            return {"status": "running"}
        end = last if isinstance(last, Done) else Done()
        facts = without_none(
            message=end.message,
            execution_time=end.execution_time,
            stop_reason=end.stop_reason,
            metadata=end.metadata,
            interrupts=end.interrupts,
        )
        return {"status": "interrupted" if end.interrupts else "success", **facts}

    def find_api_key(self, request: Request) -> str | None:
        """See `Dialect.find_api_key`."""
        return request.headers.get("x-api-key")

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        return ThreadsFormat(self.piece)
