"""Charts of what was measured: the tables of docs/performance.md as bars, with what is compared in each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import log10
from typing import TYPE_CHECKING

from runagent_testing._timeline.svg import Drawing
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["CHARTS", "Chart", "bars", "measured", "tables"]

PAGE = ROOT / "docs/performance.md"
_BAR, _GAP, _LABEL, _WIDTH = 18, 6, 200, 720
_OURS, _BASELINE = "runagent", "baseline"


@dataclass(frozen=True)
class Chart:
    """Which rows of a table make a chart.

    Attributes:
        table: The beginning of its heading.
        column: The column of the figures.
        title: What is measured, in which unit.
        caption: What is compared, in lines.
        wanted: Whether a row has a bar, by the cells under their columns.
        is_logarithmic: Whether a length is the logarithm of a figure.
    """

    table: str
    column: str
    title: str
    caption: tuple[str, ...]
    wanted: Callable[[dict[str, str]], bool]
    is_logarithmic: bool = False


def _is_plain(row: dict[str, str]) -> bool:
    return row.get("contender") not in ("baseline (kept heap)", "baseline (task)", "baseline (timeout)")


CHARTS = {
    "sse-burst.svg": Chart(
        "SSE burst",
        "us",
        "CPU for one event of an SSE burst, in microseconds (logarithmic scale)",
        (
            "openai and anthropic read the larger events of their services, and make models of them.",
            "The others decode the JSON of the same bytes. The baseline checks nothing; nobody could use it.",
        ),
        bool,
        is_logarithmic=True,
    ),
    "latency.svg": Chart(
        "SSE over TCP",
        "latency p50 us",
        "From the write of an event to its reader, in microseconds (median)",
        (
            "One event in each write, 1000 a second, over loopback; each reader decodes the same JSON.",
            "Other forms of the baseline are in the table.",
        ),
        _is_plain,
    ),
    "many-streams.svg": Chart(
        "Many SSE streams",
        "events' CPU us",
        "CPU for one event with 1,000 streams open, in microseconds",
        (
            "One client, each stream in a separate task, 20 events a second; the same bytes for each reader.",
            "Other forms of the baseline are in the table.",
        ),
        lambda row: row["streams"] == "1000" and _is_plain(row),
    ),
    "first-chunk.svg": Chart(
        "From the start of a process",
        "ms",
        "CPU from the start of a process to its first chunk, in milliseconds",
        ("Imports, client, connection and first event over loopback; openai reads its own protocol.",),
        lambda row: row["program"].startswith("first chunk") and "observed" not in row["program"],
    ),
}


def measured(page: str) -> dict[str, Callable[[], str]]:
    """Return what draws each chart of a page, of those whose tables the page has."""
    found = tables(page)
    return {
        name: partial(_drawn, chart, found)
        for name, chart in CHARTS.items()
        if any(heading.startswith(chart.table) for heading in found)
    }


def tables(page: str) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each table that has a heading, as cells under their columns."""
    found: dict[str, list[dict[str, str]]] = {}
    for part in page.split("\n### ")[1:]:
        heading, *lines = part.splitlines()
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")
        ]
        if rows:
            found[heading] = [dict(zip(rows[0], row, strict=False)) for row in rows[2:]]
    return found


def _drawn(chart: Chart, found: dict[str, list[dict[str, str]]]) -> str:
    rows = next(rows for heading, rows in found.items() if heading.startswith(chart.table))
    values = [(_label(row), float(row[chart.column])) for row in rows if chart.wanted(row)]
    return bars(chart.title, values, chart.caption, is_logarithmic=chart.is_logarithmic)


def _label(row: dict[str, str]) -> str:
    if "program" in row:
        return row["program"].removeprefix("first chunk, ")
    return f"{row['contender']} ({row['style']})"


def bars(
    title: str,
    values: Iterable[tuple[str, float]],
    caption: Sequence[str] = (),
    *,
    is_logarithmic: bool = False,
) -> str:
    """Draw horizontal bars, the shortest first; of a logarithmic scale the title should have a mention."""
    ordered = sorted(values, key=lambda bar: bar[1])
    drawing = Drawing(_WIDTH, title, "; ".join(f"{label}: {value:.3g}" for label, value in ordered))
    drawing.text(8, 20, title, size=14)
    least = log10(ordered[0][1]) - 0.3 if is_logarithmic else 0.0
    most = log10(ordered[-1][1]) if is_logarithmic else ordered[-1][1]
    y = 34
    for label, value in ordered:
        place = (log10(value) if is_logarithmic else value) - least
        length = max(2.0, (_WIDTH - _LABEL - 70) * place / (most - least))
        base = y + _BAR - 5
        drawing.text(_LABEL - 8, base, label, anchor="end")
        drawing.rect(_LABEL, y, length, _BAR, _color(label))
        drawing.text(_LABEL + length + 6, base, f"{value:#.3g}".rstrip("."))
        y += _BAR + _GAP
    for line in caption:
        drawing.text(8, y + 12, line, "dim", size=11)
        y += 15
    return drawing.svg(y + 6)


def _color(label: str) -> str:
    return "ours" if label.startswith(_OURS) else "base" if label.startswith(_BASELINE) else "other"
