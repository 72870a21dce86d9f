"""The time limits of a run: how long each wait may take, and which limit has passed."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from runagent._errors import Phase, RunTimeoutError, StreamTimeoutError
from runagent._report import counted

if TYPE_CHECKING:
    from runagent._config.timeouts import Timeouts

__all__ = ["Deadlines"]

_NEVER = float("inf")
_WHAT: dict[Phase, str] = {
    "connect": "no connection",
    "first_event": "nothing from the agent",
    "idle": "nothing more from the agent",
    "progress": "no further event from the agent",
    "total": "the run was not over",
}
# What a number given as timeout= sets, and for a plain run; the other limits have to be named.
_SET_BY_NUMBER = frozenset({"connect", "first_event", "idle"})
_SET_BY_NUMBER_PLAIN = frozenset({"connect", "total"})


class Deadlines:
    """The time limits of one run.

    ``total`` is a moment. The others are budgets that are used up only while the client waits for the network
    or receives bytes without an event: ``first_event`` until the first event of an attempt, then ``idle``
    between bytes and ``progress`` between events. They also hold for a peer that never stops sending.

    If a budget is used up by silence, one more attempt gets the same time again, for its connection and its
    first event together. After a new chunk that is possible once more.

    For example, with an ``idle`` of 60 s, reads that each bring an event never time out, however long the
    reader of the stream takes between them. A read that brings nothing for 60 s times out.

    Attributes:
        total: The moment when the run has to be over.
        cap: The moment at which a read ends at the latest: ``total``, or when a reader wants no longer wait.
        patience: How many seconds the budgets allow for the next read.
        steady: The last read brought an event, so another read with an event changes nothing here.
        overdue: The latest read was the last one that ``total`` allows.
    """

    def __init__(self, timeouts: Timeouts, now: float, *, plain: bool = False) -> None:
        self._timeouts = timeouts
        self._plain = plain  # a run with one answer
        self.total = self.cap = _NEVER if timeouts.total is None else now + timeouts.total
        self._idle_limit = _NEVER if timeouts.idle is None else timeouts.idle
        self._progress_limit = _NEVER if timeouts.progress is None else timeouts.progress
        self._connect_limit = _NEVER if timeouts.connect is None else timeouts.connect
        self._connected = self._begun = self._hurried = self.steady = self.overdue = False
        self._first = self._idle = self._progress = self.patience = _NEVER
        self._allowance = _NEVER  # the time left for attempts that follow a silence
        self._silence: Phase | None = None  # the limit that the silence exceeded

    def begin_attempt(self) -> None:
        """Begin an attempt, with new budgets for its connection and the answer."""
        limit = self._timeouts.first_event
        self._first = _NEVER if limit is None else limit
        self._connected = self._begun = self._hurried = self.steady = self.overdue = False
        self._measure()

    def connect(self, now: float) -> float:
        """Return the deadline for connecting, also for a further connection of the same attempt."""
        first = self._first if self._connected else _NEVER
        return min(self.total, now + min(self._connect_limit, first, self._allowance))

    def connected(self, waited: float) -> None:
        """Note that connecting took so many seconds, for the first or a further connection."""
        if self._connected:
            self._first -= waited
        self._connected = True
        self._allowance -= waited
        self._measure()

    @property
    def may_follow_silence(self) -> bool:
        """Whether one more attempt may follow a silence: none has since the last new chunk."""
        return self._silence is None

    def follow_silence(self, phase: Phase) -> None:
        """Give the further attempts together as much time as the limit that was exceeded."""
        limit = self.limit(phase)
        self._silence, self._allowance = phase, _NEVER if limit is None else limit

    def renew(self) -> None:
        """Forget a silence, as a new chunk has come."""
        self._silence, self._allowance = None, _NEVER
        if self._begun:
            self._idle = self._idle_limit
        self._measure()

    @property
    def own_end(self) -> float:
        """The moment until which the reader of the moment wants to wait; infinite without one."""
        return self.cap if self.cap < self.total else _NEVER

    def hurry(self) -> None:
        """Let the further reads of this attempt return what has arrived, without a wait."""
        self._hurried, self.steady = True, False
        self._measure()

    def read(self, now: float) -> float:
        """Return the deadline of a read that begins now."""
        end = now + self.patience
        if end < self.cap:
            return end
        if now >= self.total:
            self.steady, self.overdue = False, True
        return self.cap

    def send(self, now: float) -> float:
        """Return the deadline of a send that begins now."""
        return min(self.total, now + self.patience)

    def was_capped(self, start: float) -> bool:
        """Whether it was the reader's own moment that ended a read which began at ``start``."""
        return self.cap < min(self.total, start + self.patience)

    def received(self, waited: float, *, events: bool) -> None:
        """Note that a read brought bytes, and whether they held an event."""
        self._allowance -= waited
        self._idle = self._idle_limit
        if events and not self._begun:
            self._begun = True
            self._idle = min(self._idle_limit, self._allowance)
        if events:
            self._progress = self._progress_limit
        elif self._begun:
            self._progress -= waited
        else:
            self._first -= waited
        self.steady = events
        self._measure()

    @property
    def spent(self) -> bool:
        """Whether the budgets are used up, after a read that brought bytes without an event."""
        return self.patience <= 0 and not self._hurried

    def waited(self, seconds: float) -> None:
        """Note a wait that ended without any bytes."""
        self._allowance -= seconds
        self._first -= seconds
        self._idle -= seconds
        self._progress -= seconds
        self.steady = False
        self._measure()

    def _measure(self) -> None:
        one, other = (self._idle, self._progress) if self._begun else (self._first, self._allowance)
        self.patience = 0.0 if self._hurried else min(other, one)

    def phase(self, now: float, *, connected: bool = True) -> Phase:
        """Return which limit was exceeded: by a read, or by connecting."""
        if now >= self.total:
            return "total"
        if self._begun:
            return "idle" if self._idle <= self._progress else "progress"
        limits: list[tuple[float, Phase]] = []
        if self._silence is not None:
            limits.append((self._allowance, self._silence))
        if connected or self._connected:
            limits.append((self._first, "first_event"))
        if not connected:
            limits.append((self._connect_limit, "connect"))
        return min(limits, key=itemgetter(0))[1]

    def limit(self, phase: Phase) -> float | None:
        """Return how many seconds a phase may take, or None without a limit."""
        limit: float | None = getattr(self._timeouts, phase)
        return limit

    def error(self, phase: Phase, *, chunks: int) -> RunTimeoutError:
        """Make the error for an exceeded limit, after so many chunks of all attempts."""
        came = "" if self._plain else f", {counted(chunks, 'chunk') if chunks else 'no chunk'} had come"
        by_number = phase in (_SET_BY_NUMBER_PLAIN if self._plain else _SET_BY_NUMBER)
        argument = f"timeout= or Timeouts({phase}=...)" if by_number else f"Timeouts({phase}=...)"
        kind = StreamTimeoutError if chunks or self._begun else RunTimeoutError
        return kind(
            f"{_WHAT[phase]} within {self.limit(phase):g} s: limit {phase!r}{came}",
            hint=f"raise {argument} if the agent needs longer",
            phase=phase,
            code="TIMEOUT",
        )
