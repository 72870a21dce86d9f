"""One request with its answer, as a test sees it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.public import publish
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._journal.asdict import as_dict
from runagent_testing._journal.record import Record, numbers_of
from runagent_testing._journal.timeline import timeline
from runagent_testing._journal.transcript import transcript, transcripts
from runagent_testing._render.lazy import LazyPlan
from runagent_testing._render.plan import Pass, Wait
from runagent_testing._script.steps import Chunk, Step

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from runagent_testing._render.plan import AnyPlan

__all__ = ["Exchange"]

__tracebackhide__ = is_ours

_PATIENCE = 5.0  # seconds


class Exchange(Record):
    """One request that an agent received, with its answer; `Record` lists the attributes.

    The methods that wait block their thread. On a memory network, where the agent runs in the client's
    thread or event loop, nothing happens meanwhile: read the attributes there instead.
    """

    __slots__ = ()

    def timeline(self) -> str:
        """Show the scripted steps next to the writes, and the outcome."""
        return timeline(self, self.secrets)

    def as_dict(self) -> dict[str, Any]:
        """Return the exchange so far as a JSON value, with "<redacted>" for credentials.

        docs/testing.md lists the keys. The runs of an endless generator have only those steps and writes
        that are kept.
        """
        return as_dict(self, self.secrets)

    def transcript(self, headers: Collection[str] = ()) -> str:
        """Return the request and what was played of its answer as text for snapshots.

        It is the same in every run of a test that asks and answers the same: without times, ids, ports and
        writes, without most header fields, with "<redacted>" for credentials. It waits until the agent has
        sent everything that is due. What the client does to the connection is not in it.

        Args:
            headers: Names of header fields to show in addition to the usual ones, which are ``accept``,
                ``authorization``, ``content-type``, ``last-event-id``, ``x-api-key`` and ``x-goog-api-key``.
        """
        return transcript(self.transcript_dict(headers))

    def transcript_dict(self, headers: Collection[str] = ()) -> dict[str, Any]:
        """Return the same as a JSON value.

        Args:
            headers: See `transcript`.
        """
        return transcripts([self], self.secrets, headers)[0]

    def wait_sent(self, target: int | Step, timeout: float = _PATIENCE) -> bool:
        """Wait until a number of chunks have been sent, or until the agent has reached a step.

        Args:
            target: A number of chunks, or a step of the script, the same object: the step has been sent
                completely or, if it is a gate or delay, everything before it has been sent.
            timeout: In seconds.

        Returns:
            False if this did not happen within the time, or can no longer happen.

        Raises:
            TypeError: ``target`` is neither a number nor a step.
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
        """Wait until everything scripted was sent; False if it was not within ``timeout`` seconds."""
        self._wait(lambda: self.outcome != "running", timeout)
        return self.outcome == "done"

    def wait_disconnected(self, timeout: float = _PATIENCE) -> bool:
        """Wait until the client has disconnected or was given up, in the middle or after the answer.

        Returns:
            False if it has not disconnected within ``timeout`` seconds, or if before that the connection
            served another request, or the agent closed it.
        """
        self._wait(lambda: self._over or self.client != "still reading", timeout)
        return self.client != "still reading" or self.outcome == "client disconnected"


def _moves_until(target: int | Step, plan: AnyPlan, steps: Sequence[Step]) -> float:
    """Count the moves that have to be made before; infinite if the plan does not have the step or chunk."""
    last = {}  # the number of each step: the number of moves after which it is complete
    for count, move in enumerate(plan.moves, 1):
        before = isinstance(move, Wait | Pass)
        for number in numbers_of(move):
            last[number] = count - 1 if before else count
    if isinstance(target, int):
        chunks = [number for number in sorted(last) if isinstance(steps[number], Chunk)]
        return 0 if target < 1 else last[chunks[target - 1]] if target <= len(chunks) else math.inf
    found = next((number for number, step in enumerate(steps) if step is target), None)
    return math.inf if found is None else last.get(found, math.inf)


publish(Exchange)
