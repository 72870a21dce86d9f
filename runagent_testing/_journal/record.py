"""What is known of one request, and of what was made of its answer so far."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from runagent_testing._internal.clock import now, wait_for
from runagent_testing._internal.log import log_exchange
from runagent_testing._internal.redaction import Headers, Secrets
from runagent_testing._render.lazy import Kept
from runagent_testing._render.plan import Pass, Write
from runagent_testing._script.steps import Done

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runagent_testing._render.plan import AnyPlan, Move
    from runagent_testing._script.steps import Step

__all__ = ["ClientState", "Outcome", "Record", "Recorder", "Sent", "numbers_of"]

Outcome = Literal["running", "done", "client disconnected", "server closed"]
ClientState = Literal["still reading", "closed", "reset", "half-closed"]


class Sent(NamedTuple):
    """One write.

    Attributes:
        seconds: Since the exchange began, when the transport had taken the bytes.
        steps: Numbers of the steps, from 0, of which something is in it; empty for what the protocol
            says of its own (a WebSocket's handshake and pongs, HTTP's end).
    """

    seconds: float
    data: bytes
    steps: tuple[int, ...]


@dataclass(slots=True, eq=False, repr=False)
class Record:
    """What is known of one request and its answer.

    It is written by the agent's thread and may be read by any other.

    Attributes:
        method: "POST", or "GET" for a WebSocket or a browser's EventSource.
        transport: "sse", "chunked", "text", "websocket", "invoke" or "run"; in other dialects their word.
        agent_id: As decoded from the path.
        path: As received, percent-encoded, with the query.
        raw_headers: Names in lower case; a repeated header's values joined with a comma. They may
            hold the key, which their repr does not show; `headers` does not hold it.
        connection: Number of the connection, counted from 1.
        reused: Whether the connection had carried a request before.
        body: The decoded JSON of the request (on a WebSocket: its message), None if there is none.
        input: The agent's input, whichever way it came.
        messages: On a WebSocket, what the client has said since, in order: texts as ``str``, binary ones
            as ``bytes``. The first asks for the run.
        dialect: The dialect it came in: "documented", "published" (docs/wire.md sections 1 and 2), or
            the name of one that was brought along.
        number: Its place in the host's ``requests``, counted from 1; 0 if it is not there.
        plan: What the answer is to be, once that is decided (on a WebSocket: after the handshake).
        steps: The steps that ``plan`` was made of.
        outcome: "running", "done" (all that was scripted, a fault included), "client disconnected" (before
            that) or "server closed".
        ended_at: Seconds from the request to the outcome.
        client: How the client left, as far as this exchange saw it: "closed" (a FIN, or a WebSocket's
            Close), "reset" (a RST, which a kernel also sends for a client that closes with bytes
            unread), "half-closed" (a FIN from a client that holds its socket and may still read; such a
            one is not answered any further, as by the published server). Both are one FIN on the wire:
            on a memory network, and on Linux for clients of this machine, they are told apart, over
            TLS and elsewhere both are "closed".
        disconnected_at: Seconds from the request to that moment.
        unread_bytes: How much of what was written the client had not taken when it left; None where
            that is not known. On sockets its kernel counts (Linux, not over TLS or a Unix socket).
        unmatched: Why no script answers it, and what comes nearest; None if one does.
        refused: What was wrong with the request, so that no script was asked: a key, the body; None if
            nothing was.
        failure: What went wrong in the test's own function; None if nothing did.
    """

    method: str
    transport: str
    agent_id: str
    path: str
    raw_headers: Mapping[str, str]
    connection: int
    reused: bool = False
    body: Any = None
    now: Callable[[], float] = now
    number: int = 0
    plan: AnyPlan | None = None
    steps: Sequence[Step] = ()
    outcome: Outcome = "running"
    ended_at: float | None = None
    client: ClientState = "still reading"
    disconnected_at: float | None = None
    unread_bytes: int | None = None
    unmatched: str | None = None
    refused: str | None = None
    failure: str | None = None
    input: Any = None
    messages: Sequence[str | bytes] = ()
    dialect: str = "documented"
    _began: float = field(init=False)
    _times: list[float] | Kept[float] = field(default_factory=list, init=False)
    _unplanned: list[Sent] = field(default_factory=list, init=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, init=False)
    _waiting: int = field(default=0, init=False)
    _over: bool = field(default=False, init=False)
    _known: Secrets = field(default_factory=Secrets, init=False)
    _key: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        Recorder(self).hide(self._known)
        self._began = self.now()

    def __repr__(self) -> str:
        moves = "" if self.plan is None else f", {self.moves_done} of {len(self.plan.moves)} moves made"
        return f"<Exchange {self.title}: {self.outcome}, client {self.client}{moves}>"

    @property
    def title(self) -> str:
        """What was asked, in one line without secrets."""
        number = f"{self.number}: " if self.number else ""
        return f"{number}{self.method} {self.secrets.line(self.path)} ({self.transport})"

    @property
    def headers(self) -> dict[str, str]:
        """The headers with "<redacted>" in place of keys and cookies."""
        return self.secrets.headers(self.raw_headers)

    @property
    def secrets(self) -> Secrets:
        """What must not be shown of it: the credentials that it came with, wherever they may turn up."""
        return self._known.seen_in(self.raw_headers, self.path, (self.body, *self.messages), self._key)

    @property
    def input_args(self) -> list[Any]:
        """The positional inputs (published server's protocol only)."""
        args = self.body.get("input_args") if isinstance(self.body, dict) else None
        return args if isinstance(args, list) and self.dialect == "published" else []

    @property
    def moves_done(self) -> int:
        """How many moves of the plan have been made."""
        return len(self._times)

    @property
    def times(self) -> list[float]:
        """Seconds from the request to each move that was made."""
        return [moment - self._began for moment in self._times]

    @property
    def sent(self) -> list[Sent]:
        """Every write, in order."""
        moves = () if self.plan is None else self.plan.moves
        writes = [
            Sent(seconds, move.data, move.steps)
            for seconds, move in zip(self.times, moves, strict=False)
            if isinstance(move, Write)
        ]
        return sorted([*self._unplanned, *writes], key=lambda sent: sent.seconds)

    @property
    def unplanned(self) -> list[Sent]:
        """Those writes that belong to no plan: a WebSocket's handshake, pongs, the answer to a Close."""
        return list(self._unplanned)

    @property
    def unplayed(self) -> list[int]:
        """Numbers of the steps, from 0, that the plan holds and of which nothing has happened.

        Those behind a ``done(...)`` that was sent are left out: a client need not wait for them.
        """
        if self.plan is None:  # the client of a WebSocket has not waited for the handshake's answer
            return list(range(len(self.steps)))
        moves = self.plan.moves
        planned = {number for move in moves for number in numbers_of(move)}
        written = {number for move in moves if isinstance(move, Write) for number in move.steps}
        # The wait that a pace puts before a chunk is not the chunk.
        played = {
            number
            for move in moves[: self.moves_done]
            for number in numbers_of(move)
            if isinstance(move, Write) or number not in written
        }
        done = (number for number, step in enumerate(self.steps) if isinstance(step, Done))
        over = next((number for number in done if number in played), math.inf)
        return sorted(number for number in planned - played if number < over)

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        with self._changed:
            # Raised before the condition is looked at, so that no move between the two goes unheard.
            self._waiting += 1
            try:
                wait_for(self._changed, condition, timeout)
            finally:
                self._waiting -= 1


class Recorder:
    """Notes in a record how its exchange goes; the players' side of it."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record = record

    def hide(self, secrets: Secrets, key: str | None = None) -> None:
        """Note what must not be shown of it, and the key that came with it."""
        record = self._record
        record._known, record._key = secrets, key
        record.raw_headers = Headers(record.raw_headers, secrets)
        if "=" in record.path or "@" in record.path:
            record.path = secrets.veiled(record.path)
        secrets.veil(record.body)
        secrets.veil(record.input)

    def log_begin(self) -> None:
        """Log that it has begun."""
        log_exchange("begins", self._record)

    def note_progress(self) -> None:
        """Note that the agent has come to another step of a `LazyPlan`."""
        if self._record._waiting:
            self._notify()

    def note_failure(self, exc: Exception, function: str = "") -> str:
        """Note what went wrong in the test's own function, and return it without secrets."""
        fault = self._record.secrets.text(f"{type(exc).__name__}: {exc}")
        self._record.failure = f"{fault} (in {function})" if function else fault
        return fault

    def forget_times(self) -> None:
        """Keep no more times of moves than there are moves of a `LazyPlan`."""
        self._record._times = Kept(self._record._began)

    def note_move(self, move: Move) -> None:
        """Note that a move of the plan has been made."""
        record = self._record
        record._times.append(record.now())
        if record._waiting:
            self._notify()

    def note_unplanned(self, data: bytes) -> None:
        """Note bytes that went out in addition to the plan."""
        record = self._record
        record._unplanned.append(Sent(record.now() - record._began, data, ()))

    def end(self, outcome: Outcome) -> None:
        """Note how it went; only the first word counts."""
        record = self._record
        with record._changed:
            if record.outcome != "running":
                return
            record.ended_at = record.now() - record._began
            record.outcome = outcome
            record._changed.notify_all()

    def note_departure(self, how: ClientState, unread_bytes: int | None = None) -> None:
        """Note that the client has left; only the first word counts, and only before it is over."""
        record = self._record
        with record._changed:
            if record.client == "still reading" and not record._over:
                record.disconnected_at = record.now() - record._began
                record.unread_bytes = unread_bytes
                record.client = how
            record._changed.notify_all()

    def close(self) -> None:
        """Note that nothing more will be noted."""
        record = self._record
        record._over = True
        self._notify()
        log_exchange(f"ends: {record.outcome}, client {record.client}", record)

    def wait_until_idle(self, timeout: float) -> None:
        """Wait as long as the agent is about to write: until it waits for a time or a gate, or has ended."""
        self._record._wait(lambda: self._record.outcome != "running" or not self._is_busy(), timeout)

    def _is_busy(self) -> bool:
        record = self._record
        move = None if record.plan is None else record.plan.after(record.moves_done)
        return isinstance(move, Write) or (isinstance(move, Pass) and move.gate.is_open)

    def _notify(self) -> None:
        with self._record._changed:
            self._record._changed.notify_all()


def numbers_of(move: Move) -> Iterator[int]:
    """Give the numbers of the steps that a move belongs to."""
    if isinstance(move, Write):
        yield from move.steps
    elif move.step is not None:
        yield move.step
