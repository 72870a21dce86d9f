"""Steps that are made again and again: short repetitions become their steps, the others come one by one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from runagent_testing._script.repetition import Repeat
from runagent_testing._script.steps import Head, RawResponse, Status
from runagent_testing._script.validation import StepError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runagent_testing._script.steps import Step

__all__ = ["check_repetition", "leaves", "unrolled", "written_out"]

_MOST_STEPS = 10_000  # of a script that is written out


def leaves(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield every step once, those of repetitions too."""
    for step in steps:
        if isinstance(step, Repeat):
            yield from leaves(step.steps)
        else:
            yield step


def written_out(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Write the repetitions of a script out, unless that is endless or too long."""
    if not any(isinstance(step, Repeat) for step in steps):
        return steps
    count = sum(_count(step) for step in steps)
    return tuple(unrolled(steps)) if count <= _MOST_STEPS else steps


def check_repetition(steps: tuple[Step, ...], framing: str) -> None:
    """Reject a script with a long repetition that has to be known as a whole, or cannot begin in the middle.

    Raises:
        StepError: A step cannot be in such a script.
        ValueError: An option needs all steps at once.
    """
    if framing == "length":
        raise ValueError(f"framing='length' needs all steps at once: repeat(...) has over {_MOST_STEPS}")
    for number, step in enumerate(steps, 1):
        if isinstance(step, Status | RawResponse) or (isinstance(step, Head) and number > 1):
            raise StepError(number, f" cannot be in a script whose repeat(...) has over {_MOST_STEPS} steps")


def _count(step: Step) -> float:
    if not isinstance(step, Repeat):
        return 1
    times = float("inf") if step.times is None else step.times
    return times * sum(_count(one) for one in step.steps)


def unrolled(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield the steps as often as they are made."""
    for step in steps:
        if isinstance(step, Repeat):
            rounds = itertools.count() if step.times is None else range(step.times)
            for _ in rounds:
                yield from unrolled(step.steps)
        else:
            yield step
