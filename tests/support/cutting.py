"""The ways in which a stream is cut: what is sent in one go need not arrive so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["every_cut"]


def every_cut(data: bytes) -> Iterator[list[bytes]]:
    """Give ``data`` whole, byte by byte, and cut once at every byte."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
