"""What a run records of itself, and the base of its errors.

Both are in one module because each has the other: a report holds the errors of its attempts, and an error
carries its run's report. No cycle comes of it, because a report holds copies that carry none.
"""

from collections.abc import Mapping  # `help` of the fields' types resolves it
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

import msgspec

from runagent._cutting import cut_text, cut_value
from runagent._public import publish
from runagent._redact import escape_controls

__all__ = [
    "Attempt",
    "ErrorFields",
    "RunAgentError",
    "RunReport",
    "Tokens",
    "add_hint",
    "add_remark",
    "bare_copy",
    "counted",
    "known_retryable",
    "mark_error",
    "set_retryable",
    "set_run",
]

_EXACT = frozenset({"last_event_id", "partial_text"})  # of no use if they are cut
_MAX_ADDED = 1024
_ERROR_FACTS = ("code", "status", "phase", "retry_after")
_TRANSPORTS_WORD = {"retryable": "_retryable", "key_refused": "_key_refused"}  # fields that users only read


def counted(count: int, thing: str) -> str:
    """Write a number of things: "1 chunk", "2 chunks"."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


# No cycle leads through a report: the garbage collector need not look at those of all open streams.
class Tokens(msgspec.Struct, frozen=True, gc=False):
    """The token counts of a run, as far as the service sent them; nothing is computed.

    Attributes:
        input: Tokens of the input, those from a cache included.
        output: Tokens of the output, those of its reasoning included.
        total: All of them, as the service counts.
        cached: Of the input, those that came from a cache.
        reasoning: Of the output, those that were spent on reasoning.
    """

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cached: int | None = None
    reasoning: int | None = None

    def __str__(self) -> str:
        """Write the counts that are known: "12 in, 30 out, 42 in total"."""
        named = (
            (self.input, "in"),
            (self.output, "out"),
            (self.total, "in total"),
            (self.cached, "cached"),
            (self.reasoning, "for reasoning"),
        )
        return ", ".join(f"{count} {name}" for count, name in named if count is not None)


class Attempt(msgspec.Struct, gc=False):
    """One try to reach the agent.

    Attributes:
        transport: The transport's name.
        started_at: When it began, in seconds since the run began.
        seconds: How long it took; None while it goes on, and for a stream that was dropped.
        reused: It went out on a connection that was open already.
        connect_seconds: Time to open the connection, TLS and proxy included; None for a reused one.
        status: The HTTP status of its answer, once its head has come.
        error: What ended it, if it was not the last or not good; without secrets, traceback and cause.
        waited_seconds: Time waited before the next attempt.
        waited_for: What that wait was for: ``backoff``, the client's own growing wait; ``agent``, a wait that
            the agent asked for (``Retry-After``, ``retry:``); None if there was none.
    """

    transport: str
    started_at: float = 0.0
    seconds: float | None = None
    reused: bool = False
    connect_seconds: float | None = None
    status: int | None = None
    error: "RunAgentError | None" = None
    waited_seconds: float = 0.0
    waited_for: Literal["backoff", "agent"] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {**fields, "error": _error_as_dict(self.error)}


class RunReport(msgspec.Struct, gc=False):
    """What a run has come to; it is filled while the run goes on. ``str`` of it is one line.

    Attributes:
        run_id: Our id of the run: 32 hexadecimal digits, the same in all attempts, log lines and errors.
        agent_id: The agent's id.
        attached: The stream reads on in a run that another one began (``client.attach``).
        outcome: How far it is: ``running``; ``completed``, if the last event has come; ``failed``, if
            an error was raised; ``closed``, if its reader left it before its end.
        transport: The name of the transport in use.
        request_id: The id by which the service knows the run.
        status: The HTTP status of the last answer.
        headers: The header fields of the last answer, by lower-case name. A peer may put anything there,
            credentials too: they are in no ``repr`` and not in ``as_dict``.
        started_at: When the first attempt began, in seconds since the epoch; None before.
        error: What ended the run badly; a copy without traceback, cause, context and report.
        usage: Token counts as the service sent them.
        tokens: The same by their meaning, if the transport knows it.
        chunks: Chunks received.
        bytes_received: Bytes received, framing included.
        connect_seconds: Time to open the connection of the last attempt; None for a reused one.
        first_event_seconds: Time from the first attempt to the first event.
        first_chunk_seconds: Time from the first attempt to the first chunk.
        longest_gap_seconds: The longest time between two reads that brought events.
        total_seconds: Time from the first attempt to the end; None for a stream that was dropped.
        attempts: Every attempt in order.
        ignored: What was harmless and left out, with counts.
    """

    run_id: str = ""
    agent_id: str = ""
    attached: bool = False
    outcome: Literal["running", "completed", "failed", "closed"] = "running"
    transport: str = ""
    request_id: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = {}
    started_at: float | None = None
    error: "RunAgentError | None" = None
    usage: dict[str, Any] | None = None
    tokens: Tokens | None = None
    chunks: int = 0
    bytes_received: int = 0
    connect_seconds: float | None = None
    first_event_seconds: float | None = None
    first_chunk_seconds: float | None = None
    longest_gap_seconds: float = 0.0
    total_seconds: float | None = None
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    ignored: dict[str, int] = msgspec.field(default_factory=dict)
    # Reads that brought events, less the chunks: a read that brings one chunk leaves it as it is.
    _other_reads: int = 0

    @property
    def retries(self) -> int:
        """Attempts after the first."""
        return max(0, len(self.attempts) - 1)

    @property
    def gaps(self) -> int:
        """How often the next events were waited for: the reads that brought events, less the first."""
        return max(0, self.chunks + self._other_reads - 1)

    def note_events(self, chunks: int, seconds: float) -> None:
        """Note a read that brought events, so many chunks among them, so many seconds after the beginning."""
        self.chunks += chunks
        self._other_reads += 1 - chunks
        if self.first_event_seconds is None:
            self.first_event_seconds = seconds
        if chunks and self.first_chunk_seconds is None:
            self.first_chunk_seconds = seconds

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, for a log; without the header fields, which may hold secrets."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name[0] != "_"}
        del fields["headers"]
        return {
            **fields,
            "gaps": self.gaps,
            "retries": self.retries,
            "error": _error_as_dict(self.error),
            "tokens": None if self.tokens is None else msgspec.structs.asdict(self.tokens),
            "attempts": [attempt.as_dict() for attempt in self.attempts],
            "ignored": dict(self.ignored),
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __str__(self) -> str:
        """Write it as one line."""
        facts = [
            f"run {self.run_id} of agent {self.agent_id!r} {self.outcome}",
            f"over {self.transport}" if self.transport else "",
            "attached" if self.attached else "",
            "" if self.status is None else f"status {self.status}",
            "" if self.error is None else f"{type(self.error).__name__} {self.error.code or ''}".rstrip(),
            "" if self.first_chunk_seconds is None else f"first chunk after {self.first_chunk_seconds:.3f} s",
            "" if self.total_seconds is None else f"{self.total_seconds:.3f} s in all",
            counted(self.chunks, "chunk"),
            f"{self.retries} {'retry' if self.retries == 1 else 'retries'}",
            f"tokens: {self.tokens}" if self.tokens is not None and str(self.tokens) else "",
        ]
        return escape_controls(", ".join(fact for fact in facts if fact))


def _error_as_dict(error: "RunAgentError | None") -> dict[str, Any] | None:
    if error is None:
        return None
    facts = {name: getattr(error, name, None) for name in _ERROR_FACTS}
    known = {name: fact for name, fact in facts.items() if fact is not None}
    return {"type": type(error).__name__, "message": error.message, **known}


if TYPE_CHECKING:  # to make such a type takes as long as five classes

    class ErrorFields(TypedDict, total=False):
        """The keywords that every error takes, for type checkers."""

        hint: str
        code: str | None
        details: Any
        request_id: str | None
        run_id: str | None
        agent_id: str | None
        retryable: bool | None
        key_refused: bool | None


def _shown(text: str) -> str:
    """Cut a text before it is gone through, and once more if escaping has made it long."""
    return cut_text(escape_controls(cut_text(text)))


class RunAgentError(Exception):
    """Base of everything that runagent raises on purpose.

    ``str`` of it is the message with the hint, and with the agent if the process has clients for several.

    Attributes:
        message: What happened, in one line; control characters in what a peer sent are escaped, and what is
            longer than 8 KiB is cut.
        hint: What the operator of the program can do about it; "" if there is nothing.
        code: The agent's or our own machine-readable code, if there is one.
        details: Whatever the agent sent with its message; JSON values, cut after 64 KiB.
        request_id: The id by which the service knows the request.
        run_id: Our id of the run, as in its report and its log lines; None if there was none yet.
        agent_id: The agent's id; None if no agent was concerned.
        report: What the run had come to; None if there was none yet.
    """

    message: str
    hint: str = ""
    code: str | None = None
    details: Any = None
    request_id: str | None = None
    run_id: str | None = None
    agent_id: str | None = None
    report: RunReport | None = None
    _retryable: bool | None = None
    _key_refused: bool | None = None
    _names_agent: bool = False

    # Exceptions are rebuilt by pickle and copy from `args` and `__dict__`: everything but
    # the message is therefore a keyword with a default, kept as a plain attribute.
    def __init__(self, message: str = "", **fields: "Unpack[ErrorFields]") -> None:
        if not isinstance(message, str):  # of a peer, perhaps, that has put something else there
            raise TypeError(f"the message of a {type(self).__name__} has to be text, not {message!r}")
        self.message = _shown(message)
        super().__init__(self.message)
        for name, value in fields.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
            if isinstance(value, str):
                value = escape_controls(value) if name in _EXACT else _shown(value)
            if name not in _TRANSPORTS_WORD:
                setattr(self, name, cut_value(value) if name == "details" else value)
            elif value is not None:
                setattr(self, _TRANSPORTS_WORD[name], value)

    @property
    def retryable(self) -> bool:
        """Whether another run may succeed, and the agent has not begun this one; of no use after a chunk.

        A transport gives it to an error that it makes, if it knows; of any other the client decides.
        """
        return bool(self._retryable)

    @property
    def key_refused(self) -> bool:
        """Whether the service refused the API key, and another key may do.

        It is True for an `AuthenticationError`, and for any error of which a transport knows it.
        """
        return bool(self._key_refused)

    def __str__(self) -> str:
        text = f"{self.message} ({self.hint})" if self.hint else self.message
        return f"{text} (agent {self.agent_id!r})" if self._names_agent else text


E = TypeVar("E", bound=RunAgentError)


def mark_error(error: E, *, retryable: bool | None = None, key_refused: bool | None = None) -> E:
    """Note on an error what only its transport knows, and return it; None leaves what is there.

    Use it for an error that the transport did not make, such as ``super().make_refusal(status, body)``;
    each error also takes both as keywords.

    Args:
        error: The error.
        retryable: Whether the run may be repeated: the agent has not begun it, and may do so next time.
        key_refused: Whether the service refused the API key.

    Example:
        ``return mark_error(super().make_refusal(status, body), retryable=True if status == 529 else None)``
    """
    if retryable is not None:
        error._retryable = retryable
    if key_refused is not None:
        error._key_refused = key_refused
    return error


def add_remark(error: RunAgentError, text: str) -> None:
    """Append a remark in parentheses to the message of an error."""
    error.message = f"{error.message} ({cut_text(text, _MAX_ADDED)})"
    error.args = (error.message,)


def add_hint(error: RunAgentError, text: str) -> None:
    """Append to an error what the operator can do."""
    error.hint = cut_text(f"{error.hint}; {text}" if error.hint else text, _MAX_ADDED)


def set_retryable(error: RunAgentError, *, retryable: bool) -> None:
    """Note whether another run may succeed, unless the transport has done so."""
    if error._retryable is None:
        error._retryable = retryable


def known_retryable(error: RunAgentError) -> bool | None:
    """Return what the transport, or an earlier decision, has set; None if there is nothing yet."""
    return error._retryable


def set_run(error: RunAgentError, report: RunReport, *, names_agent: bool) -> None:
    """Put into an error of which run it is; its text may have to name the agent."""
    error._names_agent = names_agent
    error.run_id, error.agent_id, error.report = report.run_id, report.agent_id, report


def bare_copy(error: BaseException) -> RunAgentError:
    """Copy an error for a report: without traceback, cause, context and report.

    Any other exception may lead anywhere, and is only described.
    """
    if not isinstance(error, RunAgentError):
        return RunAgentError(f"{type(error).__name__}: {error}")
    kind = type(error)
    copy = kind.__new__(kind)  # not by its constructor, which may be a plugin's
    copy.args = error.args
    vars(copy).update(vars(error))
    vars(copy).pop("report", None)
    return copy


publish(Tokens, Attempt, RunReport, RunAgentError)
