"""A protocol of journals: its transport and its dialect, written with promised names only.

``POST /runs`` starts a run in the background and is answered with 202 and the run's id. A ``GET`` of
``/runs/{id}/events`` reads the run's journal, as server-sent events with ids ``<milliseconds>-<number>``,
behind ``Last-Event-ID`` if there is one. Any number of readers may come, at any time; only the event ``end``
ends a journal well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent import (
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    Reasoning,
    RunAgentError,
    Started,
    StreamError,
    StreamTruncatedError,
    ToolCall,
)
from runagent.transports import (
    Capability,
    HttpRequest,
    HttpSession,
    IdOrder,
    InvalidJSONError,
    ResumePoint,
    RunIds,
    SSEDecoder,
    Step,
    SurrogateJoiner,
    decode_json,
    encode_json,
    mark_error,
    quote,
)
from runagent_testing.dialects import Dialect, Format, RunRequest, Status, parse_json, to_json, without_none

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import AgentCall, Event, Route, ServerSentEvent, StepAnswer
    from runagent_testing import dialects
    from runagent_testing.dialects import DialectHost, DialectRun, Request


def place_of(event_id: str) -> tuple[int, int]:
    """Return the place of an event in its journal.

    Raises:
        ValueError: It is not an id of this protocol.
    """
    milliseconds, number = event_id.split("-")
    return int(milliseconds), int(number)


class JournalSession(HttpSession):
    """Starts a run and reads its journal; with the ids of a run, only reads."""

    expects = "text/event-stream"
    reading = False

    def before(self) -> Generator[Step, StepAnswer, None]:
        """Start the run, unless the call or an earlier attempt has one."""
        run = self.known_run()
        if run is None:
            answer = yield Step(self.starting_request(), begins_run=True)
            run = answer.json()["run_id"]
            if not isinstance(run, str) or run in {"", ".", ".."}:
                raise ProtocolError(f"the service named no run: {quote(answer.body)}")
            self.call.found.keep("run", run)
        self.handle_ids = RunIds({"run": run})
        self.resume_point = self.resume or ResumePoint(
            proof="id"
        )  # the journal's beginning can be read again

    def known_run(self) -> str | None:
        """Return the id of the run to read; None if it has to be started."""
        if self.call.attach_to is not None:
            return self.call.attach_to["run"]
        run: str | None = self.call.found.get("run")
        return run

    def starting_request(self) -> HttpRequest:
        """Make the request that starts the run."""
        headers = self.call.request_headers(accept="application/json")
        headers.append(("Content-Type", "application/json"))
        body = encode_json({"agent_id": self.call.agent_id, "input": self.call.input})
        return HttpRequest("POST", self.call.path("/runs", "runs_path"), headers, body)

    def make_request(self) -> HttpRequest:
        """Ask for the journal."""
        self.reading = True
        headers = self.call.request_headers(accept=self.expects)
        if self.resume is not None and self.resume.last_event_id:
            headers.append(("Last-Event-ID", self.resume.last_event_id))
        runs = self.call.path("/runs", "runs_path")
        return HttpRequest("GET", f"{runs}/{RunIds(self.handle_ids or {}).quoted('run')}/events", headers)

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Mark a run that is gone, and a failure to read, which may be repeated."""
        error = super().make_refusal(status, body)
        if not self.reading:
            return error
        if status in {404, 410}:
            return StreamError(f"the run is gone: {error}", code="GONE")
        return mark_error(error, retryable=True) if status >= 500 else error

    def proves_unsupported(self, status: int, body: bytes) -> bool:
        """Take a service that has started a run for one that speaks this protocol."""
        return not self.reading and super().proves_unsupported(status, body)

    def open_body(self, content_type: str, charset: str) -> bool:
        """Begin to read the journal."""
        self.decoder = SSEDecoder(max_event_bytes=self.call.limits.max_event_bytes)
        self.order = IdOrder(place_of, self.resume)
        self.texts = SurrogateJoiner()
        return content_type == self.expects

    def read_body(self, data: bytes) -> list[Event]:
        """Read events."""
        events: list[Event] = []
        for event in self.decoder.feed(data):
            try:
                fault = self.read_event(event, events)
            except (InvalidJSONError, LookupError, TypeError, AttributeError):
                fault = ProtocolError(f"an event cannot be understood: {quote(event.data)}")
            if fault is not None:
                self.fail(fault)
                return events
            if event.event == "end":
                self.finish()
                return events
        if self.decoder.error is not None:
            self.fail(self.decoder.error)
        return events

    def read_event(self, event: ServerSentEvent, events: list[Event]) -> RunAgentError | None:
        """Add what an event gives; return the error with which the run ends, if any."""
        if event.event == "error":
            body = decode_json(event.data)
            return StreamError(body["message"], code=body.get("code"))
        if event.event == "end":
            events += self.read_end(decode_json(event.data))
            return None
        given = self.read_content(event)
        fault = self.check_place(event, gives=given is not None)
        if fault is None:
            events += given or ()
            self.resume_point = self.order.resume_point()
        return fault

    def check_place(self, event: ServerSentEvent, *, gives: bool) -> ProtocolError | None:
        """Return the error of an event that comes out of order."""
        place = event.id if event.has_id else None
        return self.order.take(place, gives=gives, holds=bool(self.texts.half))

    def read_content(self, event: ServerSentEvent) -> list[Event] | None:
        """Return what an event gives; None for one that this transport does not know."""
        if event.event not in {"started", "chunk", "reasoning", "tool", "custom"}:
            self.ignore(event.event)
            return None
        body = decode_json(event.data)
        match event.event:
            case "started":
                return [Started(invocation_id=body["run_id"])]
            case "chunk" if isinstance(body["content"], str):
                return [Chunk(self.texts.join(body["content"]), id=event.id)]
            case "chunk":
                return [*self.rest(), Chunk(body["content"], id=event.id)]
            case "reasoning":
                return [Reasoning(body["text"], body.get("id"))]
            case "tool":
                return [ToolCall(body.get("id"), body["name"], body["arguments"], body.get("index"))]
        return [Custom(body["name"], body.get("value"))]

    def rest(self) -> list[Event]:
        """Return what is left of half an emoji."""
        half = self.texts.flush()
        return [Chunk(half)] if half else []

    def read_end(self, body: dict[str, Any]) -> list[Event]:
        """Return the last events."""
        self.usage = body.get("usage")
        names = ("usage", "stop_reason", "message", "execution_time", "metadata")
        facts: dict[str, Any] = {name: body.get(name) for name in names}
        return [*self.rest(), Completed(interrupts=body.get("interrupts") or [], **facts)]

    def end_body(self, proven: bool) -> list[Event]:
        """Refuse an end without its event."""
        raise StreamTruncatedError("the journal ended without the event end")


class JournalTransport:
    """Runs agents whose answers are journals."""

    name = "journals"
    api_version = 1
    capabilities = frozenset(
        {
            Capability.ATTACH,
            Capability.HEARTBEATS,
            Capability.REASONING,
            Capability.RESUME_BY_ID,
            Capability.REUSE,
            Capability.STRUCTURED,
            Capability.TOOLS,
        }
    )
    tunnels = False
    session: type[JournalSession] = JournalSession

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> JournalSession:
        """Make the session of one attempt."""
        return self.session(call, route, resume)


class JournalFormat(Format):
    """Writes a journal, without what its reader has."""

    content_type = "text/event-stream"
    heartbeat = b": alive\n\n"

    def __init__(self, run: DialectRun) -> None:
        self.count = 0
        self.seen = place_of(run.resume_after) if run.resume_after else (0, 0)

    def event(self, name: str, /, **data: Any) -> bytes:
        """Write an event with the next id, four of them in each millisecond."""
        milliseconds, number = 1_764_000_000_000 + self.count // 4, 8 + self.count % 4
        self.count += 1
        if (milliseconds, number) <= self.seen:
            return b""
        return f"id: {milliseconds}-{number}\nevent: {name}\ndata: {to_json(data)}\n\n".encode()

    def start(self, run: DialectRun) -> bytes:
        """Write the event that names the run."""
        return self.event("started", run_id=run.run_id)

    def chunk(self, step: dialects.Chunk, index: int | None, id: str | None) -> bytes:
        """Write a chunk."""
        return self.event("chunk", content=step.content)

    def reasoning(self, step: dialects.Reasoning) -> bytes:
        """Write what the model thinks."""
        return self.event("reasoning", **without_none(text=step.text, id=step.id))

    def tool_call(self, step: dialects.ToolCall) -> bytes:
        """Write a tool call."""
        fields = without_none(id=step.id, name=step.name, arguments=step.arguments, index=step.index)
        return self.event("tool", **fields)

    def custom(self, step: dialects.Custom) -> bytes:
        """Write a custom event."""
        return self.event("custom", name=step.name, value=step.value)

    def error(self, step: dialects.Error) -> bytes:
        """Write an error."""
        return self.event("error", **without_none(code=step.code, message=step.message or "failed"))

    def done(self, step: dialects.Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write the end."""
        facts = without_none(
            usage=step.usage,
            stop_reason=step.stop_reason,
            message=step.message,
            execution_time=step.execution_time,
            metadata=step.metadata,
            interrupts=step.interrupts,
        )
        return self.event("end", **facts)


class JournalDialect(Dialect):
    """The service: it starts runs in the background, and shows their journals."""

    name = "journals"
    transports = ("journals",)
    keeps_runs = True

    def parse_request(self, request: Request) -> RunRequest | None:
        """Understand a request for a journal."""
        match request.method, request.path.rpartition("/runs/")[2].split("/"):
            case "GET", [run_id, "events"]:
                return RunRequest(
                    agent_id="",
                    transport=self.name,
                    attach_to=unquote(run_id),
                    resume_after=request.headers.get("last-event-id"),
                )
        return None

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        """Start a run."""
        if request.method != "POST" or not request.path.endswith("/runs"):
            return None
        body = parse_json(request.body)
        run_request = RunRequest(
            agent_id=body["agent_id"],
            transport=self.name,
            body=body,
            input=body["input"],
            run_id=f"run-{host.number('run')}",
        )
        return Status(202, body={"run_id": host.begin_run(run_request).id})

    def stream(self, run: DialectRun) -> Format:
        """Write a journal."""
        return JournalFormat(run)
