"""Until when a pump moves bytes while there are no events: what `next_batch` takes as ``until``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runagent._run.spec import Action

if TYPE_CHECKING:
    from runagent._run.state import RunState

__all__ = ["ACCEPTED", "CONNECTED", "Moment", "Until"]


class Until(Protocol):
    """A condition that makes a pump return without events."""

    def reached(self, run: RunState, now: float) -> bool:
        """Whether the pump returns now; asked before each of its steps."""


class _Connected:
    """The request is on its way."""

    def reached(self, run: RunState, now: float) -> bool:
        return run.action is Action.READ


class _Accepted:
    """The service has accepted the run."""

    def reached(self, run: RunState, now: float) -> bool:
        return run.notes.accepted


class Moment:
    """A moment of the network's clock, which the wait of one call ends at; the run's own limits go on.

    The first step is always made, so that a moment which has passed already polls.
    """

    def __init__(self, end: float) -> None:
        self.end = end
        self._polled = False

    def reached(self, run: RunState, now: float) -> bool:
        if run.action is Action.END:  # which is at hand
            return False
        run.cap(self.end)
        if self._polled:
            return now >= self.end
        self._polled = True
        return False


CONNECTED, ACCEPTED = _Connected(), _Accepted()
