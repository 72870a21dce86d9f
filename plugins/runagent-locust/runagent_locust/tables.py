"""The measures as a table for a terminal, as CSV, and as a part of an HTML page."""

from __future__ import annotations

import csv
import html
import io
from typing import TYPE_CHECKING

from runagent_locust.measures import COUNTS, HISTOGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runagent_locust.histogram import Histogram
    from runagent_locust.measures import Names

__all__ = ["gaps_csv", "html_part", "streams_csv", "text_table"]

_SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)
_LABELS = {
    "first": "first chunk, ms",
    "gap": "gap, ms",
    "stream": "stream, ms",
    "rate": "chunks/s",
}
_PAGE_STYLE = "font-family: sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem"
_TABLE_STYLE = "text-align: right; margin-bottom: 1rem; font-variant-numeric: tabular-nums"
_PERCENTILES = [f"{share * 100:g}%" for share in _SHARES]


def text_table(names: Names) -> list[str]:
    """Return the lines of a table: counts, distributions and errors, name by name; none without a stream."""
    lines: list[str] = []
    for head, rows, texts in _tables(names):
        lines += ["", *_aligned([head, *rows], texts)]
    return lines[1:]


def streams_csv(names: Names) -> str:
    """Return one row for each name: the counts, and mean and percentiles of each distribution."""
    head = [f"{kind} {column}" for kind in HISTOGRAMS for column in _distribution_head()]
    rows = (
        [*counts, *(figure for kind in HISTOGRAMS for figure in _figures(getattr(names[counts[0]], kind), 3))]
        for counts in _count_rows(names)
    )
    return _csv([["name", *COUNTS, *head], *rows])


def gaps_csv(names: Names) -> str:
    """Return the histograms of the gaps: one row for each bucket, whose bounds are in milliseconds."""
    rows = (
        [name, lowest / 1e3, highest / 1e3, count]
        for name, measures in sorted(names.items())
        for lowest, highest, count in measures.gap.buckets()
    )
    return _csv([["name", "from ms", "to ms", "count"], *rows])


def html_part(names: Names) -> str:
    """Return the tables as a part of a page, with everything in them escaped."""
    tables = "".join(_html_table(head, rows, texts) for head, rows, texts in _tables(names))
    return f'<section id="runagent" style="{_PAGE_STYLE}">\n<h2>Streams of agents</h2>\n{tables}</section>\n'


def _tables(names: Names) -> Iterator[tuple[list[str], list[list[str]], int]]:
    """Give head, rows and the number of columns with texts of each table that has rows."""
    tables = (
        (["Streams", *COUNTS], list(_count_rows(names)), 1),
        (["Distributions", "", *_distribution_head()], list(_distribution_rows(names)), 2),
        (["Errors", "", "streams"], list(_error_rows(names)), 2),
    )
    yield from (table for table in tables if table[1])


def _count_rows(names: Names) -> Iterator[list[str]]:
    for name, measures in sorted(names.items()):
        yield [name, *(str(getattr(measures, count)) for count in COUNTS)]


def _distribution_head() -> list[str]:
    return ["count", "mean", *_PERCENTILES, "max"]


def _distribution_rows(names: Names) -> Iterator[list[str]]:
    for name, measures in sorted(names.items()):
        for kind in HISTOGRAMS:
            if (histogram := getattr(measures, kind)).count:
                yield [name, _LABELS[kind], *_figures(histogram)]


def _error_rows(names: Names) -> Iterator[list[str]]:
    for name, measures in sorted(names.items()):
        for label, count in sorted(measures.errors.items(), key=lambda item: (-item[1], item[0])):
            yield [name, label, str(count)]


def _figures(histogram: Histogram, digits: int = 1) -> list[str]:
    """Return count, mean, percentiles and maximum; of times in milliseconds, of rates in chunks a second."""
    values = [histogram.mean, *map(histogram.percentile, _SHARES), histogram.greatest]
    return [str(histogram.count), *(f"{value / 1e3:.{digits}f}" for value in values)]


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _aligned(rows: Sequence[Sequence[str]], texts: int) -> list[str]:
    """Return rows as lines of columns; the first so many columns are texts, all others are numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at < texts else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _html_table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> str:
    lines = [_html_row("th", head, texts), *(_html_row("td", row, texts) for row in rows)]
    return f'<table cellpadding="4" style="{_TABLE_STYLE}">\n{"".join(lines)}</table>\n'


def _html_row(tag: str, cells: Sequence[str], texts: int) -> str:
    aligned = [' align="left"' if at < texts else "" for at in range(len(cells))]
    shown = (f"<{tag}{how}>{html.escape(cell)}</{tag}>" for cell, how in zip(cells, aligned, strict=True))
    return f"<tr>{''.join(shown)}</tr>\n"
