"""The main rooms of both packages, and which of them imports which: read from the code."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from runagent_testing._timeline.svg import Drawing
from tests.project.layers import LAYERS, import_graph, row_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["layers"]

_CLIENT = (
    "runagent._cli",
    "runagent.relay",
    "runagent._client",
    "runagent._run",
    "runagent._plugins",
    "runagent._bridge",
    "runagent.transports",
    "runagent._net",
    "runagent._wire",
    "runagent._config",
    "runagent._events",
    "runagent._errors",
)
_FAKE = (
    "runagent_testing._standalone",
    "runagent_testing._server",
    "runagent_testing._memory",
    "runagent_testing._recorder",
    "runagent_testing._control",
    "runagent_testing._host",
    "runagent_testing._journal",
    "runagent_testing.faults",
    "runagent_testing._render",
    "runagent_testing.dialects",
    "runagent_testing._recording",
    "runagent_testing._script",
)
_WIDTH, _SIDE, _MARGIN, _GAP = 1000, 484, 8, 12
_BOX, _ROW, _TOP = 58, 84, 62
_LANE = 22  # pixels for an arrow that passes rows
_LETTER = 5.6  # pixels of one in a small text, with room to spare

_Graph = dict[str, set[str]]


def layers() -> str:
    """Draw the client on the left and the fake agent on the right, importers above what they import."""
    imports = _imports()
    drawing = Drawing(_WIDTH, "The main rooms of runagent and runagent_testing", "An arrow is an import.")
    bottom = max(
        _side(drawing, "runagent: the client", _reduced(imports, _CLIENT), _MARGIN, "ours"),
        _side(
            drawing,
            "runagent_testing: the fake agent",
            _reduced(imports, _FAKE),
            _WIDTH - _MARGIN - _SIDE,
            "other",
        ),
    )
    caption = "An arrow is an import; those that follow from others, and small rooms, are left out."
    drawing.text(_MARGIN, bottom + 4, caption, "dim", size=11)
    return drawing.svg(bottom + 14)


def _imports() -> _Graph:
    found: _Graph = {}
    for module, imported in import_graph().items():
        found.setdefault(row_of(module), set()).update(map(row_of, imported))
    return found


def _reduced(imports: Mapping[str, set[str]], rooms: tuple[str, ...]) -> _Graph:
    """Return the imports between rooms without those that lead over another room, too."""
    reached: _Graph = {}
    for room in reversed([each for each in LAYERS if each in rooms]):  # what it imports is below it
        direct = imports[room] & set(reached)
        reached[room] = direct.union(*(reached[other] for other in direct))
    reduced: _Graph = {}
    for room in rooms:
        direct = imports[room] & set(rooms) - {room}
        reduced[room] = {other for other in direct if not any(other in reached[each] for each in direct)}
    return reduced


def _ranks(graph: _Graph) -> list[list[str]]:
    """Put each room into the row below the last one that imports it."""
    depth = dict.fromkeys(graph, 0)
    for _ in graph:  # the longest way has at most so many steps
        for room, imported in graph.items():
            for other in imported:
                depth[other] = max(depth[other], depth[room] + 1)
    return [[room for room in graph if depth[room] == rank] for rank in range(max(depth.values()) + 1)]


def _lanes(graph: _Graph, ranks: list[list[str]]) -> dict[tuple[str, str], int]:
    """Give each arrow that passes other rows a lane, counted from the right."""
    rank = {room: number for number, rooms in enumerate(ranks) for room in rooms}
    lanes: dict[tuple[str, str], int] = {}
    passed: dict[int, set[int]] = {}  # the lanes that are taken in each row
    for room in sorted(graph, key=rank.__getitem__):
        for other in sorted(graph[room]):
            rows = range(rank[room] + 1, rank[other])
            if rows:
                taken = {lane for row in rows for lane in passed.get(row, ())}
                lane = next(number for number in range(len(graph)) if number not in taken)
                lanes[room, other] = lane
                for row in rows:
                    passed.setdefault(row, set()).add(lane)
    return lanes


def _side(drawing: Drawing, title: str, graph: _Graph, left: float, color: str) -> float:
    drawing.text(left, 26, title, size=16)
    ranks = _ranks(graph)
    lanes = _lanes(graph, ranks)
    rank = {room: number for number, rooms in enumerate(ranks) for room in rooms}
    places: dict[str, tuple[float, float, float]] = {}
    for row, rooms in enumerate(ranks):
        passing = [lane for (room, other), lane in lanes.items() if rank[room] < row < rank[other]]
        room_for_all = _SIDE - _LANE * (max(passing, default=-1) + 1)
        width = (room_for_all - _GAP * (len(rooms) - 1)) / len(rooms)
        for number, room in enumerate(rooms):
            places[room] = (left + number * (width + _GAP), _TOP - 14 + row * _ROW, width)
    for room in sorted(graph):
        for other in sorted(graph[room]):
            lane = lanes.get((room, other))
            x = None if lane is None else left + _SIDE - _LANE * (lane + 0.5)
            _arrow(drawing, places[room], places[other], x)
    for room, (x, y, width) in places.items():
        _box(drawing, room, x, y, width, color)
    return max(y for _, y, _ in places.values()) + _BOX + 24


def _box(drawing: Drawing, room: str, x: float, y: float, width: float, color: str) -> None:
    drawing.rect(x, y, width, _BOX, "line", round_by=5)
    drawing.rect(x + 1, y + 1, width - 2, _BOX - 2, "box", round_by=4)
    drawing.rect(x, y, 4, _BOX, color)
    drawing.text(x + 12, y + 17, room.partition(".")[2], size=13)
    for number, line in enumerate(textwrap.wrap(LAYERS[room], int((width - 18) / _LETTER))[:3]):
        drawing.text(x + 12, y + 30 + 11 * number, line, "dim", size=10)


def _arrow(
    drawing: Drawing, start: tuple[float, float, float], end: tuple[float, float, float], lane: float | None
) -> None:
    """Draw a line from the bottom of a box to the top of another: down a lane, or where both are."""
    first, last = max(start[0], end[0]), min(start[0] + start[2], end[0] + end[2])
    if lane is not None:
        x1 = x2 = lane
    elif first < last:
        x1 = x2 = (first + last) / 2
    else:
        x1, x2 = start[0] + start[2] * 0.8, end[0] + end[2] * 0.2
    drawing.line(x1, start[1] + _BOX, x2, end[1] - 4, "base")
    drawing.polygon([(x2, end[1]), (x2 - 5, end[1] - 8), (x2 + 5, end[1] - 8)], "base")
