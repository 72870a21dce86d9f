"""What became of one request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runagent_testing._journal.record import Record, numbers_of
from runagent_testing._journal.timeline import timeline
from runagent_testing._render.lazy import LazyPlan
from runagent_testing._render.plan import Pass, Wait
from runagent_testing._script.steps import Chunk, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent_testing._render.plan import AnyPlan

__all__ = ["Exchange"]

_PATIENCE = 5.0  # seconds


class Exchange(Record):
    """One request that an agent received, and how its answer went; `Record` lists what is known of it.

    The methods that wait block their thread: on a memory network, where the agent runs in the client's
    own thread or loop, nothing happens meanwhile, so look at the attributes there.
    """

    __slots__ = ()

    def timeline(self) -> str:
        """Show what was scripted and what was sent side by side, and how it ended."""
        return timeline(self, self.secrets)

    def wait_sent(self, target: int | Step, timeout: float = _PATIENCE) -> bool:
        """Wait until so many chunks have been sent, or until the agent has come to a step.

        Args:
            target: A number of chunks, or a step of the script, the same object: of one that is
                written, all has left; at a gate or delay, everything before it has.
            timeout: In seconds.

        Returns:
            False if it has not come to that within the time, or never will.

        Raises:
            TypeError: It is neither.
        """
        if not isinstance(target, int | Step):
            raise TypeError(f"wait_sent() takes a number of chunks, or a step itself, not {target!r}")
        needed: float | None = None

        def reached() -> bool:
            nonlocal needed
            if isinstance(self.plan, LazyPlan):
                return self.plan.has_sent(target, self.moves_done)
            if needed is None and self.plan is not None:
                needed = _moves_until(target, self.plan, self.steps)
            return needed is not None and self.moves_done >= needed

        self._wait(lambda: reached() or self.outcome != "running", timeout)
        return reached()

    def wait_done(self, timeout: float = _PATIENCE) -> bool:
        """Wait until the answer was given as scripted; False if it was not within ``timeout`` seconds."""
        self._wait(lambda: self.outcome != "running", timeout)
        return self.outcome == "done"

    def wait_disconnected(self, timeout: float = _PATIENCE) -> bool:
        """Wait until the client left, or was given up: early, or where the script lets it leave last.

        Returns:
            False if it has not within ``timeout`` seconds, or the connection has been put to another
            use, or the agent has ended it.
        """
        self._wait(lambda: self._over or self.client != "still reading", timeout)
        return self.client != "still reading" or self.outcome == "client disconnected"


def _moves_until(target: int | Step, plan: AnyPlan, steps: Sequence[Step]) -> float:
    """Count the moves that have to be made first; infinite if the plan does not hold it."""
    last = {}  # number of a step to the number of moves after which it is all over
    for count, move in enumerate(plan.moves, 1):
        before = isinstance(move, Wait | Pass)
        for number in numbers_of(move):
            last[number] = count - 1 if before else count
    if isinstance(target, int):
        chunks = [number for number in sorted(last) if isinstance(steps[number], Chunk)]
        return 0 if target < 1 else last[chunks[target - 1]] if target <= len(chunks) else math.inf
    found = next((number for number, step in enumerate(steps) if step is target), None)
    return math.inf if found is None else last.get(found, math.inf)
