"""The kinds of fault, times the positions, for one transport and one player."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args

from runagent_testing._internal.public import publish
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.steps import Done
from runagent_testing.dialects._installed import installed_dialects
from runagent_testing.faults import _answers as answers
from runagent_testing.faults import _cuts as cuts
from runagent_testing.faults import _harmless as harmless
from runagent_testing.faults import _streams as streams
from runagent_testing.faults import _websocket as websocket
from runagent_testing.faults._kind import (
    TRANSPORTS,
    ErrorFamily,
    FaultContext,
    FaultKind,
    Hidden,
    Position,
    Scenario,
    ScriptedAgent,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runagent_testing._render.plan import ConnectionFault
    from runagent_testing.dialects import Dialect
    from runagent_testing.faults._kind import FaultHost

__all__ = [
    "CHUNKS",
    "IDS",
    "Expected",
    "Fault",
    "Player",
    "Unavailable",
    "connection_fault",
    "for_transport",
    "scenario_of",
    "unavailable",
]

__tracebackhide__ = is_ours

A = TypeVar("A", bound=ScriptedAgent)

Player = Literal["socket", "memory"]
"""What plays a fault: a `FakeAgentServer` or a `MemoryNetwork`."""

CHUNKS = ("Once ", "upön ", "a tïme 🦊")
"""The chunks of the answer that a fault strikes."""

_INTERVAL, _OVERSIZE = 0.02, 17 * 1024 * 1024  # seconds, bytes

_POSITIONS_ABSENT = {
    ("websocket", "after-head"): "the fake agent answers a WebSocket's request with stream_started first",
    ("text", "after-start"): "plain text has no start event; see after-head",
    ("text", "after-done"): "plain text has no closing event; see before-end-marker",
}
_MEMORY_TLS = "the memory network speaks no TLS"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a sound client shows.

    Attributes:
        error: "ok" (the whole answer, and a proven end), "unproven" (the whole answer, but nothing
            proves that it is whole), or the family of the error: "truncated" (the answer broke off),
            "network" (there was none), "protocol" (the peer broke the format), "timeout", "agent" (the
            agent or the service rejected the request), "limit" (larger than the client allows).
        accepted: Other families that are right as well.
        min_chunks: How many chunks are delivered before it; None for all that the agent sends.
        max_chunks: As many at the most. Of plain text, which has no chunks, the text of as many.
        hidden_by: "retry": a client that tries again may show the next answer instead. "resume": one
            that goes on with the next chunk may. "nothing": neither.
    """

    error: ErrorFamily
    accepted: tuple[ErrorFamily, ...] = ()
    min_chunks: int | None = None
    max_chunks: int | None = None
    hidden_by: Hidden = "nothing"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault at one position, for one transport.

    Attributes:
        id: Unique in a catalogue, for example "reset-after-event-2".
        kind: What happens, for example "reset".
        position: Where.
        transport: For which transport.
        description: What happens, in a line.
        expected: What a sound client shows.
        dialect: What the agent speaks; None for a built-in protocol.
    """

    id: str
    kind: str
    position: Position
    transport: str
    description: str
    expected: Expected
    dialect: Dialect | None = None

    def __str__(self) -> str:
        return self.id

    @property
    def __name__(self) -> str:
        # What pytest makes an id of, if a parameter is no text or number.
        return self.id

    def script(
        self, chunks: Sequence[Any] = CHUNKS, *, interval: float = _INTERVAL, oversize: int = _OVERSIZE
    ) -> Scenario:
        """Make the script; its ``connection`` is instead what happens to the connection.

        Args:
            chunks: Contents of the whole answer, as many as the position needs.
            interval: Seconds between two signs of life of an agent that is slow, and of silence before
                a late reset; the client has to be more patient than that.
            oversize: Bytes of a part that is larger than the client allows.

        Raises:
            ValueError: There are not enough chunks.
        """
        if len(chunks) < max(2, self.position.event):
            raise ValueError(f"{self.id} needs {max(2, self.position.event)} chunks, and got {len(chunks)}")
        return scenario_of(self, chunks, interval, oversize)

    def install(
        self,
        host: FaultHost[A],
        agent_id: str,
        chunks: Sequence[Any] = CHUNKS,
        *,
        interval: float = _INTERVAL,
        oversize: int = _OVERSIZE,
    ) -> A:
        """Have the next run (or connection) meet the fault; what comes later is the agent's own affair.

        Args:
            host: A `FakeAgentServer` or `MemoryNetwork`.
            agent_id: Which agent.
            chunks: As for `script`, as are the others.
            interval: Seconds.
            oversize: Bytes.

        Returns:
            The agent, for what it sends afterwards: ``fault.install(...).always(...)``.

        Raises:
            ValueError: There are not enough chunks.
        """
        scenario = self.script(chunks, interval=interval, oversize=oversize)
        agent = host.agent(agent_id)
        if scenario.connection is not None:
            host.on_connect(scenario.connection)
        else:
            agent.reply(*scenario.steps, **scenario.options)
        return agent

    def contents(self, chunks: Sequence[Any] = CHUNKS) -> tuple[Any, ...]:
        """Give the contents that the agent sends, in order; a client delivers the first so many of them."""
        return self.script(chunks, oversize=0).contents

    def check(self, error: ErrorFamily, contents: Sequence[Any], chunks: Sequence[Any] = CHUNKS) -> None:
        """Compare what a client has shown with what a sound one shows.

        Args:
            error: The family of its error, "ok" for none, "unproven" if it reported its doubts.
            contents: What it delivered; of plain text, in pieces of any size.
            chunks: As given to `install`.

        Raises:
            AssertionError: It is not sound; the message names what it should have shown.
            ValueError: There is no such family.
        """
        if error not in get_args(ErrorFamily):
            raise ValueError(
                f"a client's error has to be one of {', '.join(get_args(ErrorFamily))}, not {error!r}"
            )
        expected, sent = self.expected, self.contents(chunks)
        right = (expected.error, *expected.accepted)
        least = len(sent) if expected.min_chunks is None else expected.min_chunks
        most = len(sent) if expected.max_chunks is None else expected.max_chunks
        if error not in right:
            raise AssertionError(f"{self.id}: expected {' or '.join(right)}, the client showed {error}")
        if self.transport == "text":
            got, shortest, longest = ("".join(part) for part in (contents, sent[:least], sent[:most]))
            good = longest.startswith(got) and got.startswith(shortest)
        else:
            good = list(contents) == list(sent[: len(contents)]) and least <= len(contents) <= most
        if not good:
            wanted = f"{list(sent[:least])}" + (f" to {list(sent[:most])}" if most != least else "")
            raise AssertionError(f"{self.id}: expected {wanted}, the client delivered {list(contents)}")


def scenario_of(
    fault: Fault, chunks: Sequence[Any], interval: float = _INTERVAL, oversize: int = _OVERSIZE
) -> Scenario:
    """Make the script of a fault for an answer that just reaches the position; see `Fault.script`."""
    kind = _KINDS[fault.kind, fault.position.name]
    return kind.make_scenario(
        FaultContext(fault.transport, fault.position, tuple(chunks), interval, oversize, fault.dialect)
    )


def connection_fault(fault_id: str) -> ConnectionFault | None:
    """Return what a fault does to the connection; None if it is a script."""
    kind, position = IDS[fault_id]
    if position.name != "before-accept":
        return None
    return kind.make_scenario(FaultContext("sse", position, CHUNKS, 0, 0)).connection


class Unavailable(NamedTuple):
    """A fault that does not exist somewhere.

    Attributes:
        id: As it would be called.
        reason: Why not.
    """

    id: str
    reason: str


def for_transport(
    transport: str, player: Player = "socket", *, tls: bool = False, dialect: Dialect | None = None
) -> list[Fault]:
    """List the faults that a transport's client can meet.

    Args:
        transport: Who is to meet them; "text" is what "chunked" HTTP carries to those who ask for it. Any
            other name is one of the `transports` of a dialect.
        player: "socket" for a `FakeAgentServer`, "memory" for a `MemoryNetwork`.
        tls: The server speaks TLS.
        dialect: The dialect that has the name, unless an installed distribution brings it.

    Raises:
        ValueError: There is no such transport or player, or no TLS; or the dialect has no end marker, or no
            bounds between chunks, so that nothing is known of what a sound client shows.
    """
    dialect = _dialect_of(transport, dialect)
    return [
        _fault(kind, position, transport, player, dialect)
        for kind, position, reason in _everything(transport, player, tls, dialect)
        if not reason
    ]


def unavailable(
    transport: str, player: Player = "socket", *, tls: bool = False, dialect: Dialect | None = None
) -> list[Unavailable]:
    """List the faults that a transport's client cannot meet, and why; arguments as for `for_transport`."""
    return [
        Unavailable(_id(kind, position), reason)
        for kind, position, reason in _everything(transport, player, tls, _dialect_of(transport, dialect))
        if reason
    ]


def _dialect_of(transport: str, given: Dialect | None) -> Dialect | None:
    """Find the dialect of a name; None for a built-in protocol."""
    if transport in TRANSPORTS:
        return None
    known = installed_dialects() if given is None else (given,)
    if found := next((dialect for dialect in known if transport in dialect.transports), None):
        return found
    names = ", ".join((*TRANSPORTS, *(name for dialect in known for name in dialect.transports)))
    raise ValueError(f"the catalogue knows {names}, not {transport!r}; for another one pass its dialect=")


def _names(transport: str, dialect: Dialect | None) -> tuple[str, ...]:
    """Describe what a transport is and lacks, in the terms of `FaultKind.absent`; first of all its wire."""
    if dialect is None:
        return (transport,)
    context = FaultContext(transport, Position("throughout"), (), 0, 0, dialect)
    form = context.format
    if not form.delimited or not form.done(Done(), context.run, 0):
        raise ValueError(f"the chunks of {transport!r} have no bounds, or its runs have no end marker")
    wire = "websocket" if form.writes_frames else "http"
    lacks = [
        name
        for name, has in (("no-heartbeat", form.heartbeat), ("no-error", form.supports_errors))
        if not has
    ]
    return (wire, "dialect", form.content_type, *lacks)


def _everything(
    transport: str, player: Player, tls: bool, dialect: Dialect | None
) -> Iterator[tuple[FaultKind, Position, str | None]]:
    peer = _names(transport, dialect)
    if player not in ("socket", "memory"):
        raise ValueError(f"a player is 'socket' or 'memory', not {player!r}")
    if tls and player == "memory":
        raise ValueError(_MEMORY_TLS)
    for kind, position in IDS.values():
        names = (*peer, player, *(("tls",) if tls else ()))
        reasons = [kind.absent[name] for name in names if name in kind.absent]
        reasons += filter(None, (_POSITIONS_ABSENT.get((peer[0], position.name)),))
        yield kind, position, reasons[0] if reasons else None


def _id(kind: FaultKind, position: Position) -> str:
    return kind.name if kind.alone else f"{kind.name}-{position}"


def _fault(
    kind: FaultKind, position: Position, transport: str, player: Player, dialect: Dialect | None
) -> Fault:
    wire = _names(transport, dialect)[0]
    family = kind.family_at(wire, position)
    accepted = kind.accepted_at(wire, position)
    least, most = _counts(wire, position, whole=family == "ok")
    if kind.loses and player == "socket":
        least = 0
        accepted += ("truncated", "network") if family == "ok" else ()
    hidden = _hidden_by(kind, family, most, resumes=dialect is not None or wire in ("sse", "chunked"))
    expected = Expected(family, accepted, least, most, hidden)
    return Fault(_id(kind, position), kind.name, position, transport, kind.description, expected, dialect)


def _counts(wire: str, position: Position, *, whole: bool) -> tuple[int | None, int | None]:
    """Return how many chunks a client has to show at least, and at most; None for all."""
    match position.name:
        case "before-end-marker" | "after-done" | "throughout":
            return None, None
        case _ if whole:
            return None, None
        case "after-event":
            return position.event, position.event
        case "in-event":
            return position.event - 1, position.event - (wire != "text")
    return 0, 0


def _hidden_by(kind: FaultKind, family: ErrorFamily, most: int | None, *, resumes: bool) -> Hidden:
    if kind.hidden != "cut":
        return kind.hidden
    if family in ("ok", "unproven"):
        return "nothing"
    if most == 0:
        return "retry"
    return "resume" if resumes else "nothing"


IDS = {
    _id(kind, position): (kind, position)
    for kind in (*cuts.KINDS, *answers.KINDS, *streams.KINDS, *websocket.KINDS, *harmless.KINDS)
    for position in kind.positions
}
_KINDS = {(kind.name, position.name): kind for kind, position in IDS.values()}


publish(Expected, Fault, Unavailable, module="runagent_testing.faults")
