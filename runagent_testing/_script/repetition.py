"""The step that makes other steps again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runagent_testing._internal.suggestions import suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.numbers import is_whole

__all__ = ["Repeat", "repeat"]

__tracebackhide__ = is_ours


@dataclass(frozen=True, slots=True)
class Repeat:
    """Steps that are made again and again; ``times`` is None for an endless repetition."""

    steps: tuple[Any, ...]
    times: int | None = None


@suggest_keywords
def repeat(*steps: Any, times: int | None = None) -> Repeat:
    """Make steps again and again.

    An endless repetition is the last step of its script. A client may leave it at any time, and little of it
    is kept. So it is with more than 10 000 steps; then, as with a generator, ``framing="length"``, a status
    and a raw answer are refused, and only the first step may be a head.

    Args:
        steps: Chunks and steps, as for a script.
        times: How often; None for an endless repetition.

    Raises:
        TypeError: The steps are in one list.
        ValueError: There are no steps, or ``times`` is not a positive number.
    """
    if not steps:
        raise ValueError("repeat() takes steps")
    if len(steps) == 1 and isinstance(steps[0], list | tuple):
        raise TypeError("repeat() takes the steps one by one: write a * before a list of them")
    if times is not None and not is_whole(times, 1):
        raise ValueError(f"repeat(times=...) is a number of times, 1 or more, or None, not {times!r}")
    return Repeat(steps, times)
