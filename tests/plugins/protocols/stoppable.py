"""A service whose runs another request can stop, once as an `HttpSession` and once through a library, httpx2.

    POST   {prefix}/v2/agents/{agent_id}/stream   the input as JSON; the answer is NDJSON
    DELETE {prefix}/v2/runs/{run_id}              204: it stops; 404: it was over

The key goes into ``X-Api-Key`` as it is. An empty line is a heartbeat. The other lines have a ``type``: first
``started`` with ``run_id``; then ``text``, ``reasoning`` and ``tool`` (a whole call); at last ``done`` with
``usage``, ``error`` or ``stopped``. Nobody else can read on in a run.
"""

from __future__ import annotations

import json
import ssl
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import httpx2

from runagent import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    NetworkError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    StreamError,
    StreamTruncatedError,
    ValidationError,
)
from runagent.transports import (
    CancelSession,
    Capability,
    Chunk,
    Completed,
    HttpRequest,
    HttpSession,
    InvalidJSONError,
    NDJSONDecoder,
    Reasoning,
    Started,
    SurrogateJoiner,
    ToolCall,
    decode_json,
    encode_json,
    quote,
)
from runagent_testing.dialects import Dialect, Format, RunRequest, Status, parse_json, to_json, without_none

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runagent import RunAgentError
    from runagent.transports import Address, AgentCall, Emit, Event, Limits, ResumePoint, Route
    from runagent_testing import dialects

__all__ = ["LibraryTransport", "StopSession", "StoppableDialect", "StoppableSession", "StoppableTransport"]

NDJSON = "application/x-ndjson"


def run_request(call: AgentCall) -> HttpRequest:
    headers = call.request_headers(accept=NDJSON, key_field="X-Api-Key", key_prefix="")
    headers.append(("Content-Type", "application/json"))
    path = call.path("/v2/agents/{agent_id}/stream", "stream_path")
    return HttpRequest("POST", path, headers, encode_json(call.input))


def stop_request(call: AgentCall) -> HttpRequest:
    assert call.attach_to is not None  # the run to stop
    headers = call.request_headers(accept="*/*", key_field="X-Api-Key", key_prefix="")
    path = call.path(f"/v2/runs/{call.attach_to.quoted('invocation_id')}", "stop_path")
    return HttpRequest("DELETE", path, headers)


class Lines:
    """What the lines of an answer mean, for both transports."""

    def __init__(self, limits: Limits) -> None:
        self.decoder = NDJSONDecoder(max_line_bytes=limits.max_event_bytes)
        self.texts, self.thoughts = SurrogateJoiner(), SurrogateJoiner()
        self.done = False
        self.error: RunAgentError | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Return the events of the lines that end in ``data``; the last one sets ``done`` or ``error``."""
        events: list[Event] = []
        for line in self.decoder.feed(data):
            self._take(line, events)
            if self.done or self.error is not None:
                return events
        self.error = self.decoder.error
        return events

    def _take(self, line: Any, events: list[Event]) -> None:
        match line:
            case {"type": "started", "run_id": str(run_id)}:
                events.append(Started(invocation_id=run_id))
            case {"type": "text", "text": str(text)}:
                events.append(Chunk(self.texts.join(text)))
            case {"type": "reasoning", "text": str(text)}:
                events.append(Reasoning(self.thoughts.join(text)))
            case {
                "type": "tool",
                "id": str() | None as call_id,
                "name": str(name),
                "arguments": str(arguments),
            }:
                events.append(ToolCall(call_id, name, arguments))
            case {"type": "error", "message": str(message), "code": str() | None as code}:
                self.error = StreamError(message, code=code)
            case {"type": "stopped"}:
                self.error = StreamError("the service has stopped the run", code="CANCELLED")
            case {"type": "done", "usage": dict() | None as usage}:
                if thought := self.thoughts.flush():
                    events.append(Reasoning(thought))
                if half := self.texts.flush():
                    events.append(Chunk(half))
                events.append(Completed(usage=usage))
                self.done = True
            case _:
                self.error = ProtocolError(f"unknown line: {quote(to_json(line))}")


class StoppableSession(HttpSession):
    expects = NDJSON

    def make_request(self) -> HttpRequest:
        return run_request(self.call)

    def open_body(self, content_type: str, charset: str) -> bool:
        self.lines = Lines(self.call.limits)
        return content_type == NDJSON

    def read_body(self, data: bytes) -> list[Event]:
        events = self.lines.feed(data)
        for event in events:
            if isinstance(event, Started) and event.invocation_id is not None:
                # as a library's runs name it, so that one request stops both
                self.handle_ids = {"invocation_id": event.invocation_id}
        if self.lines.done:
            self.finish()
        elif self.lines.error is not None:
            self.fail(self.lines.error)
        return events

    def end_body(self, proven: bool) -> list[Event]:
        raise StreamTruncatedError("the stream ended without a done line")


class StopSession(CancelSession):
    over_statuses = frozenset({404})

    def make_request(self) -> HttpRequest:
        return stop_request(self.call)


class StoppableTransport:
    name = "stoppable"
    api_version = 1
    capabilities = frozenset(
        {
            Capability.CANCEL,
            Capability.HEARTBEATS,
            Capability.REASONING,
            Capability.REUSE,
            Capability.TOOLS,
        }
    )
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> HttpSession:
        return StoppableSession(call, route, resume)

    def open_cancel(self, call: AgentCall, route: Route) -> HttpSession:
        return StopSession(call, route, None)


class LibraryTransport:
    """The same service through httpx2.

    It does not run on trio's loop, as httpx2 2.16 leaves a generator open there if a stream is left early.
    trio reports that, and the kit finds it (``run.leaves-nothing``).
    """

    name = "stoppable-library"
    api_version = 1
    capabilities = frozenset(
        {Capability.CANCEL, Capability.HEARTBEATS, Capability.REASONING, Capability.TOOLS}
    )
    runs_on = frozenset({"asyncio"})

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        async with self.answer(self.request(call), address, call.limits) as answer:
            content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if content_type != NDJSON:
                raise ProtocolError(f"the service answered with {quote(content_type)}, not {NDJSON}")
            try:
                await self.read(answer, Lines(call.limits), emit)
            except httpx2.TransportError as broken:
                raise StreamTruncatedError("the stream broke off") from broken

    def request(self, call: AgentCall) -> HttpRequest:
        return run_request(call)

    async def read(self, answer: httpx2.Response, lines: Lines, emit: Emit) -> None:
        async with aclosing(answer.aiter_bytes()) as pieces:
            async for data in pieces:
                await emit(*lines.feed(data))
                if lines.error is not None:
                    raise lines.error
                if lines.done:
                    return
        raise StreamTruncatedError("the stream ended without a done line")

    async def cancel(self, call: AgentCall, address: Address) -> bool:
        try:
            async with self.answer(stop_request(call), address, call.limits):
                return True
        except AgentNotFoundError:
            return False  # it was over

    @asynccontextmanager
    async def answer(
        self, request: HttpRequest, address: Address, limits: Limits
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request, and give its answer if it is of status 2xx."""
        connections = self.connections(address)
        async with httpx2.AsyncClient(transport=connections, timeout=None, trust_env=False) as client:
            url = f"{address.origin.scheme}://{address.origin.netloc}{request.target}"
            sent = client.build_request(request.method, url, headers=request.headers, content=request.body)
            try:
                answer = await client.send(sent, stream=True)
            except httpx2.TransportError as failed:
                raise unreachable(failed) from failed
            try:
                if not answer.is_success:
                    raise await refusal(answer, limits.max_error_bytes)
                yield answer
            finally:
                await answer.aclose()

    def connections(self, address: Address) -> httpx2.AsyncHTTPTransport:
        proxy = None
        if address.proxy is not None:
            authorization = address.proxy.authorization
            headers = None if authorization is None else {"Proxy-Authorization": authorization}
            proxy = httpx2.Proxy(f"http://{address.proxy.host}:{address.proxy.port}", headers=headers)
        return httpx2.AsyncHTTPTransport(
            verify=False if address.ssl_context is None else address.ssl_context,  # None: plain HTTP
            proxy=proxy,
            uds=address.origin.unix_path,
            socket_options=cast("Any", address.socket_options),
            trust_env=False,
        )


def unreachable(failed: httpx2.TransportError) -> NetworkError:
    """Make the error of a request that got no answer; only a connection that never was may be tried again."""
    cause: BaseException | None = failed
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    never_connected = isinstance(failed, httpx2.ConnectError) and cause is None
    code = "NETWORK" if cause is None else "TLS"
    return NetworkError(f"no answer: {failed}", code=code, retryable=never_connected or None)


REFUSALS: dict[int, type[AgentError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: AgentNotFoundError,
    422: ValidationError,
    429: RateLimitError,
}


async def refusal(answer: httpx2.Response, max_bytes: int) -> AgentError:
    """Read a refusal, up to a limit, and make its error."""
    body = b""
    try:
        async for data in answer.aiter_bytes():
            body = (body + data)[:max_bytes]
            if len(body) == max_bytes:
                break
    except httpx2.TransportError:
        pass  # the status is known
    try:
        member = decode_json(body)["error"]
        message, code = str(member["message"]), member.get("code")
    except (InvalidJSONError, AttributeError, KeyError, TypeError):
        message, code = f"the service answered with status {answer.status_code}", None
    kind = REFUSALS.get(answer.status_code, AgentServerError if answer.status_code >= 500 else AgentError)
    wait = answer.headers.get("retry-after", "")
    return kind(
        message,
        code=code,
        status=answer.status_code,
        retry_after=float(wait) if wait.isdecimal() else None,
        request_id=answer.headers.get("x-request-id"),
    )


class StoppableFormat(Format):
    content_type = NDJSON
    heartbeat = b"\n"

    def start(self, run: dialects.DialectRun) -> bytes:
        return line("started", run_id=run.run_id)

    def chunk(self, step: dialects.Chunk, index: int | None, id: str | None) -> bytes:
        return line("text", text=step.content)

    def reasoning(self, step: dialects.Reasoning) -> bytes:
        return line("reasoning", text=step.text)

    def tool_call(self, step: dialects.ToolCall) -> bytes:
        return line("tool", id=step.id, name=step.name, arguments=step.arguments)

    def error(self, step: dialects.Error) -> bytes:
        return line("error", message=step.message or "", code=step.code)

    def done(self, step: dialects.Done, run: dialects.DialectRun, total_chunks: int) -> bytes:
        return line("done", usage=step.usage)

    def cancelled(self, run: dialects.DialectRun) -> bytes:
        return line("stopped")


def line(type: str, **members: Any) -> bytes:
    return json.dumps({"type": type, **members}).encode() + b"\n"


class StoppableDialect(Dialect):
    name = "stoppable"
    transports = ("stoppable",)
    keeps_runs = True

    def parse_request(self, request: dialects.Request) -> RunRequest | None:
        _, _, rest = request.path.partition("?")[0].partition("/v2/agents/")
        agent_id, _, last = rest.partition("/")
        if request.method != "POST" or last != "stream":
            return None
        body = parse_json(request.body)
        return RunRequest(agent_id=unquote(agent_id), transport="stoppable", body=body, input=body)

    def answer(self, request: dialects.Request, host: dialects.DialectHost) -> Status | None:
        _, stop, run_id = request.path.partition("?")[0].partition("/v2/runs/")
        if request.method != "DELETE" or not stop:
            return None
        run = host.run(unquote(run_id))
        if run is None or not run.cancel():
            return Status(404, body=refused("RUN_OVER", "the run is over"))
        return Status(204)

    def stream(self, run: dialects.DialectRun) -> Format:
        return StoppableFormat()

    def find_api_key(self, request: dialects.Request) -> str | None:
        return request.headers.get("x-api-key")

    def wrong_key(self, request: dialects.Request) -> Status:
        return Status(401, body=refused("WRONG_KEY", "wrong key"))

    def refusal(self, status: Status, run: dialects.DialectRun) -> Any:
        return refused(status.code, status.message)

    def unknown_agent(self, run_request: RunRequest) -> Status:
        return Status(404, body=refused("UNKNOWN_AGENT", f"unknown agent {run_request.agent_id}"))


def refused(code: str | None, message: str | None) -> dict[str, Any]:
    return {"error": without_none(code=code, message=message)}
