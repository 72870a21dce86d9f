"""A LangGraph-like protocol: its transport, with promised names only; `threads_dialect` is its service.

A thread is made first, unless the caller goes on with one. A run streams on it, as server-sent events that
end with the body; what became of the run is asked for afterwards. Tool calls come in pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from runagent import (
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    Reasoning,
    Started,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
    ToolCall,
    ValidationError,
)
from runagent.transports import (
    Capability,
    HttpRequest,
    HttpSession,
    InvalidJSONError,
    SSEDecoder,
    Step,
    SurrogateJoiner,
    decode_json,
    encode_json,
    path_segment,
    quote,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from runagent.transports import AgentCall, Event, ResumePoint, Route, ServerSentEvent, StepAnswer


class Pieces:
    """A tool call that is not whole yet.

    Attributes:
        id: The call's id.
        name: The tool's name.
        arguments: The arguments so far, UTF-8; halves of an emoji are kept as they are.
    """

    def __init__(self, id: str | None, name: str) -> None:
        self.id = id
        self.name = name
        self.arguments = bytearray()

    def add(self, piece: str) -> int:
        """Add a piece of the arguments, and return its size in bytes."""
        data = piece.encode("utf-8", "surrogatepass")
        self.arguments += data
        return len(data)

    def whole(self, index: int) -> ToolCall:
        """Return the whole call."""
        halves = self.arguments.decode("utf-8", "surrogatepass")
        text = halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return ToolCall(self.id, self.name, text, index)


class ToolCalls:
    """Gathers tool calls from pieces, up to a size of all that are not whole.

    Args:
        max_bytes: The limit: the first event of each call that is not whole, and its further arguments.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.calls: dict[int, Pieces] = {}
        self.size = 0

    def take(self, piece: dict[str, Any], event_bytes: int) -> ToolCall | None:
        """Take a piece, and return the call if it is whole.

        Raises:
            StreamLimitError: The calls that are not whole are larger than the limit.
        """
        index = piece["index"]
        is_new = index not in self.calls
        if is_new:
            self.calls[index] = Pieces(piece["id"], piece["name"])
        size = self.calls[index].add(piece["arguments"])
        self.size += event_bytes if is_new else size
        self.check_size()
        if not piece.get("last"):
            return None
        call = self.calls.pop(index)
        if not self.calls:
            self.size = 0
        return call.whole(index)

    def check_size(self) -> None:
        """Check the limit."""
        if self.size > self.max_bytes:
            raise StreamLimitError(
                f"the tool calls that are not whole are larger than {self.max_bytes} bytes",
                limit_name="max_event_bytes",
                limit=self.max_bytes,
            )


class ThreadsSession(HttpSession):
    """One run on a thread."""

    expects = "text/event-stream"

    def before(self) -> Generator[Step, StepAnswer, None]:
        """Make a thread, unless the caller or an earlier attempt has one."""
        self.run: str | None = None
        self.thread = self.call.input.get("session_id")
        if self.thread is None:
            yield from self.make_thread()
        try:
            self.place = f"/threads/{path_segment(self.thread)}/runs"
        except ValueError as error:
            raise ValidationError("the session_id is not the id of a thread") from error

    def make_thread(self) -> Generator[Step, StepAnswer, None]:
        """Make a thread; the later attempts of the run go on with it."""
        self.thread = self.call.found.get("thread")
        if self.thread is None:
            answer = yield Step(self.json_request("POST", self.call.path("/threads", "threads_path"), {}))
            self.thread = answer.json()["thread_id"]
            path_segment(self.thread)
            self.call.found.keep("thread", self.thread)

    def json_request(self, method: str, target: str, body: Any = None) -> HttpRequest:
        """Make a request for a JSON document."""
        headers = self.call.request_headers(accept="application/json", key_field="X-Api-Key", key_prefix="")
        if body is None:
            return HttpRequest(method, target, headers)
        return HttpRequest(
            method, target, [*headers, ("Content-Type", "application/json")], encode_json(body)
        )

    def make_request(self) -> HttpRequest:
        """Return the request that begins the run."""
        headers = self.call.request_headers(accept=self.expects, key_field="X-Api-Key", key_prefix="")
        headers.append(("Content-Type", "application/json"))
        target = self.call.path(f"{self.place}/stream", "stream_path")
        body = {"assistant_id": self.call.agent_id, "input": self.call.input}
        return HttpRequest("POST", target, headers, encode_json(body))

    def open_body(self, content_type: str, charset: str) -> bool:
        """Accept an event stream."""
        self.decoder = SSEDecoder(max_event_bytes=self.call.limits.max_event_bytes)
        self.tools = self.make_tool_calls()
        self.texts = SurrogateJoiner()
        self.thoughts = SurrogateJoiner()
        self.thinks_in: str | None = None
        return content_type == self.expects

    def make_tool_calls(self) -> ToolCalls:
        """Return what gathers the tool calls."""
        return ToolCalls(self.call.limits.max_event_bytes)

    def read_body(self, data: bytes) -> list[Event]:
        """Return the events of the next bytes."""
        events: list[Event] = []
        for event in self.decoder.feed(data):
            try:
                events += self.read_event(event, decode_json(event.data))
            except StreamLimitError as error:
                self.fail(error)
                return events
            except (InvalidJSONError, LookupError, TypeError, ValueError, AttributeError):
                self.fail(ProtocolError(f"an event cannot be understood: {quote(event.data)}"))
                return events
        if self.decoder.error is not None:
            self.fail(self.decoder.error)
        return events

    def read_event(self, event: ServerSentEvent, value: Any) -> list[Event]:
        """Return what one event means."""
        match event.event, value:
            case "metadata", {"run_id": str(run)} if self.run is None:
                self.target = f"{self.place}/{path_segment(run)}"
                self.run = run
                return [Started(session_id=self.thread, invocation_id=run)]
            case _ if self.run is None:
                raise ValueError("the stream did not begin with its metadata")
            case "messages", {"content": str(content)}:
                return [Chunk(self.texts.join(content))]
            case "thinking", {"text": str(text)}:
                return self.read_thought(text, value.get("id"))
            case "tools", {"index": int(), "arguments": str()}:
                call = self.tools.take(value, len(event.data.encode("utf-8", "surrogatepass")))
                return [] if call is None else [call]
            case "custom", {"name": str(name)}:
                return [Custom(name, value.get("value"))]
            case "usage", dict():
                self.usage = value
            case "messages" | "thinking" | "tools" | "custom" | "usage", _:
                raise ValueError("an event of another form")
            case _:
                self.ignore(f"event {event.event}")
        return []

    def read_thought(self, text: str, id: str | None) -> list[Event]:
        """Return a piece of reasoning; another train of thought ends the one before it."""
        events: list[Event] = []
        if id != self.thinks_in and (half := self.thoughts.flush()):
            events.append(Reasoning(half, self.thinks_in))
        self.thinks_in = id
        return [*events, Reasoning(self.thoughts.join(text), id)]

    def end_body(self, proven: bool) -> list[Event]:
        """Ask what has become of the run: the end of its stream proves nothing."""
        if self.run is None or self.decoder.incomplete or self.tools.calls:
            raise StreamTruncatedError("the stream ended within an event or a tool call")
        events: list[Event] = []
        if half := self.thoughts.flush():
            events.append(Reasoning(half, self.thinks_in))
        if half := self.texts.flush():
            events.append(Chunk(half))
        self.follow(self.ask_for_status(proven))
        return events

    def ask_for_status(self, proven: bool) -> Generator[Step, StepAnswer, list[Event]]:
        """Ask for the run's status, and end the run with it."""
        answer = yield Step(self.json_request("GET", self.call.path(self.target, "status_path")))
        run = answer.json()
        match run["status"]:
            case "success" | "interrupted":
                return [self.completed(run, proven)]
            case "error":
                self.raise_failure(run.get("error") or {})
        raise StreamTruncatedError(f"the stream ended while the run was {quote(str(run['status']))}")

    def completed(self, run: Mapping[str, Any], proven: bool) -> Completed:
        """Return the good end of a run."""
        return Completed(
            usage=self.usage,
            stop_reason=run.get("stop_reason"),
            interrupts=run.get("interrupts") or [],
            message=run.get("message"),
            execution_time=run.get("execution_time"),
            metadata=run.get("metadata"),
            proven=proven,
        )

    def raise_failure(self, error: Mapping[str, Any]) -> NoReturn:
        """Raise the error with which the agent has failed."""
        raise StreamError(error.get("message") or "the run failed", code=error.get("code"))


class ThreadsTransport:
    """Runs of a LangGraph-like service."""

    name = "threads"
    api_version = 1
    capabilities = frozenset(
        {Capability.HEARTBEATS, Capability.REASONING, Capability.REUSE, Capability.TOOLS}
    )
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> ThreadsSession:
        """See `Transport.open`."""
        return ThreadsSession(call, route, resume)
