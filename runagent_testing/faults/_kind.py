"""What a kind of fault is made of: where it strikes, what the agent does, what a client must show.

The kinds themselves are in `cuts`, `answers`, `streams`, `websocket` and `harmless`; `catalogue`
multiplies them out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, Unpack

from runagent_testing._internal.public import publish
from runagent_testing._render.http import http_chunk, stream_head
from runagent_testing._render.plan import Write
from runagent_testing._render.render import stream_plan
from runagent_testing._script.script import Options, Script
from runagent_testing._script.steps import Chunk, Head, Step
from runagent_testing.dialects import DialectRun, Format
from runagent_testing.dialects._builtin import dialect_of
from runagent_testing.dialects._frames import TEXT, frame, frame_pieces
from runagent_testing.dialects._jsontext import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runagent_testing._render.plan import ConnectionFault
    from runagent_testing.dialects import Dialect

__all__ = [
    "BUILT_IN_ONLY",
    "HTTP_ONLY",
    "NO_ERRORS",
    "NO_EVENTS",
    "NO_HEARTBEATS",
    "TRANSPORTS",
    "WEBSOCKET_ONLY",
    "ErrorFamily",
    "FaultContext",
    "FaultHost",
    "FaultKind",
    "Hidden",
    "Position",
    "PositionName",
    "Scenario",
    "ScriptedAgent",
    "StreamTransport",
    "after_events",
    "in_events",
]

StreamTransport = Literal["sse", "chunked", "text", "websocket"]
"""The transport of a stream that a fault strikes."""

ErrorFamily = Literal["ok", "unproven", "truncated", "network", "protocol", "timeout", "agent", "limit"]
"""The kinds of outcomes that a client may show; `Expected` explains them."""

Hidden = Literal["nothing", "retry", "resume"]
PositionName = Literal[
    "before-accept",
    "before-answer",
    "in-head",
    "after-head",
    "after-start",
    "after-event",
    "in-event",
    "before-end-marker",
    "after-done",
    "throughout",
]

TRANSPORTS: tuple[StreamTransport, ...] = ("sse", "chunked", "text", "websocket")
"""The transports of the catalogue, for which `for_transport` lists the faults."""

# Why a kind does not exist somewhere, as `FaultKind.absent` has it.
NO_EVENTS = {"text": "plain text has no events that could be wrong"}
NO_ERRORS = NO_EVENTS | {"no-error": "the dialect cannot express an error"}
NO_HEARTBEATS = {"text": "plain text has no heartbeats", "no-heartbeat": "the dialect has no heartbeats"}
BUILT_IN_ONLY = NO_EVENTS | {"dialect": "it is written in the format of the built-in protocols"}
HTTP_ONLY = {"websocket": "a WebSocket's stream has no HTTP framing, headers or body"}
WEBSOCKET_ONLY = dict.fromkeys(
    ("sse", "chunked", "text", "http"), "only a WebSocket has frames and a handshake"
)


class ScriptedAgent(Protocol):
    """An agent, as far as a fault scripts it."""

    def reply(self, *steps: Any, **options: Unpack[Options]) -> Any:
        """See `Agent.reply`."""


A_co = TypeVar("A_co", bound=ScriptedAgent, covariant=True)


class FaultHost(Protocol[A_co]):
    """A host of agents, as far as a fault scripts it: hosts import the catalogue, so it imports no host."""

    def agent(self, agent_id: str, /) -> A_co:
        """See `AgentHost.agent`."""

    def on_connect(self, fault: ConnectionFault, /) -> None:
        """See `AgentHost.on_connect`."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a fault strikes.

    Attributes:
        name: The place.
        event: For "after-event" and "in-event" the number of the chunk, from 1; otherwise 0.
    """

    name: PositionName
    event: int = 0

    def __str__(self) -> str:
        return f"{self.name}-{self.event}" if self.event else self.name


def after_events(*numbers: int) -> tuple[Position, ...]:
    """Make the positions behind these chunks."""
    return tuple(Position("after-event", number) for number in numbers or (1, 2))


def in_events(*numbers: int) -> tuple[Position, ...]:
    """Make the positions inside these chunks."""
    return tuple(Position("in-event", number) for number in numbers or (1, 2))


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the agent does.

    Attributes:
        contents: Of all the chunks that the agent sends, in order.
        steps: The script.
        options: Its properties.
        connection: What happens to the connection, instead of a script.
    """

    contents: tuple[Any, ...]
    steps: tuple[Step, ...] = ()
    options: Options = field(default_factory=Options)
    connection: ConnectionFault | None = None


@dataclass(frozen=True, slots=True)
class FaultContext:
    """What a kind has to know to make its script, and the texts for it.

    Attributes:
        transport: Who is to hear it.
        position: Where the fault strikes.
        chunks: Contents of the whole answer's chunks.
        interval: Seconds between two signs of life.
        oversize: Bytes of the part that is too large.
        dialect: What the agent speaks; None for a built-in protocol.
    """

    transport: str
    position: Position
    chunks: tuple[Any, ...]
    interval: float
    oversize: int
    dialect: Dialect | None = None

    @property
    def count(self) -> int:
        """How many whole chunks come before the place."""
        match self.position.name:
            case "after-event":
                return self.position.event
            case "in-event":
                return self.position.event - 1
            case "before-end-marker" | "after-done" | "throughout":
                return len(self.chunks)
        return 0

    @property
    def websocket(self) -> bool:
        """Whether this is one."""
        return self.format.writes_frames

    @property
    def contents(self) -> tuple[Any, ...]:
        """The contents before the place; plain text carries other values as JSON."""
        return self.as_sent(self.chunks[: self.count])

    def as_sent(self, contents: tuple[Any, ...]) -> tuple[Any, ...]:
        """Turn contents into what a client gets to see of them."""
        if self.transport != "text":
            return contents
        return tuple(content if isinstance(content, str) else to_json(content) for content in contents)

    def before(self, *, indexed: bool = False) -> list[Step]:
        """Make the chunks before the place; ``indexed`` counts them on a WebSocket as well."""
        counted = indexed and self.websocket
        chunks = enumerate(self.chunks[: self.count])
        return [Chunk(content, number if counted else ...) for number, content in chunks]

    def after(self, *, shift: int = 0) -> list[Step]:
        """Make the chunks behind the place, their index (not on a WebSocket) greater by ``shift``."""
        counted = shift and not self.websocket
        chunks = enumerate(self.chunks[self.count :], self.count + shift)
        return [Chunk(content, number if counted else ...) for number, content in chunks]

    def scenario(
        self, *steps: Step, contents: tuple[Any, ...] | None = None, **options: Unpack[Options]
    ) -> Scenario:
        """Make it; the contents are those before the place unless given."""
        sent = self.contents if contents is None else contents
        return Scenario(sent, steps, options)

    # Bytes

    @property
    def run(self) -> DialectRun:
        """A request to render an answer for, as nobody has sent one yet."""
        run_id = "00000000-0000-0000-0000-000000000000"
        dialect = dialect_of(self.transport) if self.dialect is None else self.dialect
        return DialectRun(self.transport, run_id, "", {}, {}, keep_alive=False, dialect=dialect)

    @property
    def format(self) -> Format:
        """Write the events."""
        return self.run.dialect.stream(self.run)

    def head(self, **headers: str) -> bytes:
        """Write the head of an answer in chunked coding."""
        return stream_head(self.format, self.run, Head(None, headers), "chunked")

    def answer(self, *steps: Step) -> bytes:
        """Write an HTTP answer as a script would."""
        return stream_plan(Script.of(steps), self.run).data

    def payloads(self, *steps: Step) -> list[bytes]:
        """Write the events of an HTTP answer, each for itself and without any framing."""
        plan = stream_plan(Script.of(steps, writes="per-step", framing="close"), self.run)
        return [move.data for move in plan.moves if isinstance(move, Write)][1:]

    def event(self, data: bytes, name: str = "chunk") -> bytes:
        """Write an event, line or message with this text as its JSON."""
        if self.transport == "sse":
            return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
        return frame(TEXT, data) if self.websocket else data + b"\n"

    def message(self, kind: str, **fields: Any) -> bytes:
        """Write an event, line or message of a kind."""
        typed = fields if self.transport == "sse" else {"type": kind} | fields
        return self.event(to_json(typed).encode(), kind)

    @property
    def chunk_kind(self) -> str:
        """Name what carries a chunk."""
        return "data" if self.websocket else "chunk"

    def torn(self) -> tuple[bytes, bytes]:
        """Write the chunk that the place is in, and cut it in two, inside a character if it has long ones."""
        content = self.chunks[self.count]
        whole = self.format.chunk(Chunk(content), self.count, None)
        begin = len(frame_pieces(whole)[0][1]) if self.websocket else 0
        inside = (at for at in range(begin, len(whole)) if 0x80 <= whole[at] <= 0xBF)
        cut = next(inside, (begin + len(whole)) // 2)
        return whole[:cut], whole[cut:]

    def half_contents(self) -> tuple[Any, ...]:
        """Give the contents up to the cut of `torn`: plain text shows what is there of a chunk."""
        half = self.torn()[0].decode("utf-8", "ignore") if self.transport == "text" else ""
        return (*self.contents, half) if half else self.contents

    def framed(self, data: bytes) -> bytes:
        """Put bytes into an HTTP chunk, for what follows a ``raw_response``."""
        return b"".join(piece for _, piece in http_chunk(data))


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        name: As in the ids.
        description: What happens, in a line.
        positions: Where it may strike.
        make_scenario: What the agent does.
        family: What a sound client shows.
        unlike: Where it shows something else, by the name of a position or transport.
        accepted: What else is right, by the name of a position or transport, or "" for everywhere.
        hidden: Whether another attempt may hide it; "cut" for resuming if chunks came and are
            counted, and trying again if none did.
        absent: Where it does not exist, and why, by the name of a transport, position or player, or "tls"; of
            a dialect, which is "dialect" and "http" or "websocket", by what it lacks.
        alone: There is but one place for it, which the id need not name.
        loses: On sockets, the system may throw away what the client has not read yet.
    """

    name: str
    description: str
    positions: tuple[Position, ...]
    make_scenario: Callable[[FaultContext], Scenario]
    family: ErrorFamily
    unlike: Mapping[str, ErrorFamily] = field(default_factory=dict)
    accepted: Mapping[str, tuple[ErrorFamily, ...]] = field(default_factory=dict)
    hidden: Hidden | Literal["cut"] = "nothing"
    absent: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    loses: bool = False

    def family_at(self, transport: str, position: Position) -> ErrorFamily:
        """Return what a sound client shows."""
        return self.unlike.get(position.name) or self.unlike.get(transport) or self.family

    def accepted_at(self, transport: str, position: Position) -> tuple[ErrorFamily, ...]:
        """Return what else is right."""
        names = (position.name, transport, "")
        return next((self.accepted[name] for name in names if name in self.accepted), ())


publish(Position, Scenario, module="runagent_testing.faults")
