"""Answers whose steps a generator gives one by one, so that they may have no end. No I/O."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from runagent_testing._render.plan import Wait, Write
from runagent_testing._render.stream import Unrolling
from runagent_testing._script.computed import END
from runagent_testing._script.describe import described
from runagent_testing._script.steps import Chunk, Delay, Ending, Error, Gate, Head, RawResponse, Status
from runagent_testing._script.validation import StepError, checked_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._render.plan import End, Move
    from runagent_testing._script.computed import Computed, Source
    from runagent_testing._script.steps import Step
    from runagent_testing.dialects import DialectRun

__all__ = ["Kept", "LazyPlan", "Progress"]

T = TypeVar("T")

_KEPT = 1000  # of the first, and of the last
_SILENT = 100_000  # steps in a row of which nothing is written


class Kept(Sequence[T]):
    """A long row, of which only the first and last items are kept.

    Args:
        gap: Stands for each of the others.
    """

    def __init__(self, gap: T) -> None:
        self._first: list[T] = []
        self._last: deque[T] = deque(maxlen=_KEPT)
        self._gap = gap
        self._count = 0

    def append(self, item: T) -> None:
        """Add one."""
        (self._first if self._count < _KEPT else self._last).append(item)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        first, last = list(self._first), list(self._last)
        return itertools.chain(first, itertools.repeat(self._gap, self._count - len(first) - len(last)), last)

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
    """Where is noted how a plan comes on that is made while it is played."""

    def note_progress(self) -> None:
        """Note another step."""

    def note_failure(self, exc: Exception, function: str) -> str:
        """Note what the test's function has raised, and return it without secrets."""


class LazyPlan:
    """A plan that nobody knows before it is played.

    Args:
        computed: What makes it.
        first: Its first step, or `END`.
        source: Gives the others.
        run: The request that it answers.
        progress: Where it is noted how it comes on, and if something goes wrong.

    Raises:
        StepError: The first step is none.
        ValueError: It cannot be made step by step.

    Attributes:
        known: Its moves so far.
        steps: Its steps so far.
        end: How it ends; None until that is known.
        is_whole: Whether there are no more.
    """

    def __init__(
        self, computed: Computed, first: Any, source: Source, run: DialectRun, progress: Progress
    ) -> None:
        if computed.script.framing == "length":
            raise ValueError("framing='length' needs all steps at once: have responds() return a list")
        self.known: Kept[Move] = Kept(Wait(0.0))
        self.steps: Kept[Step] = Kept(Chunk("(no longer known)"))
        self.end: End | None = None
        self.is_whole = False
        self.computed = computed
        self._source = source
        self._stream = Unrolling(computed.script, run)
        self._progress = progress
        self._chunks_before = self._chunks = 0
        self._silent = 0
        self._ready = self._take(first)

    @property
    def moves(self) -> Sequence[Move]:
        """Its moves so far."""
        return self.known

    @property
    def data(self) -> bytes:
        """Its bytes so far."""
        return b"".join(move.data for move in self.known if isinstance(move, Write))

    def after(self, count: int) -> Move | None:
        """Return the move that follows so many, if it is known."""
        return self.known[count] if count < len(self.known) else None

    def has_sent(self, what: int | Step, moves_done: int) -> bool:
        """Whether so many chunks have left, or the agent has come to a step."""
        # A step is asked for when all before it has left.
        all_done = moves_done >= len(self.known)
        if isinstance(what, int):
            return what <= (self._chunks if all_done else self._chunks_before)
        last = self.steps[-1] if self.steps else None
        if what is last:
            return all_done or isinstance(what, Delay | Gate)
        return any(step is what for step in self.steps)

    def __iter__(self) -> Iterator[Move]:
        """Make its moves in this thread."""
        yield from self._ready
        while not self.is_whole:
            try:
                moves = self._take(self._source.next_now())
            except Exception as exc:  # noqa: BLE001 - whatever the test's generator raises
                moves = self._fail(exc)
            yield from moves

    async def more(self) -> list[Move]:
        """Return its next moves, made apart from the loop; none at the end."""
        moves, self._ready = self._ready, []
        while not self.is_whole and not moves:
            try:
                moves = self._take(await self._source.next())
            except Exception as exc:  # noqa: BLE001 - whatever the test's generator raises
                moves = self._fail(exc)
        return moves

    @property
    def has_more(self) -> bool:
        """Whether its steps have not come to an end, as far as anybody knows."""
        return not (self.is_whole or self.is_answered or self._source.has_ended)

    @property
    def is_answered(self) -> bool:
        """Whether its end has been given, so that a client need not wait for more."""
        return self._stream.has_end

    def close(self) -> None:
        """Ask for no more steps."""
        self._source.close()

    def _take(self, item: Any) -> list[Move]:
        if item is END:
            return self._over(self._note(self._stream.finish()))
        number = len(self.steps) + 1
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
            raise RuntimeError(f"nothing was written of {_SILENT} steps in a row")
        if isinstance(step, Ending) or self._stream.is_over:
            return self._over(moves)
        return moves

    def _fail(self, exc: Exception) -> list[Move]:
        """Say what went wrong in the test's own function, as far as the answer's format has a word for it."""
        fault = self._progress.note_failure(exc, "" if isinstance(exc, TimeoutError) else self.computed.name)
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
