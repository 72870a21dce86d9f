"""Ids of events that a protocol orders: they only increase, and a resumed stream goes on behind the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._call import NOT_RESUMED, ResumePoint
from runagent._errors import ProtocolError
from runagent._public import publish
from runagent._wire.jsontext import quote
from runagent.transports._counting import fits_a_header

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IdOrder"]


class IdOrder:
    """Checks that each event of a stream is later than the one before, by ids that the protocol orders.

    For example, LangGraph's ids are ``<milliseconds>-<number>``::

        def place_of(event_id):
            milliseconds, number = event_id.split("-")
            return int(milliseconds), int(number)

        order = IdOrder(place_of, self.resume)

    Proven is that the first event of a resumed stream is later than the last one before it, and each event
    later than the one before: nothing is repeated or comes out of order. An order cannot show that an event
    is missing: that the service sends everything behind the id is its promise.

    Args:
        place_of: Returns an id's place in the order: anything that can be compared, such as a number or a
            tuple of numbers. It raises `ValueError` or `LookupError` for a text that is not such an id, which
            then counts as no id at all.
        resume: Where the stream asked to resume; its first event must prove that it does.
    """

    def __init__(self, place_of: Callable[[str], Any], resume: ResumePoint | None = None) -> None:
        self._place_of = place_of
        self._point = resume.last_event_id if resume is not None else ""
        self._unproven = resume is not None and resume.proof == "id"
        self._last = self._place(self._point) if self._unproven else None

    def take(self, event_id: str | None, *, gives: bool = True, holds: bool = False) -> ProtocolError | None:
        """Take the next event's id; return the error if it is out of order, or lacks the proof that is due.

        Args:
            event_id: The id that the event itself has, None if it has none; of a `ServerSentEvent`, ``id`` if
                ``has_id``.
            gives: Whether the reader is given something for it. A ping without an id needs no proof.
            holds: Whether the session keeps back something that has come, such as half a tool call or half
                an emoji. The stream cannot be resumed behind it before that has been given, too.
        """
        place = self._place(event_id)
        if place is None:
            if self._unproven and (gives or holds):
                return self._fault(
                    f"began with an event without an id that proves its place, {_show(event_id)}"
                )
        elif self._last is not None and not place > self._last:
            return self._fault(f"has the id {_show(event_id)}, which is not later than the one before")
        else:
            self._last, self._unproven = place, False
        if place is not None and not holds:
            self._point = event_id or ""
        elif gives:
            self._point = ""  # behind the last point came something that must not come twice
        return None

    def resume_point(self) -> ResumePoint | None:
        """Return where another attempt could resume: behind all that has been given, and before the rest.

        None if no id marks this place.
        """
        return ResumePoint(last_event_id=self._point, proof="id") if self._point else None

    def _place(self, event_id: str | None) -> Any:
        if not event_id or not fits_a_header(event_id):
            return None
        try:
            return self._place_of(event_id)
        except (ValueError, LookupError):
            return None

    def _fault(self, what: str) -> ProtocolError:
        if self._unproven:
            return ProtocolError(f"the resumed stream {what}", code=NOT_RESUMED)
        return ProtocolError(f"an event of the stream {what}")


def _show(event_id: str | None) -> str:
    return "none" if event_id is None else quote(event_id)


publish(IdOrder, module="runagent.transports")
