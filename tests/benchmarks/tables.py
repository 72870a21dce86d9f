"""Tables in Markdown, and verdicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Goal", "Table"]


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
