"""The data of one request and of its answer so far."""

from __future__ import annotations

import copy
import itertools
import math
import threading
from collections import deque
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from runagent_testing._internal.clock import now, wait_for
from runagent_testing._internal.redaction import Headers, Secrets
from runagent_testing._render.plan import ENDS, Wait, Write
from runagent_testing._script.steps import Done

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runagent_testing._render.lazy import Kept
    from runagent_testing._render.plan import AnyPlan, Move
    from runagent_testing._script.steps import Step

__all__ = ["ClientState", "Outcome", "Record", "Sent", "numbers_of"]

Outcome = Literal["running", "done", "cancelled", "client disconnected", "server closed"]
ClientState = Literal["still reading", "closed", "reset", "half-closed"]

_STATUS_LINE = b"HTTP/1.1 200"


class Sent(NamedTuple):
    """One write.

    Attributes:
        seconds: Seconds from the begin of the exchange until the transport had taken the bytes.
        steps: Numbers, from 0, of the steps that have bytes in it; empty for bytes that the protocol adds
            (a WebSocket's handshake and pongs, HTTP's end).
    """

    seconds: float
    data: bytes
    steps: tuple[int, ...]

    def __repr__(self) -> str:
        """Show no bytes: what an agent sends may repeat the client's key."""
        return f"<{len(self.data)} bytes sent after {self.seconds:.3f} s, steps {self.steps}>"


class Unplanned(NamedTuple):
    """A write that belongs to no plan, sent after so many moves of the plan."""

    after: int
    sent: Sent


class _State:
    """The state of a record, apart from its fields, so that `dataclasses.asdict` has only these."""

    __slots__ = (
        *("_began", "_changed", "_is_copy", "_key", "_known", "_over", "_times", "_unplanned", "_waiting"),
    )
    _began: float
    _times: list[float] | Kept[float]
    _unplanned: list[Unplanned]
    _changed: threading.Condition
    _waiting: int
    _over: bool
    _known: Secrets
    _key: str | None
    _is_copy: bool


@dataclass(slots=True, eq=False, repr=False)
class Record(_State):
    """The data of one request and its answer.

    The agent's thread writes it; any thread may read it. A copy, or one from a pickle, has what came until
    then, with the real values of credentials; nothing more is noted in it, so that no method waits.

    Attributes:
        method: "POST", or "GET" for a WebSocket or a browser's EventSource.
        transport: "sse", "chunked", "text", "websocket", "invoke" or "run"; other dialects have other names.
        agent_id: As decoded from the path.
        path: As received, percent-encoded, with the query.
        raw_headers: Names in lower case; a repeated header's values joined with a comma. They may
            hold the key, which their repr does not show; `headers` does not hold it.
        connection: Number of the connection, counted from 1.
        reused: Whether the connection had carried a request before.
        body: The decoded JSON of the request (on a WebSocket: its message), None if there is none.
        input: The agent's input, from the body or the query.
        messages: On a WebSocket, the client's messages in order: texts as ``str``, binary ones as
            ``bytes``. In the built-in dialects, the first asks for the run.
        message_times: Seconds from the request to each of them.
        dialect: The dialect of the request: "documented", "published" (docs/wire.md sections 1 and 2), or
            the name of another one.
        number: Its place in the host's ``requests``, counted from 1; 0 if it does not ask for a run.
        arrival: Its place among all requests of the host, counted from 1.
        plan: The plan of the answer, once it is decided (on a WebSocket: after the handshake).
        steps: The steps from which ``plan`` was made.
        outcome: "running", "done" (everything scripted was sent, faults included), "cancelled" (the client
            has asked the agent to stop), "client disconnected" (before that) or "server closed".
        started_at: When the request came, in seconds since 1970.
        ended_at: Seconds from the request to the outcome.
        client: How the client disconnected, as far as this exchange saw it: "closed" (a FIN, or a
            WebSocket's Close), "reset" (a RST, which a kernel also sends if the client closes with bytes
            unread), "half-closed" (a FIN from a client that keeps its socket open and may still read; it
            gets no further bytes, as from the published server). Both kinds of FIN look the same on the
            wire: a memory network, and Linux for clients of the same machine, distinguish them; over TLS
            and elsewhere both are "closed".
        disconnected_at: Seconds from the request to that moment.
        unread_bytes: Number of written bytes that the client had not taken when it disconnected; None if
            unknown. On sockets the kernel counts them (Linux, not over TLS or a Unix socket).
        unmatched: Why no script answers the request, with the nearest match; None if a script does.
        refused: Why the request was refused before any script was used, such as a wrong key; None if it was
            not.
        is_continued: Whether a later request has attached to the run or cancelled it, so that its client need
            not read on.
        failure: The error of the test's function; None if there was none.
        fault: The fault of the catalogue in the place of the answer, such as "sse/fin-after-event-1"; None if
            there was none.
        is_fallback: Whether no agent has the id ``agent_id``, so that ``agent("*")`` was asked.
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
    arrival: int = 0
    is_continued: bool = False
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
    fault: str | None = None
    input: Any = None
    messages: Sequence[str | bytes] = ()
    message_times: Sequence[float] = ()
    dialect: str = "documented"
    is_fallback: bool = False
    started_at: float = field(default_factory=lambda: datetime.now(UTC).timestamp())

    def __post_init__(self) -> None:
        self._times, self._unplanned = [], []
        self._changed = threading.Condition()
        self._waiting, self._over, self._is_copy = 0, False, False
        self._hide(Secrets())
        self._began = self.now()

    def __reduce__(self) -> tuple[Any, ...]:
        names = (field.name for field in fields(self) if field.name != "now")
        state = {name: getattr(self, name) for name in (*names, "_began", "_over", "_known", "_key")}
        # Snapshots, as the agent may go on.
        state |= {name: copy.copy(state[name]) for name in ("plan", "steps", "messages", "message_times")}
        state |= {"_times": copy.copy(self._times), "_unplanned": list(self._unplanned)}
        return _copied, (type(self), state)

    def __repr__(self) -> str:
        moves = "" if self.plan is None else f", {self.moves_done} of {len(self.plan.moves)} moves made"
        return f"<Exchange {self.title}: {self.outcome}, client {self.client}{moves}>"

    @property
    def title(self) -> str:
        """The request, in one line without secrets."""
        number = f"{self.number}: " if self.number else ""
        return f"{number}{self.method} {self.secrets.line(self.path)} ({self.transport})"

    @property
    def headers(self) -> dict[str, str]:
        """The headers with "<redacted>" in place of keys and cookies."""
        return self.secrets.headers(self.raw_headers)

    @property
    def secrets(self) -> Secrets:
        """The credentials of the request, which must not be shown anywhere."""
        return self._known.seen_in(self.raw_headers, self.path, (self.body, *self.messages), self._key)

    @property
    def input_args(self) -> list[Any]:
        """The positional inputs (published server's protocol only)."""
        args = self.body.get("input_args") if isinstance(self.body, dict) else None
        return args if isinstance(args, list) and self.dialect == "published" else []

    def _elapsed(self) -> float:
        """Return the seconds since the request."""
        return self.now() - self._began

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be recorded: the answer has ended, and so has the watch on the client."""
        return self._over

    @property
    def moves_done(self) -> int:
        """The number of moves of the plan that have been made."""
        return len(self._times)

    @property
    def times(self) -> list[float]:
        """Seconds from the request to each move that was made."""
        return [moment - self._began for moment in self._times]

    @property
    def sent(self) -> list[Sent]:
        """Every write, in order."""
        return list(self._writes())

    def _writes(self) -> Iterator[Sent]:
        moves = () if self.plan is None else self.plan.moves
        unplanned = deque(self._unplanned)
        for count, (moment, move) in enumerate(zip(self._times, moves, strict=False)):
            # Not in order of time: on virtual time, everything may happen at once.
            while unplanned and unplanned[0].after <= count:
                yield unplanned.popleft().sent
            if isinstance(move, Write):
                yield Sent(moment - self._began, move.data, move.steps)
        yield from (extra.sent for extra in unplanned)

    @property
    def status(self) -> int | None:
        """The HTTP status that was sent, 101 for a WebSocket; None before it was, or if other bytes were."""
        # The first write may be a byte of it.
        writes = itertools.islice(self._writes(), len(_STATUS_LINE))
        beginning = b"".join([sent.data for sent in writes])[: len(_STATUS_LINE)]
        is_status = beginning.startswith(_STATUS_LINE[:9]) and beginning[9:].isdigit()
        return int(beginning[9:]) if is_status and len(beginning) == len(_STATUS_LINE) else None

    @property
    def unplanned(self) -> list[Sent]:
        """The writes that belong to no plan: a WebSocket's handshake, pongs, the answer to a Close."""
        return [extra.sent for extra in self._unplanned]

    @property
    def unplanned_places(self) -> list[Unplanned]:
        """The same with their places among the moves of the plan."""
        return list(self._unplanned)

    @property
    def unplayed(self) -> list[int]:
        """Numbers, from 0, of the plan's steps that have not begun.

        Steps after a ``done(...)`` that was sent are left out: a client need not wait for them, nor for those
        of an endless repetition, nor for a pause before a stall, after which nothing comes. So are those of a
        cancelled run, of one to which a later request has attached, and of a fault.
        """
        if self.outcome == "cancelled" or self.is_continued or self.fault is not None:
            return []
        if self.plan is None:  # a WebSocket's client disconnected before the handshake's answer
            return list(range(len(self.steps)))
        moves = self.plan.moves
        expected = moves if ENDS[self.plan.end].is_done else _until_last_pause(moves)
        planned = {number for move in expected for number in numbers_of(move)}
        written = {number for move in moves if isinstance(move, Write) for number in move.steps}
        # A pace's wait before a chunk does not count as the chunk.
        played = {
            number
            for move in moves[: self.moves_done]
            for number in numbers_of(move)
            if isinstance(move, Write) or number not in written
        }
        done = (number for number, step in enumerate(self.steps) if isinstance(step, Done))
        over = min(next((number for number in done if number in played), math.inf), self.plan.optional_from)
        return sorted(number for number in planned - played if number < over)

    def _hide(self, secrets: Secrets, key: str | None = None) -> None:
        self._known, self._key = secrets, key
        self.raw_headers = Headers(self.raw_headers, secrets)
        if "=" in self.path or "@" in self.path:
            self.path = secrets.veiled(self.path)
        secrets.veil(self.body)
        secrets.veil(self.input)

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        if self._is_copy:
            return
        with self._changed:
            # Counted before the condition is checked, so that no move between the two is missed.
            self._waiting += 1
            try:
                wait_for(self._changed, condition, timeout)
            finally:
                self._waiting -= 1


def _until_last_pause(moves: Sequence[Move]) -> Sequence[Move]:
    """Return the moves without the pauses at their end."""
    count = len(moves)
    while count and isinstance(moves[count - 1], Wait):
        count -= 1
    return moves[:count]


def _copied(kind: type[Record], state: dict[str, Any]) -> Record:
    record = kind.__new__(kind)
    for name, value in state.items():
        setattr(record, name, value)
    record.now, record._changed = now, threading.Condition()
    record._waiting, record._is_copy = 0, True
    return record


def numbers_of(move: Move) -> Iterator[int]:
    """Yield the numbers of the steps of a move."""
    if isinstance(move, Write):
        yield from move.steps
    elif move.step is not None:
        yield move.step
