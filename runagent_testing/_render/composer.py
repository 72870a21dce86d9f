"""Cuts the events of a stream into writes, between the script's pauses. No I/O."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._render.plan import Move, Pass, Plan, Wait, Write
from runagent_testing._script.writes import MERGED, WRITE_LIMIT, Event, Piece, Writes, settled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runagent_testing._render.plan import End

__all__ = ["Composer"]

__tracebackhide__ = is_ours

_FEW = 32  # entries after the first moves, as each `take` costs as much as several of them
_MANY = 512  # after so many events, writes are cut before the next pause has come, if that changes nothing
_FOREIGN_CUTS = 1_000_000  # offsets outside of the events that a policy may return


class Composer:
    """Collects events and pauses, and cuts them into writes.

    Args:
        writes: Where to cut.
        write_gap: Seconds to wait between two writes that no pause separates.

    Attributes:
        is_ripe: Whether `take` would return moves.
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
        self._enough = 1

    @property
    def is_ripe(self) -> bool:
        # The first moves at once, as a client waits for them.
        return len(self._entries) >= (self._enough if self._is_paused else _MANY)

    @property
    def size(self) -> int:
        """Bytes so far; known until the first `take`."""
        return _size(entry for entry in self._entries if isinstance(entry, Event))

    def add(self, step: int | None, *pieces: Piece) -> None:
        """Add the pieces of one event."""
        self._entries.append(Event.of(step, pieces))

    def pause(self, move: Wait | Pass) -> None:
        """Add a pause."""
        self._entries.append(move)
        self._is_paused = True

    def leave_room_for_head(self) -> None:
        """Note the place of the head, which may depend on later events."""
        self._head = len(self._entries)

    def put_head(self, step: int | None, head: bytes) -> None:
        """Put the head in the place that was noted for it."""
        assert self._head is not None
        self._entries.insert(self._head, Event.of(step, (("head", head),)))

    def plan(self, end: End) -> Plan:
        """Make the plan."""
        return Plan(tuple(self.take(last=True)), end)

    def take(self, *, last: bool = False) -> list[Move]:
        """Make moves of the events so far, except for writes that later events may still change.

        Args:
            last: Whether no more events follow.
        """
        moves: list[Move] = []
        for entry in self._entries:
            if not isinstance(entry, Event):
                self._cut(len(self._together), moves)
                moves.append(entry)
                self._follows_write = False
            elif entry.size:
                self._together.append(entry)
        self._entries.clear()
        self._is_paused, self._enough = False, _FEW
        if last:
            self._cut(len(self._together), moves)
        elif len(self._together) >= _MANY:
            self._cut(settled(self._writes, self._together), moves)
        return moves

    def _cut(self, count: int, moves: list[Move]) -> None:
        """Add writes of the first ``count`` events between two pauses."""
        if not count:
            return
        events, self._together = self._together, []
        if count < len(events):
            events, self._together = events[:count], events[count:]
        data = b"".join([data for event in events for _, data in event.pieces])
        # The usual, many times in a script with many pauses: one write, so that no cuts are looked for.
        if self._writes is MERGED and len(data) <= WRITE_LIMIT:
            self._write(data, events, True, moves)
        else:
            self._cut_as_wanted(events, data, moves)
        self._start += len(data)

    def _write(self, data: bytes, events: list[Event], whole: bool, moves: list[Move]) -> None:
        if self._follows_write and self._write_gap:
            moves.append(Wait(self._write_gap))
        moves.append(Write(data, _steps(events), whole))
        self._follows_write = True

    def _cut_as_wanted(self, events: list[Event], data: bytes, moves: list[Move]) -> None:
        ends = _ends(events)
        wanted = self._wanted(events, len(data))
        whole = set(ends)
        begin = first = 0
        for cut in sorted(wanted | {len(data)}):
            while ends[first] <= begin:
                first += 1
            last = first
            while ends[last] < cut:
                last += 1
            self._write(data[begin:cut], events[first : last + 1], cut in whole, moves)
            begin = cut

    def _wanted(self, events: list[Event], size: int) -> set[int]:
        """Return the cuts of the policy, which may be the test's code."""
        limit = size + _FOREIGN_CUTS
        cuts = list(itertools.islice(self._writes.cuts(events, self._start), limit + 1))
        if len(cuts) > limit:
            raise ValueError(f"writes={self._writes!r} cuts {size} bytes in more than {limit} places")
        return {cut for cut in cuts if 0 < cut < size}


def _size(events: Iterable[Event]) -> int:
    return sum(event.size for event in events)


def _steps(events: list[Event]) -> tuple[int, ...]:
    """Return the steps that events belong to, each once."""
    if len(events) == 1:  # the usual, many times in a script with many pauses
        step = events[0].step
        return () if step is None else (step,)
    return tuple(dict.fromkeys([event.step for event in events if event.step is not None]))


def _ends(events: list[Event]) -> list[int]:
    ends, offset = [], 0
    for event in events:
        offset += event.size
        ends.append(offset)
    return ends
