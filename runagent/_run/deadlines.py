"""The limits of a run's time: how long each wait may take, and which limit was met."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from runagent._errors import Phase, RunTimeoutError, StreamTimeoutError

if TYPE_CHECKING:
    from runagent._config.timeouts import Timeouts

__all__ = ["Deadlines"]

_NEVER = float("inf")
_WHAT: dict[Phase, str] = {
    "connect": "no connection",
    "first_event": "nothing from the agent",
    "idle": "nothing more from the agent",
    "progress": "nothing but heartbeats from the agent",
    "total": "the run was not over",
}


class Deadlines:
    """The limits of one run.

    ``total`` is a moment. The others are budgets that run down only while the client waits for
    the network or reads bytes that hold no event: ``first_event`` until the first event of an attempt,
    then ``idle`` between bytes and ``progress`` between events. They hold as well if the peer never pauses.

    A limit that was met by silence gives one more attempt as much time again, for its connection and its
    first event together. A new chunk renews that allowance.

    Attributes:
        total: The moment when the run has to be over.
        patience: How long the next read may take, in seconds, as far as the budgets go.
        steady: The last read brought an event: another one that does changes nothing here.
        overdue: The read that began last is the last one that ``total`` allows.
    """

    def __init__(self, timeouts: Timeouts, now: float) -> None:
        self._timeouts = timeouts
        self.total = _NEVER if timeouts.total is None else now + timeouts.total
        self._idle_limit = _NEVER if timeouts.idle is None else timeouts.idle
        self._progress_limit = _NEVER if timeouts.progress is None else timeouts.progress
        self._connect_limit = _NEVER if timeouts.connect is None else timeouts.connect
        self._connected = self._begun = self._hurried = self.steady = self.overdue = False
        self._first = self._idle = self._progress = self.patience = _NEVER
        self._allowance = _NEVER  # what is left of the time that followed a silence
        self._silence: Phase | None = None  # the limit that was met by it

    def begin_attempt(self) -> None:
        """Begin an attempt: what its connection and the answer to it may take."""
        limit = self._timeouts.first_event
        self._first = _NEVER if limit is None else limit
        self._connected = self._begun = self._hurried = self.steady = self.overdue = False
        self._measure()

    def connect(self, now: float) -> float:
        """Return the deadline of a connection: an attempt's first one, or the next one that it needs."""
        first = self._first if self._connected else _NEVER
        return min(self.total, now + min(self._connect_limit, first, self._allowance))

    def connected(self, waited: float) -> None:
        """Begin to wait for an answer, or go on over another connection, after so many seconds."""
        if self._connected:
            self._first -= waited
        self._connected = True
        self._allowance -= waited
        self._measure()

    @property
    def may_follow_silence(self) -> bool:
        """Whether there may be one more attempt after a silence: none since the last new chunk."""
        return self._silence is None

    def follow_silence(self, phase: Phase) -> None:
        """Give the attempts that follow as much time, in all, as the limit that was met."""
        limit = self.limit(phase)
        self._silence, self._allowance = phase, _NEVER if limit is None else limit

    def renew(self) -> None:
        """Forget a silence: there is a new chunk."""
        self._silence, self._allowance = None, _NEVER

    def hurry(self) -> None:
        """Have this attempt's reads take what is there, and wait for nothing."""
        self._hurried, self.steady = True, False
        self._measure()

    def read(self, now: float) -> float:
        """Return the deadline of a read that begins now."""
        if now + self.patience < self.total:
            return now + self.patience
        if now >= self.total:
            self.steady, self.overdue = False, True
        return self.total

    def received(self, waited: float, *, events: bool) -> None:
        """Note that bytes came, and whether an event was in them."""
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
        """Whether a read that brought bytes without an event was the last one that the limits allow."""
        return self.patience <= 0 and not self._hurried

    def waited(self, seconds: float) -> None:
        """Note a wait that its caller gave up before anything came."""
        self._allowance -= seconds
        self._first -= seconds
        self._idle -= seconds
        self._progress -= seconds
        self.steady = False
        self._measure()

    def _measure(self) -> None:
        if self._hurried:
            self.patience = 0.0
        else:
            first = min(self._first, self._allowance)
            self.patience = min(self._idle, self._progress) if self._begun else first

    def phase(self, now: float, *, connected: bool = True) -> Phase:
        """Return which limit was met: by a read, or before that by connecting."""
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
        """Return the seconds that a phase may take."""
        limit: float | None = getattr(self._timeouts, phase)
        return limit

    def error(self, phase: Phase, *, begun: bool) -> RunTimeoutError:
        """Make the error for a limit that ran out; ``begun`` tells of an earlier attempt's chunks."""
        seconds = self.limit(phase)
        text = (
            f"{_WHAT[phase]} within {seconds:g} s;"
            f" raise timeout= (or Timeouts({phase}=...)) if the agent needs longer"
        )
        kind = StreamTimeoutError if begun or self._begun else RunTimeoutError
        return kind(text, phase=phase, code="TIMEOUT")
