"""Plans: the exact bytes of each write, the waits, how it ends. No I/O.

Whoever plays a plan only writes, waits and closes. Every move knows the steps of the script that
it comes from, so that what was scripted and what was sent can be put side by side.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol

from runagent_testing._script.writes import Event, Piece, Writes, settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runagent_testing._script.steps import Gate

__all__ = [
    "ENDS",
    "AnyPlan",
    "Composer",
    "End",
    "EndMeaning",
    "GrowingPlan",
    "Move",
    "Pass",
    "Plan",
    "Wait",
    "Write",
]

_MANY = 512  # events that are cut into writes before their pause has come, if that changes nothing
_FOREIGN_CUTS = 1_000_000  # offsets outside of what is cut that a policy may give

End = Literal["open", "close", "cut", "reset", "half-close", "stall", "silent"]


class EndMeaning(NamedTuple):
    """What a player does after the last move of a plan.

    Attributes:
        description: For time lines.
        is_done: The exchange is done; otherwise it lasts until the connection is closed by one side.
        drops: The connection is dropped at once, over TLS without announcing it.
        resets: It is dropped by RST instead of FIN.
        shuts_writing: FIN is sent, and the connection is still read.
        closes: The connection is closed as the protocol wants it; a WebSocket waits for the client's Close.
        serves_on: The next request on the connection is answered.
        pings: A WebSocket sends pings while it is open.
        is_mute: A WebSocket answers no pings and no Close either.
    """

    description: str
    is_done: bool = True
    drops: bool = False
    resets: bool = False
    shuts_writing: bool = False
    closes: bool = False
    serves_on: bool = False
    pings: bool = True
    is_mute: bool = False


# None: a plan that is still being computed, whose end is not known yet.
ENDS: dict[End | None, EndMeaning] = {
    None: EndMeaning("not known yet"),
    "open": EndMeaning("the connection stays open", serves_on=True),
    "close": EndMeaning("the connection is closed", closes=True),
    "cut": EndMeaning("FIN at the wrong time", drops=True),
    "reset": EndMeaning("RST", drops=True, resets=True),
    "half-close": EndMeaning("FIN, and the agent reads on", shuts_writing=True),
    "stall": EndMeaning("nothing more", is_done=False, pings=False),
    "silent": EndMeaning("nothing more, whatever the client says", is_done=False, pings=False, is_mute=True),
}


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that leave together.

    Attributes:
        steps: Numbers of the steps, from 0, of which something is in it; empty for what nobody scripted.
        whole: Nothing is half said after it, so that a WebSocket's own answers may come in between.
    """

    data: bytes
    steps: tuple[int, ...] = ()
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause in seconds; ``step`` is None between two writes that are kept apart."""

    seconds: float
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """A gate to wait at."""

    gate: Gate
    step: int | None = None


Move = Write | Wait | Pass


class AnyPlan(Protocol):
    """What every plan can do, however much of it is known before it is played."""

    @property
    def end(self) -> End | None:
        """How it ends; None until that is known."""

    @property
    def is_whole(self) -> bool:
        """Whether its moves so far are all."""

    @property
    def known(self) -> Sequence[Move]:
        """Its moves so far."""

    @property
    def moves(self) -> Sequence[Move]:
        """All moves that can be known without playing it."""

    @property
    def data(self) -> bytes:
        """Their bytes."""

    def after(self, count: int) -> Move | None:
        """Return the move that follows so many, if there is one."""

    def __iter__(self) -> Iterator[Move]:
        """Give its moves, those included that are not known yet."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in order, and what becomes of the connection.

    Attributes:
        moves: Writes and waits.
        end: What becomes of the connection afterwards; `ENDS` has the meaning of each.
    """

    moves: tuple[Move, ...]
    end: End
    is_whole: ClassVar = True

    @property
    def known(self) -> Sequence[Move]:
        """The moves that are rendered by now: all of them."""
        return self.moves

    def __iter__(self) -> Iterator[Move]:
        return iter(self.moves)

    @property
    def data(self) -> bytes:
        """All bytes."""
        return _bytes_of(self.moves)

    def after(self, count: int) -> Move | None:
        """Return the move that follows so many; None at the end."""
        return self.moves[count] if count < len(self.moves) else None


class GrowingPlan:
    """A plan that is rendered while it is played, so that its first byte waits for no other step.

    Several runs may play it at once, and any thread may look at it.

    Args:
        parts: Its moves, in order.
        end: As of a `Plan`.

    Attributes:
        known: The moves that are rendered by now.
        is_whole: Whether these are all.
    """

    def __init__(self, parts: Iterator[list[Move]], end: End) -> None:
        self.end = end
        self._parts = parts
        self.known: list[Move] = []
        self.is_whole = False
        self._failure: Exception | None = None
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Move]:
        for at in itertools.count():
            if (move := self.after(at)) is None:
                return
            yield move

    @property
    def moves(self) -> Sequence[Move]:
        """All moves; those that nobody has come to yet are rendered now."""
        while self._grow(len(self.known)):
            pass
        return self.known

    @property
    def data(self) -> bytes:
        """All bytes."""
        return _bytes_of(self.moves)

    def after(self, count: int) -> Move | None:
        """Return the move that follows so many, rendered if need be; None at the end."""
        while count >= len(self.known):
            if not self._grow(count):
                return None
        return self.known[count]

    def _grow(self, size: int) -> bool:
        """Render the next part, unless another thread has; False if there is none."""
        with self._lock:  # for one part only, as the server's thread may wait for it
            if size >= len(self.known) and not self.is_whole:
                self._render()
        return not self.is_whole or size < len(self.known)

    def _render(self) -> None:
        if self._failure is not None:  # a generator that has raised is over, and looks as if it had ended
            raise self._failure
        try:
            part = next(self._parts, None)
        except Exception as exc:
            self._failure = exc
            raise
        self.known += part or []
        self.is_whole = part is None


def _bytes_of(moves: Iterable[Move]) -> bytes:
    return b"".join(move.data for move in moves if isinstance(move, Write))


class Composer:
    """Collects events and pauses, and cuts them into writes.

    Args:
        writes: Where to cut.
        write_gap: Seconds to wait between two writes that nothing else parts.

    Attributes:
        is_ripe: Whether `take` has something to give.
    """

    def __init__(self, writes: Writes, write_gap: float) -> None:
        self._writes = writes
        self._write_gap = write_gap
        self._entries: list[Event | Wait | Pass] = []
        self._head: int | None = None
        self._together: list[Event] = []
        self._start = 0
        self._follows_write = False
        self._is_paused = False

    @property
    def is_ripe(self) -> bool:
        return self._is_paused or len(self._entries) >= _MANY

    @property
    def size(self) -> int:
        """Bytes so far; known until the first `take`."""
        return _size(entry for entry in self._entries if isinstance(entry, Event))

    def add(self, step: int | None, *pieces: Piece) -> None:
        """Add what belongs together."""
        self._entries.append(Event.of(step, pieces))

    def pause(self, move: Wait | Pass) -> None:
        """Add a pause."""
        self._entries.append(move)
        self._is_paused = True

    def leave_room_for_head(self) -> None:
        """Note where the head goes, which may depend on what follows it."""
        self._head = len(self._entries)

    def put_head(self, step: int | None, head: bytes) -> None:
        """Put the head where room was left for it."""
        assert self._head is not None
        self._entries.insert(self._head, Event.of(step, (("head", head),)))

    def plan(self, end: End) -> Plan:
        """Make the plan."""
        return Plan(tuple(self.take(last=True)), end)

    def take(self, *, last: bool = False) -> list[Move]:
        """Make moves of what has come, but for writes that what follows may still change.

        Args:
            last: Nothing follows.
        """
        moves: list[Move] = []
        for entry in self._entries:
            if not isinstance(entry, Event):
                moves += self._cut(len(self._together))
                moves.append(entry)
                self._follows_write = False
            elif entry.size:
                self._together.append(entry)
        self._entries.clear()
        self._is_paused = False
        if last:
            moves += self._cut(len(self._together))
        elif len(self._together) >= _MANY:
            moves += self._cut(settled(self._writes, self._together))
        return moves

    def _cut(self, count: int) -> Iterator[Move]:
        """Make writes of the first events that are together."""
        if not count:
            return
        events, self._together = self._together[:count], self._together[count:]
        data = b"".join([data for event in events for _, data in event.pieces])
        ends = _ends(events)
        wanted = self._wanted(events, len(data))
        whole = set(ends)
        begin = first = 0
        for cut in sorted(wanted | {len(data)}):
            if self._follows_write and self._write_gap:
                yield Wait(self._write_gap)
            while ends[first] <= begin:
                first += 1
            last = first
            while ends[last] < cut:
                last += 1
            steps = dict.fromkeys(event.step for event in events[first : last + 1] if event.step is not None)
            yield Write(data[begin:cut], tuple(steps), cut in whole)
            begin = cut
            self._follows_write = True
        self._start += len(data)

    def _wanted(self, events: list[Event], size: int) -> set[int]:
        """Ask the policy, which may be somebody's own, where to cut."""
        limit = size + _FOREIGN_CUTS
        cuts = list(itertools.islice(self._writes.cuts(events, self._start), limit + 1))
        if len(cuts) > limit:
            raise ValueError(f"writes={self._writes!r} cuts {size} bytes in more than {limit} places")
        return {cut for cut in cuts if 0 < cut < size}


def _size(events: Iterable[Event]) -> int:
    return sum(event.size for event in events)


def _ends(events: list[Event]) -> list[int]:
    ends, offset = [], 0
    for event in events:
        offset += event.size
        ends.append(offset)
    return ends
