"""Until when a pump moves bytes while there are no events: what `next_batch` takes as ``until``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runagent._run.spec import Action

if TYPE_CHECKING:
    from runagent._run.state import RunState

__all__ = ["ACCEPTED", "CONNECTED", "Patience", "Until"]


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


class Patience:
    """So many seconds without events, counted from the first step after each time that it is renewed.

    The run's own limits go on. That first step is always made, so that no seconds at all still poll.

    Attributes:
        seconds: How many; those that are set take effect when it is renewed.
        renewed: Set to count from the next step on.
    """

    __slots__ = ("_end", "renewed", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.renewed = True
        self._end = 0.0

    def renew(self, seconds: float) -> Patience:
        """Renew it with so many seconds, and return it."""
        self.seconds, self.renewed = seconds, True
        return self

    def end(self, now: float) -> float:
        """Return the moment at which it is over."""
        if self.renewed:
            self.renewed = False
            self._end = now + self.seconds
        return self._end

    def reached(self, run: RunState, now: float) -> bool:
        if self.renewed:
            self.renewed = False
            self._end = now + self.seconds
        elif now >= self._end:
            return run.action is not Action.END  # which is at hand
        run.cap(self._end)
        return False


CONNECTED, ACCEPTED = _Connected(), _Accepted()
