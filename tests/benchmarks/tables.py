"""Tables in Markdown, verdicts, and a chart as SVG."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Goal", "Table", "chart"]


@dataclass(frozen=True)
class Goal:
    """A figure to reach.

    Attributes:
        what: What is measured.
        value: What it has come to.
        limit: What it should come to.
        at_least: The limit is a lower one.
        unit: The unit of both.
    """

    what: str
    value: float
    limit: float
    at_least: bool = False
    unit: str = "x"

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Write it as a row."""
        bound = "at least" if self.at_least else "at most"
        verdict = "pass" if self.reached else "**short**"
        return self.what, f"{self.value:.3g}{self.unit}", f"{bound} {self.limit:.3g}{self.unit}", verdict


@dataclass
class Table:
    """A table with a heading; numbers are written with three digits."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str | float]] = field(default_factory=list)

    def __str__(self) -> str:
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [self.columns, rule, *([_cell(value) for value in row] for row in self.rows)]
        return f"### {self.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

    @classmethod
    def of_goals(cls, goals: Sequence[Goal]) -> Table:
        """Compare goals with the figures reached."""
        return cls("Goals", ("what", "measured", "goal", "verdict"), [goal.cells for goal in goals])


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:#.3g}".rstrip(".")


_BAR, _GAP, _LABEL, _WIDTH = 18, 6, 190, 720
_OURS, _BASELINE, _THEIRS = "#1f77b4", "#888888", "#d9a441"


def chart(title: str, bars: Sequence[tuple[str, float]], ours: str, baseline: str) -> str:
    """Draw horizontal bars, the shortest first, on a logarithmic scale, which the title should mention."""
    from math import log10

    bars = sorted(bars, key=lambda bar: bar[1])
    least, most = log10(bars[0][1]) - 0.3, log10(bars[-1][1])
    room = _WIDTH - _LABEL - 90
    height = 40 + len(bars) * (_BAR + _GAP)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
            f' font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
        ),
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" font-size="14" fill="#222222">{escape(title)}</text>',
    ]
    for number, (label, value) in enumerate(bars):
        y = 34 + number * (_BAR + _GAP)
        length = max(2.0, room * (log10(value) - least) / (most - least))
        color = _OURS if label.startswith(ours) else _BASELINE if label.startswith(baseline) else _THEIRS
        base = y + _BAR - 5
        lines += [
            f'<text x="{_LABEL - 8}" y="{base}" text-anchor="end" fill="#222222">{escape(label)}</text>',
            f'<rect x="{_LABEL}" y="{y}" width="{length:.1f}" height="{_BAR}" fill="{color}"/>',
            f'<text x="{_LABEL + length + 6:.1f}" y="{base}" fill="#222222">{_cell(value)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
