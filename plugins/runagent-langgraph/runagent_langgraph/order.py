"""The order of a run's events, and the place at which a broken stream goes on.

An id is ``<milliseconds>-<number>``. The ids of a run never decrease, but the development server
(``langgraph dev``) always writes the number 0, so that events of one millisecond share an id. It sends
everything behind the id that it is asked for, and so would leave out events that share it. A stream therefore
goes on one id earlier, and leaves out the events that its reader has.

A server that replays the past of a run which goes on may repeat, behind it, events that came meanwhile.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runagent import ProtocolError, StreamTruncatedError, ValidationError
from runagent.transports import ResumePoint, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent.transports import ServerSentEvent

__all__ = ["BEGINNING", "EventOrder", "are_placed", "id_to_ask"]

BEGINNING = "-1"  # the id before the first one
_ID = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)
_POINT = re.compile(r"(-1|\d{1,20}-\d{1,20}) (\d{1,20}-\d{1,20}) (\d{1,9})", re.ASCII)
_MOST_WITH_ONE_ID = 4096

Place = tuple[int, int]


def id_to_ask(point: ResumePoint | None) -> str:
    """Return the ``Last-Event-ID`` of the request that reads on.

    Raises:
        ValidationError: The point is not one of an `EventOrder`.
    """
    return _read(point)[0]


def _read(point: ResumePoint | None) -> tuple[str, str, int]:
    """Return the id to ask for, the id of the last events, and how many events with it the reader has."""
    if point is None or point.last_event_id == BEGINNING:
        return BEGINNING, "", 0
    match = _POINT.fullmatch(point.last_event_id)
    if match is None:
        raise ValidationError(f"not a place in a run of LangGraph: {quote(point.last_event_id)}")
    return match[1], match[2], int(match[3])


class EventOrder:
    """Checks the order of the events, and finds those that the reader has already.

    Args:
        resume: Where the stream was asked to go on.
        replayed: Whether the server replays what came before the request: then events may come twice.
    """

    def __init__(self, resume: ResumePoint | None, *, replayed: bool) -> None:
        self._before, self._last, self._due = _read(resume)
        self._place: Place = _place(self._last) or (-1, 0)
        self._dash = self._last.find("-")
        # Events up to here had come before this stream was asked for, so the server repeats none of them.
        self._known = self._place
        self._strict = resume is None or resume.proof is not None
        self._replayed = replayed
        self._same: list[int] = []  # a hash of each event that has the last id
        self._repeating = 0
        self._point: tuple[str, str, int] | None = (self._before, self._last, self._due)
        self._unplaced = False
        self._latest: ServerSentEvent | None = None  # the last event, if `follows` has taken it

    def follows(self, event: ServerSentEvent, *, is_placed: bool = False) -> bool:
        """Take an event that is later than all before it, as most are; nothing is kept back behind it.

        Args:
            event: The event.
            is_placed: `are_placed` was True for it and others.

        Returns:
            False, without an effect, if it takes `is_new` and `note` to find out what the event is.
        """
        id_, last = event.id, self._last
        # Of the same length and with the dash at the same place, ids of ASCII digits have the order of texts.
        if id_ <= last or len(id_) != len(last) or id_[self._dash] != "-" or self._due or not event.has_id:
            return False
        if not is_placed and not are_placed([event]):
            return False
        self._before, self._last, self._latest = last, id_, event
        return True

    def _catch_up(self) -> None:
        """Note what `follows` leaves out, as only an event of another kind needs it."""
        if (event := self._latest) is not None:
            self._latest, self._repeating, self._unplaced = None, 0, False
            self._place, self._same = _place(event.id) or self._place, []
            self._point = self._before, self._last, 1
            self._add(event)

    def is_new(self, event: ServerSentEvent) -> bool:
        """Whether the reader does not have an event yet.

        Raises:
            ProtocolError: It is out of order, or the stream does not go on where it broke off.
            StreamTruncatedError: It may be a repetition or not. Another request shows which, because
                what came before that one is never repeated.
        """
        self._catch_up()
        if not event.has_id:
            place = None
        else:
            place = self._place if event.id == self._last else _place(event.id)
        if self._due and (place != self._place) and self._strict:
            raise ProtocolError(
                f"the resumed stream did not begin with the event {self._last}", code="NOT_RESUMED"
            )
        self._unplaced = place is None
        if place is None:
            return True
        if self._due and place == self._place:
            self._due -= 1
            self._add(event)
            return False
        self._due = 0
        if place > self._place:
            self._before = self._last or self._before
            self._last, self._place, self._same, self._repeating = event.id, place, [], 0
            self._dash = event.id.index("-")
        elif self._is_repeated(event, place):
            return False
        self._add(event)
        return True

    def _is_repeated(self, event: ServerSentEvent, place: Place) -> bool:
        """Whether an event whose id is not later than the last one has come before."""
        if place < self._place:
            if not self._replayed or place <= self._known:
                raise ProtocolError(f"the event {quote(event.id)} came after {self._last}")
            self._repeating = len(self._same)  # the events up to the last one come again, in their order
            return True
        if self._repeating:
            self._repeating -= 1
            self._replayed = self._repeating > 0  # from here on the run goes on, and nothing comes twice
            return True
        if self._replayed and place > self._known and _hash(event) in self._same:
            raise StreamTruncatedError(f"the event {self._last} may have come twice, or be two events")
        return False

    def note(self, *, gives: bool, holds: bool) -> None:
        """Note what a new event meant: whether the reader is given something, or something is kept back."""
        if not holds and not self._unplaced:
            self._point = self._before, self._last, len(self._same)
        elif gives:
            self._point = None  # behind the last point came something that must not come twice

    def resume_point(self) -> ResumePoint | None:
        """Return where another stream can go on, or None."""
        point = self._point if self._latest is None else (self._before, self._last, 1)
        if point is None:
            return None
        before, last, count = point
        text = f"{before} {last} {count}" if last else BEGINNING
        return ResumePoint(last_event_id=text, proof="id")

    def _add(self, event: ServerSentEvent) -> None:
        if len(self._same) == _MOST_WITH_ONE_ID:
            raise ProtocolError(f"more than {_MOST_WITH_ONE_ID} events have the id {self._last}")
        self._same.append(_hash(event))


def are_placed(events: Sequence[ServerSentEvent]) -> bool:
    """Whether the ids of some events are places of one form: the same number of digits on each side."""
    ids = [event.id for event in events]
    width, dash = len(ids[0]), ids[0].find("-")
    if not 0 < dash < width - 1:
        return False
    # Each id has its dash at this place, one more is behind each but the last, and all else are digits.
    text, count = "-".join(ids), len(ids)
    digits = text.replace("-", "")
    return (
        text[dash :: width + 1] == "-" * count
        and text[width :: width + 1] == "-" * (count - 1)
        and len(text) == len(digits) + 2 * count - 1 == (width + 1) * count - 1
        and digits.isascii()
        and digits.isdigit()
    )


def _hash(event: ServerSentEvent) -> int:
    return hash((event.event, event.data))


def _place(event_id: str) -> Place | None:
    match = _ID.fullmatch(event_id)
    return None if match is None else (int(match[1]), int(match[2]))
