"""What a dialect has to know. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from runagent_testing._script.steps import Chunk, Error, Status
from runagent_testing.dialects._frames import TEXT, close_frame, frame
from runagent_testing.dialects._jsontext import to_json, without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing._script.script import Result
    from runagent_testing._script.steps import Done
    from runagent_testing.dialects._request import Request

__all__ = [
    "Dialect",
    "DialectRun",
    "Format",
    "RequestedAgent",
    "RunRequest",
    "error_body",
    "need_dialect",
    "phrase",
]

_CODES = {
    400: "VALIDATION_ERROR",
    401: "INVALID_API_KEY",
    404: "AGENT_NOT_FOUND",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMITED",
    500: "INTERNAL_ERROR",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A request that asks for a run, as its dialect understands it.

    Attributes:
        agent_id: Which agent is asked.
        transport: The word for the way it is asked, as ``exchange.transport`` shows it; a dialect with
            several formats tells them apart by it.
        kind: "stream", "plain" for one whole answer, "websocket" for a handshake, whose request follows
            in a message.
        body: The decoded request, as ``exchange.body`` shows it; None on a WebSocket, as it is to come.
        input: The agent's input, as ``exchange.input`` shows it.
        resume_from: The place, from 0, of the first chunk that is wanted; None for all of them.
        subprotocol: What the handshake's answer names as ``Sec-WebSocket-Protocol``; None for none.
    """

    agent_id: str
    transport: str
    kind: Literal["stream", "plain", "websocket"] = "stream"
    body: Any = field(default=None, repr=False)
    input: Any = field(default=None, repr=False)
    resume_from: int | None = None
    subprotocol: str | None = None


@dataclass(frozen=True, slots=True)
class DialectRun:
    """What a plan needs to know of the request it answers.

    Attributes:
        transport: Which protocol asks.
        run_id: The invocation's or request's id.
        timestamp: When the run began, ISO 8601.
        input: The agent's input, if it is an object.
        headers: The request's, names in lower case.
        http_1_1: False for HTTP/1.0, which knows no chunked framing.
        keep_alive: Whether the connection outlives the answer.
        resume_from: The place, from 0, of the first chunk that is wanted, as the dialect understood it.
        subprotocol: What the answer to a WebSocket's handshake names; None for none.
        dialect: What it is answered in.
    """

    transport: str
    run_id: str
    timestamp: str
    input: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    http_1_1: bool = True
    keep_alive: bool = True
    resume_from: int | None = None
    subprotocol: str | None = None
    dialect: Dialect = field(kw_only=True)


class RequestedAgent(Protocol):
    """The agent that a request asks for, as far as its dialect has to know it."""

    id: str

    def has_entrypoint(self, tag: str) -> bool:
        """Whether runs of this entry point are accepted."""


class Format(Protocol):
    """Writes the events of one run; an instance serves one run only.

    Attributes:
        content_type: Of the answer; unused on a WebSocket.
        frames: What it writes are a WebSocket's frames (`frame` makes one).
        heartbeat: A sign of life without an event; empty where there is none.
        can_fail: Whether there is a word for an error; without one a run that fails is cut off.
        delimited: Whether a reader can tell where one chunk ends and the next begins.
    """

    content_type: str = ""
    frames: bool = False
    heartbeat: bytes = b""
    can_fail: bool = True
    delimited: bool = True

    def start(self, run: DialectRun) -> bytes:
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

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write the good end."""


class Dialect:
    """How one protocol asks for runs, and how it says what a script says; subclass it for your own.

    Pure: the same request and steps give the same bytes. One instance serves all requests, from several
    threads perhaps, so what belongs to one answer is kept in the `Format` that `stream` makes for it.

    Attributes:
        name: Of the dialect, as ``exchange.dialect`` shows it.
        transports: All values of ``transport`` that its requests have.
        credential_fields: Names of the header fields, query parameters and members of the body in which the
            protocol carries credentials, besides the usual ones; nothing shows what is in them.
    """

    name: ClassVar[str]
    transports: ClassVar[tuple[str, ...]] = ()
    credential_fields: ClassVar[tuple[str, ...]] = ()
    shares_plans: ClassVar[bool] = False

    def __init_subclass__(cls, *, shares_plans: bool = False) -> None:
        """Note whether one rendering of a script may serve many runs, for which the built-in dialects ask.

        Subclasses do not inherit it: they may say anything of a run.
        """
        cls.shares_plans = shares_plans

    def parse_request(self, request: Request) -> RunRequest | None:
        """Understand a request; None for one that is not of this dialect, or asks for no run."""
        raise NotImplementedError

    def stream(self, run: DialectRun) -> Format:
        """Make the writer of one streamed answer; ``run.transport`` tells which way was asked for."""
        raise NotImplementedError

    def result(self, step: Chunk | Error, result: Result, run: DialectRun) -> Status:
        """Say the outcome of a plain run: an HTTP answer with its ``body``.

        Args:
            step: The value, or how the run fails.
            result: All that was scripted, usage included.
            run: For whom.
        """
        if isinstance(step, Error):
            return Status(500, step.retry_after, step.code, step.message)
        return Status(200, body={"result": step.content})

    def refusal(self, status: Status, run: DialectRun) -> Any:
        """Say, as a JSON value, why a request is refused; for statuses that bring no body of their own."""
        return error_body(status, run)

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """Return the answer that refuses an invalid request to a known agent; None if it is valid."""
        return None

    def key(self, request: Request) -> str | None:
        """Find the API key of a request; by default it is a bearer token."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None  # any case, RFC 9110 section 11.1

    def unknown_agent(self, run_request: RunRequest) -> Status:
        """Return the answer that refuses a request to an unknown agent."""
        return Status(404, message=f"there is no agent {run_request.agent_id!r}")

    def parse_message(self, message: str | bytes, agent: RequestedAgent) -> tuple[Any, Any, str | None]:
        """Understand the first message of a WebSocket, text or binary; what comes later is only noted.

        Returns:
            The body, the agent's input, and what is wrong with them; None for nothing.
        """
        raise NotImplementedError

    def reject_message(self, fault: str) -> bytes:
        """Write the frames that refuse a message, and close."""
        return frame(TEXT, to_json({"error": fault}, compact=True).encode()) + close_frame(1003)


def need_dialect(given: object) -> Dialect:
    """Refuse what is no dialect.

    Raises:
        TypeError: It is none; the message says why.
    """
    if not isinstance(given, Dialect):
        raise TypeError(
            f"{given!r} is no Dialect: pass an object of a subclass of runagent_testing.dialects.Dialect"
        )
    if not isinstance(getattr(given, "name", None), str):
        raise TypeError(f"{type(given).__qualname__} has no name: give it one, as text")
    return given


def error_body(step: Status, run: DialectRun) -> dict[str, Any]:
    """Say a refusal as the documented API does."""
    code = step.code or _CODES.get(step.status) or phrase(step.status).upper().replace(" ", "_")
    details = {
        "code": code,
        "message": phrase(step.status) if step.message is None else step.message,
        "status": step.status,
        "request_id": run.run_id,
    }
    return {"error": details | without_none(retry_after=step.retry_after)}


def phrase(status: int) -> str:
    """Return the words that go with a status."""
    return next((known.phrase for known in HTTPStatus if known == status), "Unnamed")
