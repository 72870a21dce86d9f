"""The course of one exchange as marks on an axis of seconds, and limits of time on the same axis. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from runagent_testing._timeline.scale import seconds_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AGENT", "CLIENT", "LIMITS", "Mark", "Span", "Timeline", "spans", "verdict"]

AGENT, CLIENT = "agent", "client"
LIMITS = ("connect", "first_event", "idle", "progress", "total")  # those of runagent.Timeouts


@dataclass(frozen=True, slots=True)
class Mark:
    """What one side did at one moment.

    Attributes:
        seconds: Since the request.
        side: `AGENT` or `CLIENT`.
        text: What it is, in one line.
        size: Bytes of an answer; 0 for everything else.
        events: How many events of the answer are complete with it.
    """

    seconds: float
    side: str
    text: str
    size: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """One exchange.

    Attributes:
        title: Which request it is, and of which file.
        marks: In order of time; the first is the client's request.
        end: How the answer ended, in one line.
        ended_at: When, in seconds since the request; None if it had not, or if nothing shows it.
        is_whole: Whether the answer ended as its protocol wants it; None if that is unknown.
        request: Its place among the requests of a journal, from 1; None for a recording.
    """

    title: str
    marks: tuple[Mark, ...]
    end: str
    ended_at: float | None
    is_whole: bool | None
    request: int | None = None

    @property
    def seconds(self) -> float:
        """The place of the last thing that is known to have happened."""
        return max(self.marks[-1].seconds, self.ended_at or 0.0)

    def of(self, side: str) -> list[Mark]:
        """Return the marks of one side."""
        return [mark for mark in self.marks if mark.side == side]


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of an exchange in which a limit of time was used most.

    Attributes:
        name: One of `LIMITS`.
        limit: In seconds.
        begin: Where the limit began to count, in seconds since the request.
        used: How much of it was used, in seconds; None if the file does not show it.
    """

    name: str
    limit: float
    begin: float
    used: float | None

    @property
    def is_exceeded(self) -> bool:
        """Whether the limit would have ended the run."""
        return self.used is not None and self.used >= self.limit


def spans(timeline: Timeline, limits: Mapping[str, float]) -> list[Span]:
    """Place limits on a timeline, each where it was exceeded first, or used most.

    A client that reads its answer late has more time: its limits stop while it does not wait.

    Args:
        timeline: The exchange.
        limits: Names of `LIMITS` with their seconds.
    """
    written = timeline.of(AGENT)
    arrivals = [mark.seconds for mark in written]
    events = [mark.seconds for mark in written if mark.events]
    last = timeline.seconds if timeline.ended_at is None else timeline.ended_at
    waits = {
        "first_event": [0.0, *(events[:1] or [last])],
        "idle": [*arrivals, last],
        "progress": [*events, last],
        "total": [0.0, last],
    }
    return [_span(name, limits[name], waits.get(name, [])) for name in LIMITS if name in limits]


def _span(name: str, limit: float, moments: Sequence[float]) -> Span:
    waits = [(begin, end - begin) for begin, end in pairwise(moments)]
    if not waits:
        return Span(name, limit, 0.0, None)
    exceeded = (wait for wait in waits if wait[1] >= limit)
    begin, used = next(exceeded, None) or max(waits, key=lambda wait: wait[1])
    return Span(name, limit, begin, used)


def verdict(span: Span) -> str:
    """Write whether a limit was kept, and how much of it was used."""
    if span.used is None:
        return f"{seconds_text(span.limit)}: not in this file"
    kept = "exceeded" if span.is_exceeded else "kept"
    return f"{kept}: {seconds_text(span.used)} of {seconds_text(span.limit)}"
