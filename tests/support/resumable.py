"""Two draft transports that resume: by ids that the protocol orders, and by a snapshot of everything so far.

Both are over SSE, in the manner of LangGraph and of A2A, and as short as an author could write them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import Chunk, Completed, ProtocolError, RunAgentError, StreamError, StreamTruncatedError
from runagent.transports import (
    Capability,
    HttpRequest,
    HttpSession,
    IdOrder,
    InvalidJSONError,
    SnapshotParts,
    SSEDecoder,
    SurrogateJoiner,
    Wants,
    decode_json,
    encode_json,
)

if TYPE_CHECKING:
    from runagent.transports import AgentCall, Event, ResumePoint, Route

__all__ = ["TaskTransport", "ThreadTransport"]


class EventSession(HttpSession):
    """Reads events whose data is a JSON object."""

    expects = "text/event-stream"

    def request(self, method: str, path: str, *fields: tuple[str, str]) -> HttpRequest:
        headers = [*self.call.request_headers(accept=self.expects), *fields]
        return HttpRequest(method, self.call.path(path, "path"), headers, encode_json(self.call.input))

    def open_body(self, content_type: str, charset: str) -> bool:
        self.decoder = SSEDecoder(max_event_bytes=self.call.limits.max_event_bytes)
        self.texts = SurrogateJoiner()
        return content_type == self.expects

    def read_body(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        fault: RunAgentError | None
        for event in self.decoder.feed(data):
            try:
                message = decode_json(event.data)
                if "error" in message:
                    fault = StreamError(message["error"])
                else:
                    fault = self.take(message, event.id if event.has_id else None, events)
            except (InvalidJSONError, LookupError, TypeError, AttributeError) as exc:
                fault = ProtocolError(f"an event cannot be understood: {exc!r}")
            if fault is not None:
                self.fail(fault)
            if self.wants is Wants.DONE:
                return events
        if self.decoder.error is not None:
            self.fail(self.decoder.error)
        return events

    def take(self, message: Any, event_id: str | None, events: list[Event]) -> RunAgentError | None:
        raise NotImplementedError

    def end_body(self, proven: bool) -> list[Event]:
        raise StreamTruncatedError("the stream ended too early")


class ThreadSession(EventSession):
    """``{"text": "…"}`` or ``{"tool": "…", "last": true}`` with an id ``<ms>-<n>``, and ``{"end": true}``."""

    def make_request(self) -> HttpRequest:
        if self.resume is None:
            return self.request("POST", "/threads/{agent_id}/stream", ("Content-Type", "application/json"))
        return self.request("GET", "/threads/{agent_id}/stream", ("Last-Event-ID", self.resume.last_event_id))

    def open_body(self, content_type: str, charset: str) -> bool:
        self.order = IdOrder(self.place_of, self.resume)
        self.tool = ""
        return super().open_body(content_type, charset)

    @staticmethod
    def place_of(event_id: str) -> tuple[int, int]:
        milliseconds, number = event_id.split("-")
        return int(milliseconds), int(number)

    def take(self, message: Any, event_id: str | None, events: list[Event]) -> RunAgentError | None:
        given: list[Event] = []
        if "text" in message:
            given.append(Chunk(self.texts.join(message["text"]), id=event_id))
        elif "tool" in message:
            self.tool += message["tool"]
            if message.get("last"):
                given.append(Chunk(f"<{self.tool}>", id=event_id))
                self.tool = ""
        holds = bool(self.tool or self.texts.half)
        if fault := self.order.take(event_id, gives=bool(given), holds=holds):
            return fault
        events += given
        self.resume_point = self.order.resume_point()
        if message.get("end"):
            self.finish()
            events.append(Completed())
        return None


class ThreadTransport:
    name = "thread"
    api_version = 1
    capabilities = frozenset({Capability.RESUME_BY_ID, Capability.HEARTBEATS, Capability.REUSE})
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> HttpSession:
        return ThreadSession(call, route, resume)


class TaskSession(EventSession):
    """``{"task": {"id", "artifacts"}}``, ``{"artifact": {…}}``, which adds parts, and ``{"state": …}``."""

    def make_request(self) -> HttpRequest:
        self.parts = SnapshotParts(self.resume, max_parts=self.call.limits.max_snapshot_parts)
        self.texts = SurrogateJoiner()
        if self.resume is None:
            return self.request("POST", "/message:stream", ("Content-Type", "application/json"))
        return self.request("GET", f"/tasks/{self.call.found.get('task')}:subscribe")

    @property
    def resume_point(self) -> ResumePoint | None:  # type: ignore[override]  # made when it is asked for
        known = self.call.found.get("task") and not self.texts.half
        return self.parts.resume_point() if known else None

    def take(self, message: Any, event_id: str | None, events: list[Event]) -> RunAgentError | None:
        if "task" in message:
            self.call.found.keep("task", message["task"]["id"])
            new, fault = self.parts.take_snapshot(pieces(*message["task"].get("artifacts", ())))
            events += [Chunk(self.whole(content)) for _, content in new]
            return fault
        if "artifact" in message:
            for name, content in pieces(message["artifact"]):
                if fault := self.parts.add(name, content):
                    return fault
                events.append(Chunk(self.whole(content)))
        elif message["state"] == "completed":
            self.finish()
            events.append(Completed())
        return None

    def whole(self, content: Any) -> Any:
        return self.texts.join(content) if isinstance(content, str) else content


def pieces(*artifacts: Any) -> list[tuple[str, Any]]:
    return [(each["id"], part.get("text", part.get("data"))) for each in artifacts for part in each["parts"]]


class TaskTransport:
    name = "task"
    api_version = 1
    capabilities = frozenset(
        {Capability.RESUME_BY_SNAPSHOT, Capability.HEARTBEATS, Capability.REUSE, Capability.STRUCTURED}
    )
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> HttpSession:
        return TaskSession(call, route, resume)
