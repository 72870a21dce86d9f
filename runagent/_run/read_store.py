"""What was read ahead: the batches that a thread or a task has received and the reader not yet taken."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec import structs

from runagent._cutting import size_of
from runagent._internal.tracebacks import is_ours
from runagent._net.base import track_descriptor
from runagent._run.handed import Handed, place_after

if TYPE_CHECKING:
    from runagent._events import Event
    from runagent._run.async_pump import AsyncPump
    from runagent._run.pump import Pump

__all__ = ["Store"]

__tracebackhide__ = is_ours


class Store:
    """The batches that were received but not yet taken, and how the run ended."""

    def __init__(self, pump: Pump | AsyncPump, max_bytes: int) -> None:
        self.over = False
        self.error: BaseException | None = None
        self._report = pump.run.report
        self._max = max_bytes
        self._batches: deque[tuple[list[Event], int]] = deque()
        self._size = 0
        self._seen = 0
        self._taken: list[Event] = []
        self._place = pump.run.place
        track_descriptor(self)

    @property
    def full(self) -> bool:
        """Whether reading has to wait for the reader."""
        return self._size >= self._max

    def put(self, batch: list[Event]) -> None:
        """Keep a batch; its size is the number of bytes received for it.

        If there are none, its size is about that of its events: libraries show no bytes, and one read of a
        compressed answer may bring many batches.
        """
        size, self._seen = self._report.bytes_received - self._seen, self._report.bytes_received
        if not size:
            size = size_of([structs.astuple(event) for event in batch], self._max)
        self._batches.append((batch, size))
        self._size += size

    def take(self) -> list[Event] | None:
        """Take the next batch, or None if there is none yet."""
        if not self._batches:
            return None
        batch, size = self._batches.popleft()
        self._size -= size
        self._place, self._taken = place_after(self._taken, self._place), batch
        return batch

    def handed(self, unread: int) -> Handed:
        """See `RunState.handed`; the session has received more than the reader was handed."""
        return Handed(self._taken, unread, self._place, lost=True)

    def end(self) -> None:
        """Raise the run's error, once."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error

    def forget(self) -> None:
        """Drop the batches, which belong to the parent process; see `track_descriptor`."""
        self._batches.clear()
