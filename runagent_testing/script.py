"""What the fake agent says, as data: steps, and the scripts made of them.

A script knows no transport; `plan` renders it for one. Steps are frozen, so a script can be
shared by any number of runs; only a gate has a state, which it shares with the test.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Chunk",
    "Delay",
    "Done",
    "Ending",
    "EndingKind",
    "Error",
    "Gate",
    "Heartbeat",
    "Raw",
    "Result",
    "Script",
    "Status",
    "Step",
    "chunk",
    "delay",
    "done",
    "ending",
    "error",
    "gate",
    "heartbeat",
    "raw",
    "status",
]

EndingKind = Literal["cut", "reset", "stall", "no-done"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of the answer; ``...`` means "as the script does it", None leaves the field out."""

    content: Any
    index: Any = ...
    id: Any = ...
    event: Any = ...


@dataclass(frozen=True, slots=True)
class Delay:
    """A pause, in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life that carries no event."""


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """A place where the agent waits until the test lets it pass; once open, it stays open."""

    name: str
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _opened: threading.Event = field(default_factory=threading.Event, repr=False)
    _waiting: list[Callable[[], object]] = field(default_factory=list, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether runs pass without waiting."""
        return self._opened.is_set()

    def open(self) -> None:
        """Let every run pass, now and later; callable from any thread."""
        # Woken under the lock: after `forget` has returned, nobody calls into a loop that may be closed.
        with self._lock:
            self._opened.set()
            while self._waiting:
                self._waiting.pop()()

    def on_open(self, wake: Callable[[], object]) -> None:
        """Call ``wake`` once, from the thread that opens the gate, or at once if it is open."""
        with self._lock:
            if not self._opened.is_set():
                self._waiting.append(wake)
                return
        wake()

    def forget(self, wake: Callable[[], object]) -> None:
        """Withdraw a callback given to `on_open`."""
        with self._lock:
            if wake in self._waiting:
                self._waiting.remove(wake)


@dataclass(frozen=True, slots=True)
class Error:
    """The run fails, with an error event or, for a plain run, an error answer."""

    code: str | None
    message: str | None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The event that ends a run well."""

    message: str | None = None
    usage: Mapping[str, Any] | None = None
    execution_time: float | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes for the body (HTTP) or the socket (WebSocket), as they are."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP answer instead of a run."""

    status: int
    retry_after: float | str | None = None
    code: str | None = None
    message: str | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ending:
    """How the run ends, if not as the protocol wants it."""

    kind: EndingKind


Step = Chunk | Delay | Heartbeat | Gate | Error | Done | Raw | Status | Ending
Pause = Delay | Gate
_PLAIN_STEPS = (Delay, Gate, Chunk, Error, Status, Ending)


def chunk(content: Any, index: Any = ..., id: Any = ..., event: Any = ...) -> Chunk:
    """Send one piece of the answer.

    Args:
        content: Text or any other JSON value.
        index: Instead of its place in the script; any JSON value, or None for no index.
        id: The SSE id, instead of what ``ids=True`` would give it; None for no id.
        event: The event name or message type, instead of "chunk" ("data" on a WebSocket);
            None for an event without a name.
    """
    return Chunk(content, index, id, event)


def delay(seconds: float) -> Delay:
    """Wait; what was said before has left by then."""
    if not seconds >= 0:
        raise ValueError(f"a delay is a number of seconds, 0 or more, not {seconds!r}")
    return Delay(seconds)


def heartbeat() -> Heartbeat:
    """Send an SSE comment, an empty NDJSON line or a WebSocket ping; nothing in plain text."""
    return Heartbeat()


def gate(name: str) -> Gate:
    """Make a gate: use it as a step, then call its ``open()`` when the run may go on."""
    return Gate(name)


def error(code: str | None, message: str | None, retry_after: float | None = None) -> Error:
    """Fail the run; plain text, which has no word for it, is cut off instead.

    Args:
        code: For example "CAPACITY_ERROR"; None leaves it out.
        message: The text of the error; None leaves it out.
        retry_after: Seconds.
    """
    return Error(code, message, retry_after)


def done(
    message: str | None = None,
    usage: Mapping[str, Any] | None = None,
    execution_time: float | None = None,
) -> Done:
    """Say how the closing event looks; a script that does not end otherwise gets ``done()``.

    Args:
        message: The agent's closing words.
        usage: Token counts.
        execution_time: Seconds.
    """
    return Done(message, usage, execution_time)


def raw(data: bytes) -> Raw:
    """Write bytes as they are: into the body (HTTP still frames it), or onto the WebSocket's socket."""
    return Raw(data)


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
        headers: Added to the answer, or put in place of its own.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"an HTTP status that answers a request is 200 to 599, not {status!r}")
    return Status(status, retry_after, code, message, body, dict(headers or {}))


def ending(kind: EndingKind) -> Ending:
    """End the run against the rules.

    Args:
        kind: "cut" closes the connection without any end marker; "reset" does it with a TCP RST
            (on a Unix socket there is none: it is a cut), and over TLS what a slow client has not
            taken yet may be lost with both; "stall" sends nothing more and holds the
            connection until the client leaves; "no-done" ends HTTP properly (or closes the
            WebSocket with 1000) without the event that says so.
    """
    if kind not in get_args(EndingKind):
        raise ValueError(f"an ending is one of {', '.join(get_args(EndingKind))}, not {kind!r}")
    return Ending(kind)


@dataclass(frozen=True, slots=True)
class Script:
    """A stream, for any transport.

    Attributes:
        steps: What happens, in order.
        indexed: SSE and NDJSON chunks carry their place, counted from 0.
        ids: SSE chunks carry their place as the event id.
        resume: ``parameters.resume_from_index`` (and ``Last-Event-ID``, with ``ids``) are honoured.
    """

    steps: tuple[Step, ...]
    indexed: bool = True
    ids: bool = False
    resume: bool = True

    @classmethod
    def of(cls, steps: tuple[Any, ...], *, indexed: bool, ids: bool, resume: bool) -> Self:
        """Check the steps; text and JSON values become chunks."""
        checked = _steps(steps)
        _check_order(checked)
        return cls(checked, indexed, ids, resume)

    @property
    def refuses(self) -> bool:
        """Whether this is an HTTP status instead of a stream."""
        return bool(self.steps) and isinstance(self.steps[-1], Status)


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a plain run: pauses, then a value, an error or a status, or an ending."""

    steps: tuple[Step, ...]
    usage: Mapping[str, Any] | None = None
    execution_time: float | None = None
    agent_version: str | None = None

    @classmethod
    def of(cls, steps: tuple[Any, ...], **metadata: Any) -> Self:
        """Check the steps; a value becomes the one chunk."""
        checked = _steps(steps)
        _check_order(checked)
        for number, step in enumerate(checked, 1):
            if not isinstance(step, _PLAIN_STEPS) or step == Ending("no-done"):
                raise TypeError(f"step {number} makes no sense in a plain run: {step!r}")
        if sum(isinstance(step, Chunk | Error | Status) for step in checked) > 1:
            raise TypeError("a plain run has one answer: a value, an error or a status")
        if not checked or isinstance(checked[-1], Pause):
            raise TypeError("a plain run needs an answer or an ending as its last step")
        return cls(checked, **metadata)


def _steps(items: tuple[Any, ...]) -> tuple[Step, ...]:
    return tuple(_step(item, number) for number, item in enumerate(items, 1))


def _step(item: Any, number: int) -> Step:
    step = item if isinstance(item, Step) else Chunk(item)
    if isinstance(step, Chunk):
        try:
            json.dumps(step.content)
        except (TypeError, ValueError) as exc:
            raise TypeError(f"step {number} is neither a step nor text nor a JSON value ({exc})") from exc
    return step


def _check_order(steps: tuple[Step, ...]) -> None:
    last = len(steps)
    for number, step in enumerate(steps, 1):
        if isinstance(step, Ending | Status) and number < last:
            raise TypeError(f"step {number}, {step!r}, must be the last one")
        if isinstance(step, Status) and not all(isinstance(before, Pause) for before in steps[:-1]):
            raise TypeError("a status refuses a run before it starts: only delays and gates may come first")
