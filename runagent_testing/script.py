"""Scripts: what a fake agent answers, as data, checked when it is written.

A script knows no transport; `render` makes a plan of it for one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, get_args

from runagent_testing.steps import (
    Chunk,
    Delay,
    Ending,
    EndingKind,
    Error,
    Gate,
    Head,
    Pause,
    Raw,
    RawAnswer,
    Status,
    Step,
)
from runagent_testing.writes import MERGED, Writes, named_writes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing.pacing import Pace
    from runagent_testing.templates import Template

__all__ = ["Framing", "Options", "Result", "Resume", "Script", "StepError"]

Resume = Literal["honour", "refuse", "fake"]
Framing = Literal["chunked", "extensions", "length", "close"]

_PLAIN_STEPS = (Delay, Gate, Chunk, Error, Status, RawAnswer, Ending)
_PLAIN_ENDINGS: tuple[EndingKind, ...] = (
    "clean",
    "cut",
    "fin",
    "reset",
    "half-close",
    "stall",
    "stall-reset",
)
_MANUAL_STEPS = (Delay, Gate, Raw, Ending)


class StepError(TypeError):
    """A step is no step, or stands where it cannot.

    Attributes:
        number: Of the step, from 1.
    """

    def __init__(self, number: int, fault: str) -> None:
        super().__init__(number, fault)
        self.number = number
        self._fault = fault

    def __str__(self) -> str:
        return f"step {self.number}{self._fault}"


class Options(TypedDict, total=False):
    """The properties of a script, as `Agent.always` and its like take them.

    Attributes:
        indexed: SSE and NDJSON chunks carry their place as ``index``, counted from 0; default True.
        ids: SSE chunks carry their place as ``id:``; default False.
        resume: What becomes of ``parameters.resume_from_index`` and, with ``ids``, ``Last-Event-ID``.
            "honour" (default, also True) goes on behind what the client has. "refuse" (also False)
            starts again with the first chunk and its own index. "fake" starts again with the first
            chunk, too, but numbers the chunks from where the client wanted them: the proof of the
            place is there, and it is a lie.
        pace: Waits between the chunks; see `runagent_testing.pacing`.
        writes: "merged" (default: what no pause parts is one write), "per-step" (one write for each
            event), or a policy of `runagent_testing.writes`.
        apart: Seconds to wait between two writes that nothing else parts; default 0.
        framing: Of an HTTP body: "chunked" (default), "extensions" (chunked, with an extension on
            every chunk), "length" (Content-Length), "close" (neither: the connection's end is the end).
    """

    indexed: bool
    ids: bool
    resume: Resume | bool
    pace: Pace | None
    writes: Writes | str
    apart: float
    framing: Framing


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A stream, for any transport; see `Options` for what is not said here.

    Attributes:
        steps: What happens, in order.
        templates: What `runagent_testing.templates` has rendered of it.
    """

    steps: tuple[Step, ...]
    indexed: bool = True
    ids: bool = False
    resume: Resume = "honour"
    pace: Pace | None = None
    writes: Writes = MERGED
    apart: float = 0.0
    framing: Framing = "chunked"
    templates: dict[object, Template | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        steps: tuple[Any, ...],
        *,
        resume: Resume | bool = "honour",
        writes: Writes | str = MERGED,
        framing: Framing = "chunked",
        **options: Any,
    ) -> Self:
        """Check the steps and options; text and JSON values become chunks.

        Raises:
            TypeError: A step is no step, or stands where it cannot; the message says which.
            ValueError: An option has no such value.
        """
        checked = _checked(steps)
        mode: Resume = ("honour" if resume else "refuse") if isinstance(resume, bool) else resume
        _check_word("resume", mode, get_args(Resume))
        _check_word("framing", framing, get_args(Framing))
        return cls(steps=checked, resume=mode, writes=named_writes(writes), framing=framing, **options)

    @property
    def refuses(self) -> bool:
        """Whether this is an answer of its own instead of a stream: a status or bytes."""
        return any(isinstance(step, Status | RawAnswer) for step in self.steps)

    @property
    def head(self) -> Head | None:
        """What the script says of the answer's head."""
        return next((step for step in self.steps if isinstance(step, Head)), None)

    @property
    def ending(self) -> EndingKind:
        """How the stream ends."""
        last = self.steps[-1] if self.steps else None
        return last.kind if isinstance(last, Ending) else "clean"

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks, in order."""
        return [step for step in self.steps if isinstance(step, Chunk)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer to a plain run: pauses, then a value, an error, a status or bytes, and perhaps an ending."""

    steps: tuple[Step, ...]
    usage: Mapping[str, Any] | None = None
    execution_time: float | None = None
    agent_version: str | None = None
    writes: Writes = MERGED
    apart: float = 0.0

    @classmethod
    def of(cls, steps: tuple[Any, ...], *, writes: Writes | str = MERGED, **options: Any) -> Self:
        """Check the steps; a value becomes the one chunk.

        Raises:
            TypeError: As for `Script.of`.
        """
        checked = _checked(steps)
        manual = any(isinstance(step, RawAnswer) for step in checked)
        for number, step in enumerate(checked, 1):
            known = isinstance(step, _PLAIN_STEPS) or (manual and isinstance(step, Raw))
            if not known or (isinstance(step, Ending) and step.kind not in _PLAIN_ENDINGS):
                raise StepError(number, f" makes no sense in a plain run: {step!r}")
        if sum(isinstance(step, Chunk | Error | Status | RawAnswer) for step in checked) > 1:
            raise TypeError("a plain run has one answer: a value, an error or a status")
        if not checked or isinstance(checked[-1], Pause):
            raise TypeError("a plain run needs an answer or an ending as its last step")
        return cls(steps=checked, writes=named_writes(writes), **options)


def _checked(items: tuple[Any, ...]) -> tuple[Step, ...]:
    steps = tuple(_step(item, number) for number, item in enumerate(items, 1))
    _check_order(steps)
    return steps


def _step(item: Any, number: int) -> Step:
    step = item if isinstance(item, Step) else Chunk(item)
    if isinstance(step, Chunk):
        try:
            json.dumps(step.content)
        except (TypeError, ValueError, RecursionError) as exc:
            raise StepError(number, f" is neither a step nor text nor a JSON value ({exc})") from exc
    return step


def _check_order(steps: tuple[Step, ...]) -> None:
    last = len(steps)
    manual = False
    for number, step in enumerate(steps, 1):
        if isinstance(step, Ending | Status) and number < last:
            raise StepError(number, f", {step!r}, must be the last one")
        if isinstance(step, Status | RawAnswer | Head) and not _only_pauses(steps[: number - 1]):
            raise StepError(number, _TOO_LATE[type(step)])
        if manual and not isinstance(step, _MANUAL_STEPS):
            raise StepError(
                number, f", {step!r}, cannot follow a raw_answer: only pauses, raw and an ending can"
            )
        manual |= isinstance(step, RawAnswer)


_TOO_LATE: dict[type, str] = {
    Status: ": a status refuses a run before it starts: only delays and gates may come first",
    RawAnswer: ": a raw_answer is all of an answer: only delays and gates may come first",
    Head: ": a head begins the answer: only delays and gates may come first",
}


def _only_pauses(steps: tuple[Step, ...]) -> bool:
    return all(isinstance(step, Pause) for step in steps)


def _check_word(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}= is one of {', '.join(known)}, not {value!r}")
