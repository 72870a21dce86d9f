"""Seconds on an axis: round places for its numbers, and how they are written."""

from __future__ import annotations

import math

__all__ = ["seconds_text", "ticks"]

_STEPS = (1, 2, 5, 10)


def ticks(seconds: float, most: int) -> list[float]:
    """Return at most so many places from 0 to the end of an axis, at round numbers."""
    least = seconds / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * each for each in _STEPS if power * each >= least * (1 - 1e-9))
    return [number * step for number in range(int(seconds / step * (1 + 1e-9)) + 1)]


def seconds_text(seconds: float) -> str:
    """Write seconds to a thousandth, and those of a fast stream to a millionth."""
    return f"{seconds:.{3 if seconds >= 0.01 else 6}f}".rstrip("0").rstrip(".") + " s"
