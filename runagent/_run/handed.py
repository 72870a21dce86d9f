"""What the reader of a stream was handed, which is not what has been received, and where it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._call import ResumePoint
from runagent._events import Chunk, Completed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent._events import Event

__all__ = ["Handed", "place_after"]

_UNKNOWN = ResumePoint()  # only the session may know it


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
        return place_after(self.batch[: len(self.batch) - self.unread], self.before)


def place_after(events: Sequence[Event], before: ResumePoint | None) -> ResumePoint | None:
    """Return where a reader goes on who has read these events; None for the beginning.

    Only an index gives the place of a chunk. An id does not: its message may have brought other events, or
    the session may keep back a part of it.

    Args:
        events: The events, in order.
        before: The place before them.
    """
    chunks, event_id = 0, ""
    for event in reversed(events):
        if type(event) is Chunk:
            event_id = event_id or event.id or ""
            if event.index is not None:
                return ResumePoint(event.index + 1 + chunks, event_id, "index")
            chunks += 1
    if not chunks:
        return before
    if before is not None and before.next_index is not None:
        return ResumePoint(before.next_index + chunks, event_id or before.last_event_id, "index")
    return _UNKNOWN
