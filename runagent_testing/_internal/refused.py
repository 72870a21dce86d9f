"""The error of a script with a step for which the answer's format has no place."""

from __future__ import annotations

__all__ = ["StepRefusedError"]


class StepRefusedError(ValueError):
    """A format refuses a step, which is no mistake: its protocol has no place for it.

    Args:
        number: The step's number in the script, from 0; None for an end that no script has.
        step: A description of the step.
        reason: Why the format refuses it.
    """

    def __init__(self, number: int | None, step: str, reason: str) -> None:
        super().__init__(number, step, reason)

    def __str__(self) -> str:
        number, step, reason = self.args
        return f"{step}: {reason}" if number is None else f"step {number + 1}, {step}: {reason}"
