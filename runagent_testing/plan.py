"""Plans: the exact bytes of each write, the waits, how it ends. No I/O.

Whoever plays a plan only writes, waits and closes. Every move knows the steps of the script that
it comes from, so that what was scripted and what was sent can be put side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from runagent_testing.writes import Event, Piece, Writes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing.steps import Gate

__all__ = ["Composer", "End", "Move", "Pass", "Plan", "Wait", "Write"]

End = Literal["open", "close", "cut", "reset", "half-close", "stall", "silent"]


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in order, and what becomes of the connection.

    Attributes:
        moves: Writes and waits.
        end: "open" leaves the connection open for the next request (or the WebSocket's Close);
            "close" closes it in peace: the bytes have announced it, or are over with it; the others
            are those of `steps.ending`, "cut" for all that are a FIN at the wrong time.
    """

    moves: tuple[Move, ...]
    end: End

    @property
    def data(self) -> bytes:
        """All bytes."""
        return b"".join(move.data for move in self.moves if isinstance(move, Write))


class Composer:
    """Collects events and pauses, and cuts them into writes.

    Args:
        writes: Where to cut.
        apart: Seconds to wait between two writes that nothing else parts.
    """

    def __init__(self, writes: Writes, apart: float) -> None:
        self._writes = writes
        self._apart = apart
        self._entries: list[Event | Wait | Pass] = []
        self._head: int | None = None

    @property
    def size(self) -> int:
        """Bytes so far."""
        return sum(entry.size for entry in self._entries if isinstance(entry, Event))

    def say(self, step: int | None, *pieces: Piece) -> None:
        """Add what belongs together."""
        self._entries.append(Event.of(step, pieces))

    def pause(self, move: Wait | Pass) -> None:
        """Add a pause."""
        self._entries.append(move)

    def leave_room_for_head(self) -> None:
        """Note where the head goes, which may depend on what follows it."""
        self._head = len(self._entries)

    def put_head(self, step: int | None, head: bytes) -> None:
        """Put the head where room was left for it."""
        assert self._head is not None
        self._entries.insert(self._head, Event.of(step, (("head", head),)))

    def plan(self, end: End) -> Plan:
        """Make the plan."""
        moves: list[Move] = []
        together: list[Event] = []
        start = 0
        for entry in [*self._entries, None]:
            if isinstance(entry, Event):
                if entry.size:
                    together.append(entry)
                continue
            if together:
                moves += self._cut(together, start)
                start += sum(event.size for event in together)
                together = []
            if entry is not None:
                moves.append(entry)
        return Plan(tuple(moves), end)

    def _cut(self, events: list[Event], start: int) -> Iterator[Move]:
        data = b"".join([data for event in events for _, data in event.pieces])
        ends = _ends(events)
        wanted = {cut for cut in self._writes.cuts(events, start) if 0 < cut < len(data)}
        whole = set(ends)
        begin = first = 0
        for cut in sorted(wanted | {len(data)}):
            if begin and self._apart:
                yield Wait(self._apart)
            while ends[first] <= begin:
                first += 1
            last = first
            while ends[last] < cut:
                last += 1
            steps = dict.fromkeys(event.step for event in events[first : last + 1] if event.step is not None)
            yield Write(data[begin:cut], tuple(steps), cut in whole)
            begin = cut


def _ends(events: list[Event]) -> list[int]:
    ends, offset = [], 0
    for event in events:
        offset += event.size
        ends.append(offset)
    return ends
