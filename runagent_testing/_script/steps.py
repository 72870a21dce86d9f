"""The steps of a script, and the functions that make them.

Steps are frozen data, so any number of runs may share them; only a gate has state (`_script.gates`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from runagent_testing._internal.public import publish
from runagent_testing._internal.suggestions import nearest, suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.gates import Gate
from runagent_testing._script.jsonvalues import write_json_value
from runagent_testing._script.numbers import check_seconds
from runagent_testing._script.repetition import Repeat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    *("Chunk", "ContentStep", "Custom", "Delay", "Done", "Ending", "EndingKind", "Error", "Head"),
    *("Heartbeat", "Pause", "Raw", "RawResponse", "Reasoning", "Status", "Step", "ToolCall", "Unnumbered"),
    *("chunk", "custom", "delay", "done", "ending", "error", "gate", "head", "heartbeat", "raw"),
    *("raw_response", "reasoning", "status", "tool_call"),
]

__tracebackhide__ = is_ours

EndingKind = Literal[
    "clean",
    "fin",
    "fin-in-chunk",
    "close-delimited-cut",
    "half-close",
    "stall-reset",
    "close",
    "no-close-frame",
    "bad-utf8",
    "bad-opcode",
    "masked-frame",
    "silent",
    "cut",
    "reset",
    "stall",
    "no-done",
]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of the answer; ``...`` takes the field from the script's options, None omits it."""

    content: Any
    index: Any = ...
    id: Any = ...
    event: Any = ...


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model thinks."""

    text: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A whole tool call; the arguments are JSON text."""

    name: str
    arguments: str = "{}"
    id: str | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Custom:
    """Anything else that a protocol can send."""

    name: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Delay:
    """A pause, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life that carries no event."""


@dataclass(frozen=True, slots=True)
class Error:
    """The run fails, with an error event or, for a plain run, an error answer."""

    code: str | None
    message: str | None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The event that completes a run."""

    message: str | None = None
    usage: Mapping[str, Any] | None = None
    execution_time: float | None = None
    metadata: Mapping[str, Any] | None = None
    stop_reason: str | None = None
    interrupts: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes for the body (HTTP) or the socket (WebSocket), as they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class RawResponse:
    """Bytes from the status line on, instead of an answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of a stream's answer; None as a header's value omits the header.

    Attributes:
        start: Whether the message follows with which the protocol begins a run.
    """

    status: int | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    start: bool = True


@dataclass(frozen=True, slots=True)
class Status:
    """A whole HTTP answer, mostly a refusal, instead of a stream."""

    status: int
    retry_after: float | str | None = None
    code: str | None = None
    message: str | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ending:
    """An end of the run other than the protocol's normal one."""

    kind: EndingKind
    seconds: float = 0.0
    code: int = 1000
    reason: str = ""


Unnumbered = Reasoning | ToolCall | Custom
ContentStep = Chunk | Unnumbered
Step = (
    Chunk
    | Unnumbered
    | Delay
    | Heartbeat
    | Gate
    | Error
    | Done
    | Raw
    | RawResponse
    | Head
    | Status
    | Ending
    | Repeat
)
Pause = Delay | Gate


@suggest_keywords
def chunk(content: Any, index: Any = ..., id: Any = ..., event: Any = ...) -> Chunk:
    """Send one piece of the answer.

    Args:
        content: Text or any other JSON value.
        index: The index, instead of the chunk's place in the script; any JSON value, or None for no index.
        id: The SSE id, instead of the one that ``ids=True`` sets; None for no id.
        event: The event name or message type, instead of "chunk" ("data" on a WebSocket);
            None for an event without a name.
    """
    return Chunk(content, index, id, event)


@suggest_keywords
def reasoning(text: str, id: str | None = None) -> Reasoning:
    """Send a piece of what the model thinks.

    Args:
        text: The piece.
        id: Which train of thought it belongs to.
    """
    return Reasoning(text, id)


@suggest_keywords
def tool_call(name: str, arguments: Any = "{}", id: str | None = None, index: int | None = None) -> ToolCall:
    """Send a tool call; a protocol that streams calls in pieces gets it in pieces.

    Args:
        name: The tool's name.
        arguments: JSON text, sent as it is; any other value is written as JSON.
        id: The call's id; by default the dialect makes one, if its protocol needs one.
        index: Its place among the calls.

    Raises:
        ValueError: JSON cannot carry the arguments.
    """
    try:
        written = arguments if isinstance(arguments, str) else write_json_value(arguments)
    except ValueError as exc:
        raise ValueError(f"the arguments of tool_call({name!r}) are not JSON: {exc}") from None
    return ToolCall(name, written, id, index)


@suggest_keywords
def custom(name: str, value: Any = None) -> Custom:
    """Send anything else that the protocol has.

    Args:
        name: As the protocol names it.
        value: Any JSON value.
    """
    return Custom(name, value)


def delay(seconds: float) -> Delay:
    """Wait, after everything before this step has been sent."""
    check_seconds(seconds, "a delay")
    return Delay(seconds)


def heartbeat() -> Heartbeat:
    """Send an SSE comment, an empty NDJSON line or a WebSocket ping; nothing on plain text."""
    return Heartbeat()


def gate(name: str) -> Gate:
    """Make a gate: use it as a step, then call its ``open()`` when the run may go on."""
    return Gate(name)


@suggest_keywords
def error(code: str | None, message: str | None = None, retry_after: float | None = None) -> Error:
    """Fail the run; plain text, which cannot express an error, is cut off instead.

    Args:
        code: For example "CAPACITY_ERROR"; None omits it.
        message: The text of the error; None omits it.
        retry_after: Seconds.
    """
    return Error(code, message, retry_after)


@suggest_keywords
def done(
    message: str | None = None,
    usage: Mapping[str, Any] | None = None,
    execution_time: float | None = None,
    metadata: Mapping[str, Any] | None = None,
    stop_reason: str | None = None,
    interrupts: Sequence[Mapping[str, Any]] | None = None,
) -> Done:
    """Complete the run with this closing event; a script without an end gets ``done()``.

    Args:
        message: The agent's closing message.
        usage: Token counts.
        execution_time: Seconds.
        metadata: Any other facts about the run, as a separate object.
        stop_reason: Why the model stopped, as the protocol names it.
        interrupts: What the agent waits for before it can go on, each an object.
    """
    return Done(message, usage, execution_time, metadata, stop_reason, interrupts)


def raw(data: bytes) -> Raw:
    """Write bytes as they are: into the body (HTTP still frames it), or onto the WebSocket's socket."""
    return Raw(_bytes(data, "raw"))


def raw_response(data: bytes) -> RawResponse:
    """Answer with exactly these bytes, from the status line on (on a WebSocket: instead of the 101).

    Only pauses, ``raw(...)`` and an ending may follow; without an ending the connection is closed.
    """
    return RawResponse(_bytes(data, "raw_response"))


@suggest_keywords
def head(
    status: int | None = None, *, headers: Mapping[str, str | None] | None = None, start: bool = True
) -> Head:
    """Change the head of the answer; the stream follows as usual.

    Args:
        status: Instead of 200 (101 on a WebSocket).
        headers: Added to the head, or replacing its headers; None as a value omits a header.
        start: False leaves out the message with which the protocol begins a run, if it has one: an ``error``
            is then a refusal on a WebSocket.
    """
    if status is not None and not 100 <= status <= 999:
        raise ValueError(f"a status line has a number from 100 to 999, not {status!r}")
    return Head(status, dict(headers or {}), start)


@suggest_keywords
def status(
    status: int,
    *,
    retry_after: float | str | None = None,
    code: str | None = None,
    message: str | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Status:
    """Refuse the run with an HTTP status before it starts; a WebSocket handshake is refused with it.

    Args:
        status: From 200 to 599.
        retry_after: Seconds, or an HTTP date as text.
        code: The agent's error code; by default one that fits the status.
        message: The error's text; by default the status's own phrase.
        body: Instead of the error JSON: text or bytes as they are, anything else as JSON.
        headers: Added to the answer, or replacing its headers.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"the HTTP status of an answer is from 200 to 599, not {status!r}")
    return Status(status, retry_after, code, message, body, dict(headers or {}))


@suggest_keywords
def ending(kind: EndingKind, *, seconds: float | None = None, code: int = 1000, reason: str = "") -> Ending:
    """End the run in a chosen way, at this place of the script.

    If a transport does not have an ending, it gets the nearest one, named in brackets:

    - "clean": the protocol's normal end, which a script without an ending has, too.
    - "no-done": HTTP ends properly, or the WebSocket closes with 1000, without the closing event.
    - "cut" or "fin": TCP's FIN without any end marker; over TLS also without close_notify.
    - "fin-in-chunk": FIN in the middle of an HTTP chunk or WebSocket frame, that of the closing event.
    - "close-delimited-cut": the answer has neither length nor HTTP chunks and ends with the connection,
      without the closing event (WebSocket: "cut").
    - "reset": a TCP RST (Unix socket: "cut"). The client may lose bytes that it has not read yet. Bytes
      that the server still holds are lost, too: over TLS, and on "cut" if the client is slow.
    - "half-close": FIN, but the server goes on reading until the client disconnects (TLS: "cut").
    - "stall": nothing more is sent; the connection stays open until the client disconnects.
    - "stall-reset": ``seconds`` of silence, then a RST.
    - "close": the WebSocket's Close frame with ``code`` and ``reason`` (HTTP: "no-done").
    - "no-close-frame": FIN without a Close frame, which clients call 1006 (HTTP: "cut").
    - "bad-utf8", "bad-opcode", "masked-frame": one WebSocket frame that violates RFC 6455; then the
      server waits for the client's reaction (HTTP: "cut").
    - "silent": nothing more is sent, not even an answer to a ping or a Close (HTTP: "stall").

    Args:
        kind: One of the above.
        seconds: How long "stall-reset" is silent.
        code: The code of "close", even one that must not be sent, such as 1005.
        reason: The reason of "close".
    """
    if kind not in get_args(EndingKind):
        raise ValueError(f"unknown ending {kind!r}: {nearest(str(kind), get_args(EndingKind))}")
    if (seconds is not None) != (kind == "stall-reset"):
        raise ValueError(f"ending('stall-reset', seconds=...) needs seconds, and only it; not {kind!r}")
    if not 0 <= code <= 0xFFFF:
        raise ValueError(f"a close code is a number from 0 to 65535, not {code!r}")
    if seconds is not None:
        check_seconds(seconds, "a stall")
    return Ending(kind, seconds or 0.0, code, reason)


def _bytes(data: bytes, what: str) -> bytes:
    if not isinstance(data, bytes):
        raise TypeError(f"{what}() takes bytes, not {type(data).__name__}")
    return data


publish(Chunk, Custom, Done, Error, Reasoning, Status, ToolCall, module="runagent_testing.dialects")
