"""Checks of scripts, made when they are written."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.public import publish
from runagent_testing._internal.suggestions import nearest
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.describe import described
from runagent_testing._script.gates import Gate
from runagent_testing._script.jsonvalues import json_fault
from runagent_testing._script.numbers import check_seconds
from runagent_testing._script.pacing import Pace
from runagent_testing._script.repetition import Repeat
from runagent_testing._script.steps import (
    Chunk,
    Delay,
    Ending,
    Head,
    Pause,
    Raw,
    RawResponse,
    Status,
    Step,
)
from runagent_testing._script.values import fault_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StepError", "check_properties", "check_word", "checked_steps"]

__tracebackhide__ = is_ours

_MANUAL_STEPS = (Delay, Gate, Raw, Ending)


class StepError(TypeError):
    """A step of a script is invalid or misplaced.

    Attributes:
        number: The step's number, from 1.
    """

    def __init__(self, number: int, fault: str) -> None:
        super().__init__(number, fault)
        self.number = number
        self._fault = fault

    def __str__(self) -> str:
        return f"step {self.number}{self._fault}"

    def at(self, number: int) -> StepError:
        """Return the same error for another step's number."""
        return StepError(number, self._fault)


def checked_steps(items: tuple[Any, ...]) -> tuple[Step, ...]:
    """Turn the items of a script into steps.

    Raises:
        StepError: A step is invalid or misplaced.
    """
    steps = tuple(_step(item, number) for number, item in enumerate(items, 1))
    if set(map(type, steps)) != {Chunk}:
        _check_order([(number, played) for number, step in enumerate(steps, 1) for played in _rounds(step)])
    for number, step in enumerate(steps[:-1], 1):
        if isinstance(step, Repeat) and step.times is None:
            raise StepError(number, f", {described(step)}, is endless: it must be the last one")
    return steps


def _rounds(step: Step) -> Iterator[Step]:
    """Yield a step, or two rounds of its repetition, in which every order of its steps occurs."""
    if not isinstance(step, Repeat):
        yield step
        return
    for _ in range(2 if step.times is None else min(step.times, 2)):
        for one in step.steps:
            yield from _rounds(one)


def _step(item: Any, number: int) -> Step:
    # Most are texts, of which any can be written.
    if type(item) is str:
        return Chunk(item)
    if type(item) is Chunk and type(item.content) is str and item.index is item.id is item.event is ...:
        return item
    step = item if isinstance(item, Step) else Chunk(item)
    if isinstance(step, Repeat):
        return replace(step, steps=tuple(_inner_steps(step, number)))
    if isinstance(step, Chunk) and (fault := json_fault(step.content)):
        raise StepError(number, f" is {_unfit(step.content, fault)}")
    if fault := fault_of(step):
        raise StepError(number, fault)
    return step


def _inner_steps(repeat: Repeat, number: int) -> Iterator[Step]:
    for place, inner in enumerate(repeat.steps, 1):
        if isinstance(inner, Repeat) and inner.times is None:
            raise StepError(number, ", repeat(...), has an endless repeat(...) in it")
        try:
            yield _step(inner, place)
        except StepError as exc:
            raise StepError(number, f", repeat(...): {exc}") from None


def _unfit(item: object, why: str) -> str:
    if inspect.isroutine(item):
        return f"the function {item.__name__}, not its result: write {item.__name__}(...)"
    if isinstance(item, Iterator):
        return "an iterator, not the steps in it: write a * before it"
    if isinstance(item, list | tuple) and any(isinstance(one, Step) for one in item):
        return "a list with steps in it: write a * before it"
    if isinstance(item, bytes):
        return "bytes, not text or a JSON value: raw(...) writes bytes unchanged"
    return f"neither a step nor text nor a JSON value ({why})"


def _check_order(steps: list[tuple[int, Step]]) -> None:
    """Check the order of steps with their numbers."""
    manual, begun = False, False
    for place, (number, step) in enumerate(steps, 1):
        if isinstance(step, Ending | Status) and place < len(steps):
            raise StepError(number, f", {described(step)}, must be the last one")
        if isinstance(step, Status | RawResponse | Head) and begun:
            raise StepError(number, _TOO_LATE[type(step)])
        if manual and not isinstance(step, _MANUAL_STEPS):
            raise StepError(
                number,
                f", {described(step)}, cannot follow a raw_response: only pauses, raw and an ending can",
            )
        manual |= isinstance(step, RawResponse)
        begun |= not isinstance(step, Pause)


_TOO_LATE: dict[type, str] = {
    Status: ": a status refuses a run before it starts: only delays and gates may come first",
    RawResponse: ": a raw_response is the whole answer: only delays and gates may come first",
    Head: ": a head begins the answer: only delays and gates may come first",
}


def check_word(name: str, value: object, known: tuple[str, ...]) -> None:
    """Reject an unknown keyword value."""
    if value not in known:
        raise ValueError(f"{name}= is one of {', '.join(known)}, not {value!r}")


def check_properties(given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Reject unknown properties of a script, and invalid values."""
    for name in given:
        if name not in known:
            raise TypeError(f"unknown property {name!r} of an answer; {nearest(name, known)}")
    pace = given.get("pace")
    if pace is not None and not isinstance(pace, Pace):
        makers = "fixed(), uniform(), log_normal() or tokens_per_second()"
        raise TypeError(f"pace= is made by {makers}, not {pace!r}")
    check_seconds(given.get("write_gap", 0.0), "write_gap=")
    for name in ("indexed", "ids"):
        if not isinstance(given.get(name, True), bool):
            raise TypeError(f"{name}= is True or False, not {given[name]!r}")
    session_id = given.get("session_id")
    if session_id is not None and not isinstance(session_id, str):
        raise TypeError(f"session_id= is text, not {session_id!r}")


publish(StepError)
