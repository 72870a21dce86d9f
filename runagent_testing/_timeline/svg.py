"""Writes SVG that reads on a light and on a dark page. No I/O."""

from __future__ import annotations

import math
import re
from html import escape

__all__ = ["Drawing"]

# Each color by its meaning: in a light page, in a dark one. Those of data differ in lightness, too.
_COLORS = {
    "page": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#e6edf3"),
    "dim": ("#59636e", "#9198a1"),
    "line": ("#d1d9e0", "#3d444d"),
    "box": ("#f6f8fa", "#151b23"),
    "ours": ("#0b62c4", "#4c9bf5"),
    "base": ("#818b98", "#7d8590"),
    "other": ("#9a6700", "#e3b341"),
    "good": ("#1a7f37", "#3fb950"),
    "bad": ("#cf222e", "#f85149"),
}


def _rules(column: int) -> str:
    return "".join(f".{name}{{fill:{colors[column]}}}" for name, colors in _COLORS.items())


_STYLE = f"{_rules(0)}@media(prefers-color-scheme:dark){{{_rules(1)}}}"
# Nobody may put a character into a picture that XML forbids.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Drawing:
    """A picture of texts and rectangles, each in a color by its meaning."""

    def __init__(
        self, width: int, title: str, description: str = "", *, font: str = "sans-serif", style: str = ""
    ) -> None:
        """Begin an empty picture.

        Args:
            width: In pixels.
            title: What a screen reader reads first.
            description: What it reads then.
            font: The family of all texts.
            style: Rules of CSS in addition to those of the colors.
        """
        self.width = width
        self._title, self._description, self._font = title, description, font
        self._style = f"{_STYLE}{style}"
        self._parts: list[str] = []

    def text(
        self, x: float, y: float, text: str, color: str = "ink", *, size: int = 12, anchor: str = "start"
    ) -> None:
        """Write text; ``y`` is its base line."""
        self._parts.append(
            f'<text x="{_number(x)}" y="{_number(y)}" class="{color}" font-size="{size}"'
            f' text-anchor="{anchor}" xml:space="preserve">{_safe(text)}</text>'
        )

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        color: str,
        *,
        round_by: int = 0,
        note: str = "",
    ) -> None:
        """Fill a rectangle; ``note`` is what a pointer on it shows."""
        corners = f' rx="{round_by}"' if round_by else ""
        shape = (
            f'<rect x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
            f'{corners} class="{color}"'
        )
        self._parts.append(f"{shape}><title>{_safe(note)}</title></rect>" if note else f"{shape}/>")

    def line(self, x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1.5) -> None:
        """Draw a straight line."""
        length = math.hypot(x2 - x1, y2 - y1) or 1.0
        dx, dy = (y2 - y1) / length * width / 2, (x1 - x2) / length * width / 2
        self.polygon([(x1 - dx, y1 - dy), (x1 + dx, y1 + dy), (x2 + dx, y2 + dy), (x2 - dx, y2 - dy)], color)

    def polygon(self, points: list[tuple[float, float]], color: str) -> None:
        """Fill a polygon."""
        places = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self._parts.append(f'<polygon points="{places}" class="{color}"/>')

    def markup(self, text: str) -> None:
        """Add SVG as it is, such as the beginning or the end of a group."""
        self._parts.append(text)

    def svg(self, height: float) -> str:
        """Return the picture, of so many pixels from its top."""
        about = f"<desc>{_safe(self._description)}</desc>" if self._description else ""
        size = f'viewBox="0 0 {self.width} {_number(height)}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{self._font}">',
            f"<title>{_safe(self._title)}</title>{about}<style>{self._style}</style>",
            f'<rect width="{self.width}" height="{_number(height)}" class="page"/>',
            *self._parts,
        ]
        return "\n".join([*lines, "</svg>", ""])


def _safe(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
