"""Everything that is logged meanwhile, at any level."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["logged"]


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """Collect what all loggers get, as text; loggers that do not propagate are left out."""
    handler, level = _Lines(), logging.root.level
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        logging.root.setLevel(level)
        logging.root.removeHandler(handler)
