"""Pending calls, in the order of their times."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["Call", "Calls", "Clock", "Timer"]


class Timer(Protocol):
    """A pending call."""

    def cancel(self) -> None:
        """Cancel the call."""


class Clock(Protocol):
    """Virtual time, or an asyncio loop's."""

    def time(self) -> float:
        """Return the seconds since some moment."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back at a time."""

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> object:
        """Call back soon; callable from any thread."""


class Call:
    """A call in `Calls`."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Cancel the call."""
        self.callback = None


class Calls:
    """All pending calls; calls of the same time run in the order in which they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    def add(self, when: float, callback: Callable[[], object]) -> Call:
        """Schedule a call; callable from any thread."""
        call = Call(callback)
        with self._lock:
            heapq.heappush(self._heap, (when, next(self._order), call))
        return call

    @property
    def next(self) -> float:
        """Return when the next call is due; infinite if there is none."""
        with self._lock:
            while self._heap and self._heap[0][2].callback is None:
                heapq.heappop(self._heap)
            return self._heap[0][0] if self._heap else math.inf

    def take(self, until: float) -> tuple[float, Callable[[], object]] | None:
        """Remove the next call if it is due by ``until``, and return its time and callback."""
        with self._lock:
            while self._heap and self._heap[0][0] <= until:
                when, _, call = heapq.heappop(self._heap)
                if call.callback is not None:
                    return when, call.callback
        return None

    def are_among(self, known: Collection[object]) -> bool:
        """Whether no other calls are pending."""
        return all(call in known for _, _, call in self._heap if call.callback is not None)
