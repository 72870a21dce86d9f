"""Writes the pictures of the pages that can be drawn again alike: ``python -m tests.docs.pictures.write``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.docs.pages import ROOT
from tests.docs.pictures import charts
from tests.docs.pictures.cut import cut_stream
from tests.docs.pictures.layers import layers
from tests.docs.pictures.run import timeline

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FOLDER", "PICTURES"]

FOLDER = ROOT / "docs"
PICTURES: dict[str, Callable[[], str]] = {
    "timeline.svg": timeline,
    "cut-stream.svg": cut_stream,
    "architecture.svg": layers,
    **charts.measured(charts.PAGE.read_text(encoding="utf-8")),
}


def main() -> None:
    """Draw all of them."""
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
