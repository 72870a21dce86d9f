"""A protocol like A2A, as a third party would bring it: a card names the address of JSON-RPC over SSE.

``GET {prefix}/.well-known/agent-card.json`` gives ``{"interfaces": [{"url", "binding", "version"}]}``.
Requests are JSON-RPC at that URL, perhaps on another origin. Messages of a stream are
``{"jsonrpc", "id", "result": {...}}`` with a ``task`` (everything so far), an ``artifactUpdate`` (parts to
append) or a ``statusUpdate``. A refusal is ``{"error": {"code", "message", "data"}}`` with status 200.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import (
    AgentError,
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    RunAgentError,
    Started,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
    ValidationError,
)
from runagent.transports import (
    CancelSession,
    Capability,
    HttpRequest,
    HttpSession,
    InvalidJSONError,
    SnapshotParts,
    SSEDecoder,
    Step,
    SurrogateJoiner,
    Wants,
    decode_json,
    encode_json,
    mark_error,
    parse_url,
    quote,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from runagent.transports import AgentCall, Event, JSONValue, ResumePoint, Route, Session, StepAnswer

__all__ = ["CardCancelSession", "CardSession", "CardTransport"]

CARD_PATH = "/.well-known/agent-card.json"
CARD_SECONDS = 600.0
BINDING = "JSONRPC"

INVALID_PARAMS = -32602
TASK_NOT_FOUND = -32001
TASK_NOT_CANCELABLE = -32002

COMPLETED, FAILED, CANCELED, INPUT_REQUIRED = "COMPLETED", "FAILED", "CANCELED", "INPUT_REQUIRED"


class CardClient(HttpSession):
    """Finds the address by the card, and asks there."""

    expects = "text/event-stream"
    fresh_card = False

    def before(self) -> Generator[Step, StepAnswer, None]:
        if self.call.found.get("url") is not None:
            return
        answer = yield Step(self.card_request())
        urls = [each["url"] for each in answer.json()["interfaces"] if each["binding"] == BINDING]
        if not urls:
            raise ProtocolError(f"the card names no interface with the binding {BINDING}")
        [url, *_] = urls
        parse_url(url)  # what cannot be used is not kept
        self.fresh_card = True
        self.call.found.keep("url", url, seconds=CARD_SECONDS)

    def card_request(self) -> HttpRequest:
        headers = self.call.request_headers(accept="application/json")
        return HttpRequest("GET", self.call.path(CARD_PATH, "card_path"), headers)

    def rpc(self, method: str, params: dict[str, JSONValue]) -> HttpRequest:
        """Make the request of a JSON-RPC method at the card's URL."""
        origin, target = parse_url(self.call.found.get("url"))
        headers = self.call.request_headers(accept=self.expects)
        headers.append(("Content-Type", "application/json"))
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": method,
            "params": {"tenant": self.call.agent_id, **params},
        }
        return HttpRequest("POST", target, headers, encode_json(body), origin=origin)

    def proves_unsupported(self, status: int, body: bytes) -> bool:
        return not self.card_is_stale(status) and super().proves_unsupported(status, body)

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        error = super().make_refusal(status, body)
        if self.card_is_stale(status):
            self.call.found.forget("url")
            return mark_error(error, retryable=True)  # nothing has begun: ask for the card again
        if status == 404:
            self.call.found.forget("url")
        return error

    def card_is_stale(self, status: int) -> bool:
        return status == 404 and not self.fresh_card and self.call.found.get("url") is not None


class Collected:
    """A JSON body, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.body = b""

    def feed(self, data: bytes) -> StreamLimitError | None:
        self.body += data
        if len(self.body) <= self.limit:
            return None
        text = f"the answer is longer than {self.limit} bytes"
        return StreamLimitError(text, limit_name="max_event_bytes", limit=self.limit)


class CardSession(CardClient):
    """Reads the stream of a task."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        self.parts = SnapshotParts(resume, max_parts=call.limits.max_snapshot_parts)
        self.halves: dict[str, SurrogateJoiner] = {}
        self.started = resume is not None
        self.whole: Collected | None = None
        super().__init__(call, route, resume)

    @property
    def resume_point(self) -> ResumePoint | None:  # type: ignore[override]
        return None if self.halves or self.handle_ids is None else self.parts.resume_point()

    def make_request(self) -> HttpRequest:
        if self.call.attach_to is not None:
            self.handle_ids = self.call.attach_to
            return self.rpc("tasks/resubscribe", {"id": self.call.attach_to["task"]})
        return self.start()

    def start(self) -> HttpRequest:
        parts: list[JSONValue] = [{"data": dict(self.call.input)}]
        message: dict[str, JSONValue] = {"messageId": self.call.run_id, "role": "user", "parts": parts}
        return self.rpc("message/stream", {"message": message})

    def open_body(self, content_type: str, charset: str) -> bool:
        self.decoder = SSEDecoder(max_event_bytes=self.call.limits.max_event_bytes)
        if content_type == "application/json":  # how the service refuses
            self.whole = Collected(self.call.limits.max_event_bytes)
            return True
        return content_type == "text/event-stream"

    def read_body(self, data: bytes) -> list[Event]:
        if self.whole is not None:
            if (fault := self.whole.feed(data)) is not None:
                self.fail(fault)
            return []
        events: list[Event] = []
        for event in self.decoder.feed(data):
            try:
                events += self.read_message(decode_json(event.data))
            except (InvalidJSONError, LookupError, TypeError, AttributeError, ValueError):
                self.fail(ProtocolError(f"a message cannot be understood: {quote(event.data)}"))
            if self.wants is Wants.DONE:
                return events
        if self.decoder.error is not None:
            self.fail(self.decoder.error)
        return events

    def end_body(self, proven: bool) -> list[Event]:
        if self.whole is not None:
            raise refused(self.whole.body, attaching=self.call.attach_to is not None)
        raise StreamTruncatedError("the stream ended before the task's last status")

    def read_message(self, message: Any) -> Iterator[Event]:
        if "error" in message:
            error = message["error"]
            self.fail(StreamError(str(error["message"]), code=str(error["code"]), details=error.get("data")))
            return
        match message["result"]:
            case {"task": {"id": str(task), "status": status, "artifacts": artifacts}}:
                yield from self.take_task(task, artifacts)
                yield from self.take_status(status, {})
            case {"artifactUpdate": {"artifact": artifact}}:
                yield from self.give(pieces([artifact]))
            case {"statusUpdate": {"status": status} as update}:
                yield from self.take_status(status, update.get("metadata") or {})
            case other:
                self.ignore(next(iter(other), "result"))

    def take_task(self, task: str, artifacts: list[Any]) -> Iterator[Event]:
        self.handle_ids = {"task": task}
        if not self.started:
            self.started = True
            yield Started(invocation_id=task)
        self.halves.clear()  # what was kept back is in the snapshot, too
        whole = [(name, self.joined(name, content)) for name, content in pieces(artifacts)]
        new, fault = self.parts.take_snapshot(whole)
        if fault is not None:
            self.fail(fault)
        yield from [Chunk(content) for _, content in new]

    def give(self, new: Iterable[tuple[str, JSONValue]]) -> Iterator[Event]:
        for name, content in new:
            whole = self.joined(name, content)
            if (fault := self.parts.add(name, whole)) is not None:
                self.fail(fault)
                return
            if whole != "" or content == "":
                yield Chunk(whole)

    def joined(self, name: str, content: JSONValue) -> JSONValue:
        """Join the halves of an emoji that is cut between two parts of an artifact."""
        if not isinstance(content, str):
            return content
        joiner = self.halves.pop(name, None) or SurrogateJoiner()
        text = joiner.join(content)
        if joiner.half:
            self.halves[name] = joiner
        return text

    def take_status(self, status: dict[str, Any], metadata: dict[str, Any]) -> Iterator[Event]:
        said: list[Any] = (status.get("message") or {}).get("parts", [])
        text = "".join(part["text"] for part in said if "text" in part)
        match status["state"]:
            case "COMPLETED" | "INPUT_REQUIRED" as state:
                yield from [Chunk(joiner.flush()) for joiner in self.halves.values()]
                self.halves.clear()
                self.finish()
                self.usage = metadata.get("usage")
                yield Completed(
                    usage=self.usage,
                    stop_reason=metadata.get("stopReason"),
                    message=text or None,
                    metadata=metadata.get("metadata"),
                    interrupts=[part["data"] for part in said if "data" in part]
                    if state == INPUT_REQUIRED
                    else [],
                )
            case "FAILED":
                self.fail(
                    StreamError(text, code=metadata.get("code"), retry_after=metadata.get("retryAfter"))
                )
            case "CANCELED":
                self.fail(StreamError(text or "the task was canceled", code="CANCELLED"))
            case _:
                yield from [Custom(name, value) for name, value in metadata.items()]


class CardCancelSession(CardClient, CancelSession):
    """Asks to cancel a task; status 200 alone confirms nothing."""

    expects = "application/json"

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        self.whole = Collected(call.limits.max_event_bytes)
        super().__init__(call, route, resume)

    def make_request(self) -> HttpRequest:
        assert self.call.attach_to is not None
        return self.rpc("tasks/cancel", {"id": self.call.attach_to["task"]})

    def read_body(self, data: bytes) -> list[Event]:
        if (fault := self.whole.feed(data)) is not None:
            self.fail(fault)
        return []

    def end_body(self, proven: bool) -> list[Event]:
        match decode_json(self.whole.body):
            case {"result": {"task": {"status": {"state": "CANCELED"}}}}:
                return super().end_body(proven)
        raise refused(self.whole.body, attaching=True)


class CardTransport:
    """The transport; a mutant sets ``session``."""

    name = "cards"
    api_version = 1
    capabilities = frozenset(
        {
            Capability.ATTACH,
            Capability.CANCEL,
            Capability.HEARTBEATS,
            Capability.RESUME_BY_SNAPSHOT,
            Capability.REUSE,
            Capability.STRUCTURED,
        }
    )
    tunnels = False
    session: type[CardSession] = CardSession

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        return self.session(call, route, resume)

    def open_cancel(self, call: AgentCall, route: Route) -> Session:
        return CardCancelSession(call, route, None)


def pieces(artifacts: Iterable[Any]) -> Iterator[tuple[str, JSONValue]]:
    """Take artifacts apart into the name of a part and a content."""
    for artifact in artifacts:
        for part in artifact["parts"]:
            yield artifact["artifactId"], part["text"] if "text" in part else part["data"]


def refused(body: bytes, *, attaching: bool) -> RunAgentError:
    """Make the error of an answer of status 200 whose body is the refusal."""
    try:
        error = decode_json(body)["error"]
        code, message, details = error["code"], str(error["message"]), error.get("data")
    except (InvalidJSONError, LookupError, TypeError, AttributeError):
        return ProtocolError(f"the answer is neither a stream nor an error: {quote(body)}")
    if attaching and code in {TASK_NOT_FOUND, TASK_NOT_CANCELABLE}:
        return StreamError(message, code="GONE", details=details)
    refusal = ValidationError if code == INVALID_PARAMS else AgentError
    return refusal(message, code=str(code), details=details)
