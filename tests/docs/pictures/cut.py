"""An answer that is cut, as its callers get it: the measured table of docs/reliability.md as a picture."""

from __future__ import annotations

from typing import NamedTuple

from runagent_testing._timeline.svg import Drawing
from tests.docs.pages import ROOT, Page

__all__ = ["cut_stream"]

_HEADING = "What a reader sees of a bad end"
_WIDTH, _LEFT = 820, 214
_ROW, _HEAD = 26, 22
_GOOD_END, _WAITS = "good end", "waits"
_SHOWN = {_GOOD_END: ("looks complete", "bad"), _WAITS: ("waits: no limit", "other")}
_OURS = "runagent"
_CAPTION = (
    "error: the caller gets an exception. silence: a limit of one second, if the client has a limit.",
    "Measured by make interop; the errors and the versions of the clients are in docs/reliability.md.",
)


class _Row(NamedTuple):
    client: str
    ends: tuple[str, ...]


def cut_stream() -> str:
    """Draw a cell for each client and each bad end: whether its caller finds out."""
    ends, rows = _table()
    groups = _grouped(rows)
    ours = [row for row in groups if row.client == _OURS]
    official = [row for row in groups if row.client != _OURS]
    drawing = Drawing(
        _WIDTH,
        "An answer ends before its end marker: what the caller gets",
        "; ".join(f"{row.client}: {', '.join(map(_text, row.ends))}" for row in groups),
    )
    drawing.text(12, 26, "An answer is cut before its end. Does the caller find out?", size=18)
    drawing.text(12, 48, "A fake agent leaves out the end marker, and ends the answer in five ways.", "dim")
    y = _heads(drawing, ends, 64)
    for row in official:
        y = _draw(drawing, f"{row.client} {_times(rows, row)}".rstrip(), row, y)
    y += 8
    for row in ours:
        y = _draw(drawing, f"{row.client}, for each of these", row, y, height=32)
    for line in _CAPTION:
        drawing.text(12, y + 16, line, "dim", size=11)
        y += 15
    return drawing.svg(y + 12)


def _table() -> tuple[list[str], list[tuple[str, _Row]]]:
    """Read the columns, and for each protocol the row of a client."""
    lines = Page(ROOT / "docs/reliability.md").text.partition(f"## {_HEADING}\n")[2].splitlines()
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("|"):
            found.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
        elif found:
            break
    head, _, *rows = found
    return head[2:], [(protocol, _Row(client, tuple(ends))) for protocol, client, *ends in rows]


def _kind(end: str) -> str:
    return end if end in _SHOWN else "error"


def _text(end: str) -> str:
    return _SHOWN.get(end, ("error", ""))[0]


def _grouped(rows: list[tuple[str, _Row]]) -> list[_Row]:
    """Join the rows of a client whose callers get the same for several protocols."""
    kinds = [_Row(row.client, tuple(map(_kind, row.ends))) for _, row in rows]
    return list(dict.fromkeys(kinds))


def _times(rows: list[tuple[str, _Row]], group: _Row) -> str:
    count = sum(row.client == group.client and tuple(map(_kind, row.ends)) == group.ends for _, row in rows)
    return f"({count} protocols)" if count > 1 else ""


def _column(number: int, count: int) -> tuple[float, float]:
    width = (_WIDTH - _LEFT - 12) / count
    return _LEFT + number * width, width


def _heads(drawing: Drawing, ends: list[str], y: float) -> float:
    for number, end in enumerate(ends):
        x, width = _column(number, len(ends))
        drawing.text(x + width / 2, y + 14, end, anchor="middle")
    return y + _HEAD


def _draw(drawing: Drawing, label: str, row: _Row, y: float, height: int = _ROW) -> float:
    """Draw the cells of a client, each with its text: color alone decides nothing."""
    is_ours = row.client == _OURS
    drawing.text(_LEFT - 10, y + height / 2 + 4, label, "ink" if is_ours else "dim", size=13, anchor="end")
    for number, end in enumerate(row.ends):
        x, width = _column(number, len(row.ends))
        text, color = _SHOWN.get(end, ("error", "good"))
        drawing.rect(x + 2, y + 2, width - 4, height - 4, color, round_by=4)
        drawing.text(x + width / 2, y + height / 2 + 4, text, "page", anchor="middle")
    return y + height
