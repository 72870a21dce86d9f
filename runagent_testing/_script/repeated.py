"""The steps of a script with a long repetition, one by one. No I/O."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from runagent_testing._script.computed import END
from runagent_testing._script.repetition import Repeat
from runagent_testing._script.unrolling import unrolled

if TYPE_CHECKING:
    from runagent_testing._script.steps import Step

__all__ = ["Repetition"]

_TURN = 32  # steps after which others have their turn


class Repetition:
    """A `runagent_testing._script.computed.Source`: the steps of a script, one by one.

    Attributes:
        is_endless: Whether the endless part, which a client may leave at any time, has begun.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        last = steps[-1]
        endless = isinstance(last, Repeat) and last.times is None
        self._first = unrolled(steps[:-1] if endless else steps)
        self._then = unrolled(steps[-1:]) if endless else iter(())
        self._taken = 0
        self.is_endless = False

    def next_now(self) -> Any:
        """See `runagent_testing._script.computed.Source`."""
        self._taken += 1
        if (step := next(self._first, END)) is not END:
            return step
        step = next(self._then, END)
        self.is_endless = step is not END
        return step

    async def next(self) -> Any:
        """See `runagent_testing._script.computed.Source`."""
        if not self._taken % _TURN:
            await asyncio.sleep(0)
        return self.next_now()

    def close(self) -> None:
        """See `runagent_testing._script.computed.Source`."""
        self._first = self._then = iter(())

    @property
    def has_ended(self) -> bool:
        """See `runagent_testing._script.computed.Source`."""
        return self.is_endless
