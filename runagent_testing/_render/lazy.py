"""Answers whose steps a generator makes one by one, so that they may be endless. No I/O."""

from __future__ import annotations

import copy
import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from runagent_testing._render.plan import Plan, Wait, Write
from runagent_testing._render.stream import Unrolling
from runagent_testing._script.computed import END
from runagent_testing._script.describe import described
from runagent_testing._script.gates import Gate
from runagent_testing._script.repeated import Repetition
from runagent_testing._script.repetition import Repeat
from runagent_testing._script.steps import Chunk, Delay, Ending, Error, Head, RawResponse, Status
from runagent_testing._script.validation import StepError, checked_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._render.plan import End, Move
    from runagent_testing._script.computed import Source
    from runagent_testing._script.script import Script
    from runagent_testing._script.steps import Step
    from runagent_testing.dialects import DialectRun

__all__ = ["Kept", "LazyPlan", "Progress"]

T = TypeVar("T")

_KEPT = 1000  # of the first items, and of the last ones
_SILENT = 100_000  # steps in a row from which no bytes come


class Kept(Sequence[T]):
    """A long sequence that keeps only its first and last items.

    Args:
        gap: Returned for each of the other items.
    """

    def __init__(self, gap: T) -> None:
        self._first: list[T] = []
        self._last: deque[T] = deque(maxlen=_KEPT)
        self._gap = gap
        self._count = 0

    def __getstate__(self) -> dict[str, Any]:
        # Another thread may append meanwhile.
        return self.__dict__ | {"_first": list(self._first), "_last": deque(list(self._last), maxlen=_KEPT)}

    def append(self, item: T) -> None:
        """Add an item."""
        (self._first if self._count < _KEPT else self._last).append(item)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        first, last = list(self._first), list(self._last)
        return itertools.chain(first, itertools.repeat(self._gap, self._count - len(first) - len(last)), last)

    def items(self) -> Iterator[tuple[int, T]]:
        """Yield the items that are kept, with their places."""
        first, last = list(self._first), list(self._last)
        yield from enumerate(first)
        yield from enumerate(last, self._count - len(last))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return list(itertools.islice(self, *index.indices(self._count)))
        at = range(self._count)[index]
        if at < len(self._first):
            return self._first[at]
        back = at - self._count
        return self._last[back] if -back <= len(self._last) else self._gap


class Progress(Protocol):
    """Records the progress of a plan that is made while it is played."""

    def note_progress(self) -> None:
        """Note another step."""

    def note_failure(self, exc: Exception, function: str) -> str:
        """Note the error of the test's function, and return it without secrets."""


class LazyPlan:
    """A plan that is computed while it is played.

    Args:
        script: The properties of the answer.
        name: The name of the function that makes the steps, for messages.
        first: Its first step, or `END`.
        source: Makes the other steps.
        run: The run that it answers.
        progress: Records new steps and failures.

    Raises:
        StepError: The first step is invalid.
        ValueError: The answer needs all steps at once.

    Attributes:
        known: The moves so far.
        steps: The steps so far.
        end: The end; None until it is known.
        is_whole: Whether no more moves follow.
        optional_from: As of every plan.
    """

    def __init__(
        self, script: Script, name: str, first: Any, source: Source, run: DialectRun, progress: Progress
    ) -> None:
        if script.framing == "length":
            raise ValueError("framing='length' needs all steps at once: have responds() return a list")
        self.known: Kept[Move] = Kept(Wait(0.0))
        self.steps: Kept[Step] = Kept(Chunk("(no longer known)"))
        self.end: End | None = None
        self.is_whole = False
        self.optional_from = math.inf
        self._name = name
        self._source = source
        self._stream = Unrolling(replace(script, steps=()), run)
        self._progress = progress
        self._chunks_before = self._chunks = 0
        self._silent = 0
        self._ready = self._take(first)

    @property
    def moves(self) -> Sequence[Move]:
        """The moves so far."""
        return self.known

    @property
    def data(self) -> bytes:
        """The bytes so far."""
        return b"".join(move.data for move in self.known if isinstance(move, Write))

    def after(self, count: int) -> Move | None:
        """Return the move after the first ``count``, or None if it is not known."""
        return self.known[count] if count < len(self.known) else None

    def has_sent(self, what: int | Step, moves_done: int) -> bool:
        """Whether a number of chunks have been sent, or the agent has reached a step."""
        # A step is requested once everything before it has been sent.
        all_done = moves_done >= len(self.known)
        if isinstance(what, int):
            return what <= (self._chunks if all_done else self._chunks_before)
        last = self.steps[-1] if self.steps else None
        if what is last:
            return all_done or isinstance(what, Delay | Gate)
        return any(step is what for step in self.steps)

    def __iter__(self) -> Iterator[Move]:
        """Make the moves in this thread."""
        yield from self._ready
        while not self.is_whole:
            try:
                moves = self._take(self._source.next_now())
            except Exception as exc:  # noqa: BLE001 - the test's generator may raise anything
                moves = self._fail(exc)
            yield from moves

    async def more(self) -> list[Move]:
        """Return the next moves, made without blocking the event loop; none at the end."""
        moves, self._ready = self._ready, []
        while not self.is_whole and not moves:
            try:
                moves = self._take(await self._source.next())
            except Exception as exc:  # noqa: BLE001 - the test's generator may raise anything
                moves = self._fail(exc)
        return moves

    @property
    def rest(self) -> str | None:
        """The name of the function, if more steps may follow as far as is known."""
        is_over = self.is_whole or self.is_answered or self._source.has_ended
        return None if is_over else self._name

    def __reduce__(self) -> tuple[Any, ...]:
        return Plan, (copy.copy(self.known), self.end, self.rest, self.optional_from)

    @property
    def is_answered(self) -> bool:
        """Whether the end has been made, so that a client need not wait for more."""
        return self._stream.has_end

    def close(self) -> None:
        """Make no more steps."""
        self._source.close()

    def _take(self, item: Any) -> list[Move]:
        if item is END:
            return self._over(self._note(self._stream.finish()))
        number = len(self.steps) + 1
        if isinstance(self._source, Repetition):
            if self._source.is_endless:
                self.optional_from = min(self.optional_from, number - 1)
            return self._feed(item)
        if isinstance(item, Repeat):
            raise StepError(number, ", repeat(...), is for scripts: a generator has loops")
        try:
            (step,) = checked_steps((item,))
        except StepError as exc:
            raise exc.at(number) from None
        if number > 1 and isinstance(step, Status | RawResponse | Head):
            raise StepError(number, f", {described(step)}, can only be the first one of a generator")
        if isinstance(step, Ending) and step.kind == "close-delimited-cut":
            raise StepError(number, " comes too late: give framing='close' and ending('cut')")
        return self._feed(step)

    def _feed(self, step: Step) -> list[Move]:
        self.steps.append(step)
        self._progress.note_progress()
        self._chunks_before = self._chunks
        moves = self._note(self._stream.feed(step))
        self._chunks += isinstance(step, Chunk)
        self._silent = 0 if any(isinstance(move, Write) for move in moves) else self._silent + 1
        if self._silent > _SILENT:
            raise RuntimeError(f"{_SILENT} steps in a row wrote nothing")
        if isinstance(step, Ending) or self._stream.is_over:
            return self._over(moves)
        return moves

    def _fail(self, exc: Exception) -> list[Move]:
        """End with the error of the test's function, if the answer's format can express one."""
        fault = self._progress.note_failure(exc, "" if isinstance(exc, TimeoutError) else self._name)
        self._silent = 0
        moves = self._feed(Error("SCRIPT_FAILED", fault))
        return moves if self.is_whole else self._over(moves + self._note(self._stream.finish()))

    def _over(self, moves: list[Move]) -> list[Move]:
        if not self.is_whole and self._stream.end is not None:
            self.end = self._stream.end
        self.is_whole = True
        self._source.close()
        return moves

    def _note(self, moves: list[Move]) -> list[Move]:
        for move in moves:
            self.known.append(move)
        return moves
