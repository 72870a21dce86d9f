"""Timelines as SVG, and as a page of HTML with what happened in a table. No I/O."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from runagent_testing._timeline.model import AGENT, CLIENT, spans, verdict
from runagent_testing._timeline.scale import seconds_text, ticks
from runagent_testing._timeline.svg import Drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runagent_testing._timeline.model import Mark, Timeline

__all__ = ["as_html", "as_svg"]

_WIDTH = 800
_LEFT, _RIGHT = 92, 24  # pixels on both sides of the axis
_LANE, _LIMIT, _BAR = 30, 22, 18
_TITLE_LENGTH = 110  # characters
_ROWS = 2000  # of the table of a page
_TICKS = 8
_END_COLORS = {True: "good", False: "bad", None: "dim"}


def as_svg(timelines: Sequence[Timeline], limits: Mapping[str, float]) -> str:
    """Draw timelines under each other on one axis; arguments as for `as_text`."""
    about = "; ".join(f"{each.title}: {each.end}" for each in timelines)
    drawing = Drawing(_WIDTH, "Timeline", _shortened(about, 500))
    axis = _Axis(drawing, max(each.seconds for each in timelines) or 0.001)
    y = 10.0
    for timeline in timelines:
        y = axis.draw(timeline, limits, y)
    return drawing.svg(y)


def as_html(timelines: Sequence[Timeline], limits: Mapping[str, float]) -> str:
    """Return a page that needs nothing else: the picture, and a table for each timeline."""
    tables = "".join(_table(each) for each in timelines)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Timeline</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        "<style>body{font-family:sans-serif;max-width:60rem;margin:1rem auto;padding:0 1rem}"
        "h2{font-size:1rem}"
        "td{padding:0 .8rem 0 0;vertical-align:top;font-family:monospace;overflow-wrap:anywhere}"
        ".n{text-align:right;white-space:nowrap}</style></head>\n"
        f"<body>{as_svg(timelines, limits)}{tables}</body></html>\n"
    )


class _Axis:
    """Draws on one axis."""

    def __init__(self, drawing: Drawing, longest: float) -> None:
        self._drawing = drawing
        self._longest = longest
        self._room = drawing.width - _LEFT - _RIGHT

    def _x(self, seconds: float) -> float:
        return _LEFT + self._room * min(seconds / self._longest, 1.0)

    def draw(self, timeline: Timeline, limits: Mapping[str, float], top: float) -> float:
        """Draw a timeline from ``top``, and return where it ends."""
        drawing = self._drawing
        found = spans(timeline, limits)
        drawing.text(8, top + 14, _shortened(timeline.title, _TITLE_LENGTH), size=13)
        end = _END_COLORS[timeline.is_whole]
        drawing.text(8, top + 32, _shortened(f"end: {timeline.end}", _TITLE_LENGTH), end)
        y = top + 44
        height = 2 * _LANE + len(found) * _LIMIT
        for seconds in ticks(self._longest, _TICKS):
            drawing.rect(self._x(seconds), y, 1, height, "line")
            drawing.text(
                self._x(seconds), y + height + 14, seconds_text(seconds), "dim", size=11, anchor="middle"
            )
        for side, color in ((CLIENT, "other"), (AGENT, "ours")):
            self._lane(timeline, side, color, y)
            y += _LANE
        for span in found:
            drawing.text(_LEFT - 8, y + 14, span.name, "dim", anchor="end")
            if span.used is not None:
                begin, last = self._x(span.begin), self._x(span.begin + span.limit)
                color = "bad" if span.is_exceeded else "good"
                drawing.rect(begin, y + 8, max(last - begin, 2), 4, color)
                drawing.rect(begin, y + 4, 2, 12, color)
                if span.begin + span.limit > self._longest:
                    drawing.polygon([(last, y + 5), (last + 8, y + 10), (last, y + 15)], color)
                else:
                    drawing.rect(last - 2, y + 4, 2, 12, color)
            self._note(span.begin, span.limit, verdict(span), y + 14)
            y += _LIMIT
        return y + 26

    def _lane(self, timeline: Timeline, side: str, color: str, y: float) -> None:
        """Draw a bar for each mark, or for all those that fall on the same two pixels."""
        drawing = self._drawing
        drawing.text(_LEFT - 8, y + 19, side, anchor="end")
        drawing.rect(_LEFT, y + 15, self._room, 1, "line")
        for place, marks in _grouped(timeline.of(side), self._x).items():
            events = any(mark.events for mark in marks) or side == CLIENT
            height = _BAR if events else _BAR / 2
            drawing.rect(place, y + 6 + (_BAR - height) / 2, 2, height, color, note=_note(marks))
        if side == AGENT and timeline.ended_at is not None:
            x, middle = self._x(timeline.ended_at), y + 15
            corners = [(x + 1, middle - 8), (x + 9, middle), (x + 1, middle + 8), (x - 7, middle)]
            drawing.polygon(corners, _END_COLORS[timeline.is_whole])

    def _note(self, begin: float, limit: float, text: str, y: float) -> None:
        """Write about a limit next to its bar, on the side that has the room."""
        first, last = self._x(begin) - 8, self._x(begin + limit) + 14
        width = 6.4 * len(text)
        if last + width < self._drawing.width:
            self._drawing.text(last, y, text, "dim", size=11)
        elif first - width > _LEFT:
            self._drawing.text(first, y, text, "dim", size=11, anchor="end")
        else:
            self._drawing.rect((first + last) / 2 - width / 2, y - 11, width, 14, "page")
            self._drawing.text((first + last) / 2, y, text, "dim", size=11, anchor="middle")


def _grouped(marks: Sequence[Mark], place: Callable[[float], float]) -> dict[float, list[Mark]]:
    groups: dict[float, list[Mark]] = {}
    for mark in marks:
        groups.setdefault(2 * round(place(mark.seconds) / 2), []).append(mark)
    return groups


def _note(marks: Sequence[Mark]) -> str:
    first = marks[0]
    if len(marks) > 1:
        size = sum(mark.size for mark in marks)
        return f"{len(marks)} from {first.seconds:.3f} to {marks[-1].seconds:.3f} s, {size} bytes"
    return f"{first.seconds:.3f} s: {_shortened(first.text, 160)}"


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _table(timeline: Timeline) -> str:
    left_out = len(timeline.marks) - _ROWS
    more = f"<p>{left_out} more are left out.</p>" if left_out > 0 else ""
    return (
        f"<h2>{_html(timeline.title)}</h2><p>End: {_html(timeline.end)}</p>"
        f"<table>{''.join(_rows(timeline.marks[:_ROWS]))}</table>{more}\n"
    )


def _rows(marks: Sequence[Mark]) -> Iterator[str]:
    for mark in marks:
        size = f"{mark.size} B" if mark.size else ""
        yield (
            f'<tr><td class="n">{mark.seconds:.3f}</td><td>{mark.side}</td><td class="n">{size}</td>'
            f"<td>{_html(mark.text)}</td></tr>"
        )


def _html(text: str) -> str:
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))
