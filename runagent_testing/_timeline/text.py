"""Timelines as text, of a terminal's width. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._internal.redaction import escaped
from runagent_testing._timeline.model import AGENT, CLIENT, spans, verdict
from runagent_testing._timeline.scale import seconds_text, ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runagent_testing._timeline.model import Mark, Span, Timeline

__all__ = ["MIN_WIDTH", "as_text"]

MIN_WIDTH = 60
_LABEL = 13  # columns
_TICK = 14  # columns for each number of the axis
_FIRST, _LAST = 12, 6  # marks that are listed at both ends
_GAPS = 4  # longest silences in the middle that are listed too


def as_text(timelines: Sequence[Timeline], limits: Mapping[str, float], width: int) -> str:
    """Draw timelines under each other on one axis.

    Args:
        timelines: At least one.
        limits: The limits to place on each, in seconds by their names.
        width: In columns; less than `MIN_WIDTH` is taken as that.
    """
    width = max(width, MIN_WIDTH)
    longest = max(each.seconds for each in timelines) or 0.001
    columns = width - _LABEL
    lines: list[str] = []
    for timeline in timelines:
        lines += ["", timeline.title, *_axis(longest, columns)]
        for side in (CLIENT, AGENT):
            lines.append(f"{side:{_LABEL}}{_lane(timeline, side, longest, columns)}")
        for span in spans(timeline, limits):
            lines += _limit(span, longest, columns)
        lines += ["", *_listed(timeline)]
    return "\n".join(escaped(_fitting(line, width)) for line in lines[1:]) + "\n"


def _fitting(line: str, width: int) -> str:
    return line.rstrip() if len(line) <= width else f"{line[: width - 3]}..."


def _column(seconds: float, longest: float, columns: int) -> int:
    return min(round(seconds / longest * (columns - 1)), columns - 1)


def _axis(longest: float, columns: int) -> list[str]:
    numbers, ruler = [" "] * columns, ["-"] * columns
    for seconds in ticks(longest, max(columns // _TICK, 2)):
        at, text = _column(seconds, longest, columns), seconds_text(seconds)
        ruler[at] = "+"
        begin = min(at, columns - len(text))
        numbers[begin : begin + len(text)] = text
    return [" " * _LABEL + "".join(row) for row in (numbers, ruler)]


def _lane(timeline: Timeline, side: str, longest: float, columns: int) -> str:
    """Write how many things happened in each column, and where the answer ended."""
    counts = [0] * columns
    for mark in timeline.of(side):
        counts[_column(mark.seconds, longest, columns)] += 1
    cells = [" " if not count else str(count) if count < 10 else "#" for count in counts]
    if side == AGENT and timeline.ended_at is not None:
        at = _column(timeline.ended_at, longest, columns)
        cells[at] = {True: ".", False: "X", None: "?"}[timeline.is_whole]
    return "".join(cells)


def _limit(span: Span, longest: float, columns: int) -> list[str]:
    """Draw a limit from the place where it began to count; ``>`` if it ends beyond the axis."""
    label = f"{span.name:{_LABEL}}"
    if span.used is None:
        return [f"{label}{verdict(span)}"]
    begin = _column(span.begin, longest, columns)
    last = _column(min(span.begin + span.limit, longest), longest, columns)
    bar = "=" * (last - begin) + (">" if span.begin + span.limit > longest else "|")
    note = verdict(span)
    if begin + len(bar) + 1 + len(note) <= columns:
        return [f"{label}{' ' * begin}{bar} {note}"]
    if len(note) < begin:
        return [f"{label}{note:>{begin - 1}} {bar}"]
    return [f"{label}{' ' * begin}{bar}", f"{'':{_LABEL}}{note}"]


def _listed(timeline: Timeline) -> Iterator[str]:
    marks = timeline.marks
    shown = _shown(marks)
    before = -1
    for at in shown:
        if at > before + 1:
            left_out = marks[before + 1 : at]
            total = sum(mark.size for mark in left_out)
            yield f"{'...':>10}  {len(left_out)} more, {total} bytes"
        before = at
        mark = marks[at]
        size = f"{mark.size:7} B" if mark.size else " " * 9
        yield f"{mark.seconds:10.3f}  {mark.side}  {size}  {mark.text}"
    when = "never" if timeline.ended_at is None else f"{timeline.ended_at:.3f}"
    yield f"{when:>10}  end: {timeline.end}"


def _shown(marks: Sequence[Mark]) -> list[int]:
    """Return the places of those marks that are listed: both ends, and around the longest silences."""
    count = len(marks)
    middle = range(_FIRST, count - _LAST)
    gaps = sorted(middle, key=lambda at: marks[at - 1].seconds - marks[at].seconds)[:_GAPS]
    around = {place for at in gaps for place in (at - 1, at)}
    return sorted({*range(min(_FIRST, count)), *range(max(count - _LAST, 0), count), *around})
