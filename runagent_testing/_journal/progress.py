"""How far an answer is, step by step. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from runagent_testing._journal.record import numbers_of
from runagent_testing._render.lazy import Kept
from runagent_testing._script.steps import Ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runagent_testing._journal.record import Record
    from runagent_testing._script.steps import Step

__all__ = ["StepProgress", "progress"]

T = TypeVar("T")


class StepProgress(NamedTuple):
    """One step of an answer.

    Attributes:
        number: Its place among the steps, from 1.
        step: The step.
        seconds: Seconds from the request until it was over: sent completely, waited for, passed; None if it
            was not.
    """

    number: int
    step: Step
    seconds: float | None


def progress(exchange: Record) -> Iterator[StepProgress]:
    """Yield the steps of an answer; of an endless one those that are kept."""
    plan, times = exchange.plan, exchange.times
    moves = () if plan is None else plan.moves
    last = {number: at for at, move in _kept(moves) for number in numbers_of(move)}
    at = -1
    for number, step in _kept(exchange.steps):
        at = len(moves) - 1 if isinstance(step, Ending) else max(at, last.get(number, at))
        # A step without a move, such as one that the format leaves out, is over with those before it.
        is_over = plan is not None and at < len(times) and (plan.is_whole or not isinstance(step, Ending))
        yield StepProgress(number + 1, step, (times[at] if at >= 0 else 0.0) if is_over else None)


def _kept(items: Sequence[T]) -> Iterable[tuple[int, T]]:
    return items.items() if isinstance(items, Kept) else enumerate(items)
