"""What the reader of a stream was handed, which is not what has been received, and where it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._call import ResumePoint
from runagent._events import Chunk, Completed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent._events import Event

__all__ = ["Handed", "place_after"]

_UNKNOWN = ResumePoint()  # a chunk was handed out without anything by which it can be found again


class Handed:
    """The events that a reader was handed.

    Attributes:
        batch: The last batch.
        unread: How many of its last events the reader has not taken.
        before: Where a reader goes on who has read all batches before it; None for the beginning.
        lost: Events that came behind the batch were dropped.
    """

    def __init__(
        self, batch: Sequence[Event], unread: int, before: ResumePoint | None, *, lost: bool
    ) -> None:
        self.batch = batch
        self.unread = unread
        self.before = before
        self.lost = lost

    @property
    def everything(self) -> bool:
        """Whether nothing that was received is unread."""
        return not self.unread and not self.lost

    @property
    def is_complete(self) -> bool:
        """Whether the reader has the run's last event."""
        return bool(self.batch) and not self.unread and type(self.batch[-1]) is Completed

    @property
    def place(self) -> ResumePoint | None:
        """Where to go on; None for the beginning."""
        read = len(self.batch) - self.unread
        return place_after(self.batch[:read], self.before, self.batch[read : read + 1])


def place_after(
    events: Sequence[Event], before: ResumePoint | None, following: Sequence[Event] = ()
) -> ResumePoint | None:
    """Return where a reader goes on who has read these events; None for the beginning.

    An index gives the place of each chunk. An id gives it only if the next event is a chunk with another one:
    a message with an id may bring several events. No chunk gives its place in a snapshot.

    Args:
        events: The events, in order.
        before: The place before them.
        following: The first event behind them, if it has come.
    """
    chunks, event_id, last_id = 0, "", ""
    for event in reversed(events):
        if type(event) is Chunk:
            last_id = last_id if chunks else event.id or ""
            event_id = event_id or event.id or ""
            if event.index is not None:
                return ResumePoint(event.index + 1 + chunks, event_id, "index")
            chunks += 1
    if not chunks:
        return before
    if before is not None and before.next_index is not None:
        return ResumePoint(before.next_index + chunks, event_id or before.last_event_id, "index")
    if not last_id or (following and (type(following[0]) is not Chunk or following[0].id in {None, last_id})):
        return _UNKNOWN
    return ResumePoint(None, last_id, "id")
