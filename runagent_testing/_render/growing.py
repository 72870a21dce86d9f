"""Plans that are rendered while they are played. No I/O."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._render.plan import Plan, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runagent_testing._render.plan import End, Move

__all__ = ["GrowingPlan"]

__tracebackhide__ = is_ours


class GrowingPlan:
    """A plan that is rendered while it is played, so that its first bytes need not wait for later steps.

    Several runs may play it at once, and any thread may read it.

    Args:
        parts: The moves, in order.
        end: As of a `Plan`.

    Attributes:
        known: The moves rendered so far.
        is_whole: Whether these are all.
        rest: As of every plan: no function makes more moves.
        optional_from: As of every plan.
    """

    rest = None
    optional_from = math.inf

    def __init__(self, parts: Iterator[list[Move]], end: End) -> None:
        self.end = end
        self._parts = parts
        self.known: list[Move] = []
        self.is_whole = False
        self._failure: Exception | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Plan, (tuple(self.moves), self.end)

    def __iter__(self) -> Iterator[Move]:
        for at in itertools.count():
            if (move := self.after(at)) is None:
                return
            yield move

    @property
    def moves(self) -> Sequence[Move]:
        """All moves, up to one that cannot be rendered; renders those that no run has reached yet."""
        with contextlib.suppress(Exception):  # a dialect's, which the run that reaches it has for its failure
            while self._grow(len(self.known)):
                pass
        return self.known

    @property
    def data(self) -> bytes:
        """All bytes."""
        return bytes_of(self.moves)

    def after(self, count: int) -> Move | None:
        """Return the move after the first ``count``, rendering it if necessary; None at the end."""
        while count >= len(self.known):
            if not self._grow(count):
                return None
        return self.known[count]

    def _grow(self, size: int) -> bool:
        """Render the next part, unless another thread has done so; False if there is none."""
        with self._lock:  # held for one part only, as the server's thread may wait for it
            if size >= len(self.known) and not self.is_whole:
                self._render()
        return not self.is_whole or size < len(self.known)

    def _render(self) -> None:
        if self._failure is not None:  # a generator that has raised would look as if it had ended normally
            raise self._failure
        try:
            part = next(self._parts, None)
        except Exception as exc:
            self._failure = exc
            raise
        self.known += part or []
        self.is_whole = part is None
