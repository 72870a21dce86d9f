"""The base classes of dialects, and the data that they get. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from runagent_testing._internal.public import publish
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.steps import Chunk, Error, Status
from runagent_testing.dialects._frames import TEXT, close_frame, frame
from runagent_testing.dialects._jsontext import to_json, without_none
from runagent_testing.dialects._query import query_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing._script.script import Result
    from runagent_testing._script.steps import ContentStep, Custom, Done, Reasoning, ToolCall
    from runagent_testing.dialects._hosting import DialectHost, RequestedAgent
    from runagent_testing.dialects._limits import RateLimit
    from runagent_testing.dialects._messages import MessageContext, MessageReply, RunMessage
    from runagent_testing.dialects._request import Request, RunRequest

__all__ = [
    "Dialect",
    "DialectRun",
    "Format",
    "check_dialect",
    "error_body",
    "phrase",
]

__tracebackhide__ = is_ours

_CODES = {
    400: "VALIDATION_ERROR",
    401: "INVALID_API_KEY",
    404: "AGENT_NOT_FOUND",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMITED",
    500: "INTERNAL_ERROR",
}


@dataclass(frozen=True, slots=True)
class DialectRun:
    """The parts of a request on which its plan depends.

    Attributes:
        transport: The transport's name, as in `RunRequest`.
        run_id: The invocation's or request's id.
        timestamp: The begin of the run, ISO 8601.
        input: The agent's input, if it is an object.
        headers: The request's headers, names in lower case.
        http_1_1: False for HTTP/1.0, which has no chunked framing.
        keep_alive: Whether the connection stays open after the answer.
        resume_from: The index, from 0, of the first requested chunk, as the dialect understood it.
        resume_after: The id of the last event that the client has, likewise.
        sent: The chunks, reasoning, tool calls and custom events that the run has sent before a request that
            asks for a snapshot; None for every other request.
        past: How many steps of the script were played before this request attached to the run; their pauses
            are over.
        subprotocol: The subprotocol in the answer to a WebSocket's handshake; None for none.
        body: The decoded request, as in `RunRequest` or, on a WebSocket, `RunMessage`.
        begun_by: The decoded request that has begun the run, if its host keeps it: another one than ``body``
            for a request that attached to the run. None for every other run.
        path: The request's path, percent-encoded, with the query.
        session_id: The conversation that the script assigns; None if it assigns none. The input has the
            one that the request names.
        answer_headers: Header fields that every answer to the run has in addition.
        dialect: The dialect of the answer.
    """

    transport: str
    run_id: str
    timestamp: str
    input: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    http_1_1: bool = True
    keep_alive: bool = True
    resume_from: int | None = None
    resume_after: str | None = None
    sent: tuple[ContentStep, ...] | None = field(default=None, repr=False)
    past: int = 0
    subprotocol: str | None = None
    body: Any = field(default=None, repr=False)
    begun_by: Any = field(default=None, repr=False)
    path: str = field(default="", repr=False)
    session_id: str | None = field(default=None, repr=False)
    answer_headers: dict[str, str] = field(default_factory=dict)
    dialect: Dialect = field(kw_only=True)


class Format(Protocol):
    """Writes the events of one run; an instance serves one run only.

    Attributes:
        content_type: The answer's Content-Type; unused on a WebSocket.
        headers: More header fields of the answer, set in ``__init__``; unused on a WebSocket.
        writes_frames: Whether it writes WebSocket frames (`frame` makes one).
        heartbeat: The bytes of a sign of life without an event; empty if the protocol has none.
        supports_errors: Whether the protocol can express an error; otherwise a failed run is cut off.
        delimited: Whether a reader can see where one chunk ends and the next begins.
        separate_end: Whether the end of the stream means nothing: another answer, such as the one to a
            request for the run's status, reports whether the run completed or failed.
        shares_ids: Whether events of the protocol may share an id: a reader then cannot recognise an event
            that comes twice in a row.
    """

    content_type: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    writes_frames: bool = False
    heartbeat: bytes = b""
    supports_errors: bool = True
    delimited: bool = True
    separate_end: bool = False
    shares_ids: bool = False

    def start(self, run: DialectRun) -> bytes:
        """Write what precedes the first chunk, perhaps nothing."""

    def snapshot(self, run: DialectRun) -> bytes:
        """Write ``run.sent``, what was sent before the reader came, as one message; in place of `start`.

        By default this is `start`, and the reader misses what was sent.
        """
        return self.start(run)

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write a chunk.

        Args:
            step: The chunk's content, and the names that the script sets for it.
            index: The chunk's index if the script numbers its chunks, else None.
            id: The chunk's event id if the script sets ids, else None.
        """

    def reasoning(self, step: Reasoning) -> bytes:
        """Write a piece of what the model thinks; by default a script with one is refused."""
        raise _cannot_carry(self, "reasoning")

    def tool_call(self, step: ToolCall) -> bytes:
        """Write a tool call; by default a script with one is refused."""
        raise _cannot_carry(self, "tool_call")

    def custom(self, step: Custom) -> bytes:
        """Write a custom event; by default a script with one is refused."""
        raise _cannot_carry(self, "custom")

    def error(self, step: Error) -> bytes:
        """Write the error with which the run fails; its message and code may be None."""

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write the end of a completed run."""

    def cancelled(self, run: DialectRun) -> bytes:
        """Write the end of a run that a request has cancelled; by default nothing."""
        return b""


class Dialect:
    """Understands the requests of one protocol and writes its answers; subclass it for your protocol.

    A dialect is pure: the same request and steps give the same bytes. One instance serves all requests,
    perhaps from several threads, so the state of one answer belongs into the `Format` that `stream` makes.

    Attributes:
        name: The dialect's name, as ``exchange.dialect`` shows it.
        transports: All values of ``transport`` that its requests have.
        credential_fields: Names of the header fields, query parameters and members of the body in which the
            protocol carries credentials, in addition to the usual ones; their values are never shown.
        keeps_runs: Whether a streamed run can be read by later requests, and cancelled: the host keeps the
            last 10,000 until it is cleared. Not over WebSockets.
    """

    name: ClassVar[str]
    transports: ClassVar[tuple[str, ...]] = ()
    credential_fields: ClassVar[tuple[str, ...]] = ()
    keeps_runs: ClassVar[bool] = False
    shares_plans: ClassVar[bool] = False

    def __init_subclass__(cls, *, shares_plans: bool = False) -> None:
        """Set whether runs may share one rendering of a script, as those of the built-in dialects do.

        Subclasses do not inherit this, because their answers may depend on anything of a run.
        """
        cls.shares_plans = shares_plans

    def parse_request(self, request: Request) -> RunRequest | None:
        """Understand a request; None if it is not of this dialect, or does not ask for a run."""
        raise NotImplementedError

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        """Answer a request that does not ask for a run: a card, a thread, a list of models.

        Called for requests for which `parse_request` has returned None; a HEAD request comes as a GET.
        ``host.other_requests`` of the server or memory network has the request, not ``requests``.
        A request with a wrong key is refused; what the call has changed is then undone.

        Args:
            request: The request.
            host: The agents, and the state that the dialect keeps.

        Returns:
            The answer, such as ``Status(200, body={"thread_id": "1"})``; None if the request is not of this
            dialect.
        """
        return None

    def stream(self, run: DialectRun) -> Format:
        """Make the writer of one streamed answer, of the transport ``run.transport``."""
        raise NotImplementedError

    def result(self, step: Chunk | Error, result: Result, run: DialectRun) -> Status:
        """Write the outcome of a plain run, as an HTTP answer with its ``body``.

        Args:
            step: The result's value, or the error with which the run fails.
            result: The whole script, usage included.
            run: The run to answer.
        """
        if isinstance(step, Error):
            return Status(500, step.retry_after, step.code, step.message)
        return Status(200, body={"result": step.content})

    def refusal(self, status: Status, run: DialectRun) -> Any:
        """Return the JSON body of a refusal; called for a status without a body."""
        return error_body(status, run)

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """Return the answer that refuses an invalid request to a known agent; None if it is valid."""
        return None

    def check_state(self, run_request: RunRequest, host: DialectHost) -> Status | None:
        """Return the answer that refuses a run because of the state of the host; None if it may begin.

        For a thread that was never made, or a run to attach to that is over. Called before `check`, once the
        key and the agent are known to be right; it may note the run in ``host.state``.
        """
        return None

    def limit_headers(self, limit: RateLimit, run: DialectRun) -> Mapping[str, str]:
        """Return the header fields that show an agent's limit (`Agent.limit`) with every answer."""
        return limit.headers

    def find_query(self, input: Any) -> Any:  # noqa: A002 - as in RunRequest
        """Find the query of an input, for `Agent.when`; None if it has none.

        By default it is the member ``query`` or, if the input has messages, the last text of the user.
        """
        return query_in(input)

    def find_api_key(self, request: Request) -> str | None:
        """Find the API key of a request; by default it is a bearer token."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None  # any case, RFC 9110 section 11.1

    def wrong_key(self, request: Request) -> Status:
        """Return the answer that refuses a request without the host's API key, or with another one."""
        return Status(401, message="the API key is missing or wrong")

    def unknown_agent(self, run_request: RunRequest) -> Status:
        """Return the answer that refuses a request to an unknown agent."""
        return Status(404, message=f"there is no agent {run_request.agent_id!r}")

    def unknown_run(self, run_request: RunRequest) -> Status:
        """Return the answer that refuses to attach to an unknown run."""
        return Status(404, message=f"there is no run {run_request.attach_to!r}")

    def parse_message(self, message: str | bytes, context: MessageContext) -> RunMessage | MessageReply:
        """Understand a message of a WebSocket, text or binary; called for each until one asks for the run.

        Returns:
            The run that it asks for; or a reply, such as the acknowledgement of a first message.
        """
        raise NotImplementedError

    def reply_to_message(self, message: str | bytes, context: MessageContext) -> MessageReply | None:
        """Answer a message that comes during or after the run; by default nothing answers it.

        Returns:
            Frames to send at once, such as the protocol's own pong, or the end of the run; None for neither.
        """
        return None

    def find_key_in_message(self, message: str | bytes) -> str | None:
        """Find the API key in a message of a WebSocket; None if it carries none.

        A dialect that overrides this needs no key in the handshake: the key may come in any message, up to
        the one that asks for the run.
        """
        return None

    def reject_key(self) -> bytes:
        """Write the frames that refuse a message without the host's API key, and close the WebSocket."""
        return self.reject_message("the API key is missing or wrong")

    def reject_message(self, fault: str) -> bytes:
        """Write the frames that refuse a message and close the WebSocket."""
        return frame(TEXT, to_json({"error": fault}, compact=True).encode()) + close_frame(1003)


def check_dialect(given: object) -> Dialect:
    """Reject an object that is not a dialect.

    Raises:
        TypeError: The object is not a dialect; the message has the reason.
    """
    if not isinstance(given, Dialect):
        raise TypeError(
            f"{given!r} is not a Dialect: pass an object of a subclass of runagent_testing.dialects.Dialect"
        )
    if not isinstance(getattr(given, "name", None), str):
        raise TypeError(f"{type(given).__qualname__} has no name: give it one, as text")
    names: object = given.credential_fields
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{type(given).__qualname__}.credential_fields is a tuple of names, not {names!r}")
    return given


def _cannot_carry(form: Format, step: str) -> ValueError:
    return ValueError(f"{type(form).__name__}, the format of this answer, cannot carry a step {step}(...)")


def error_body(step: Status, run: DialectRun) -> dict[str, Any]:
    """Write a refusal's body as the documented API does."""
    code = step.code or _CODES.get(step.status) or phrase(step.status).upper().replace(" ", "_")
    details = {
        "code": code,
        "message": phrase(step.status) if step.message is None else step.message,
        "status": step.status,
        "request_id": run.run_id,
    }
    return {"error": details | without_none(retry_after=step.retry_after)}


def phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    return next((known.phrase for known in HTTPStatus if known == status), "Unnamed")


publish(Dialect, DialectRun, Format, module="runagent_testing.dialects")
