"""Decisions without I/O: how long to wait for what, whether to try again, and from where to go on."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Literal

import msgspec

from runagent._call import ResumePoint
from runagent._errors import (
    AgentServerError,
    NetworkError,
    Phase,
    RateLimitError,
    RunAgentError,
    RunTimeoutError,
    StreamTimeoutError,
    StreamTruncatedError,
)

if TYPE_CHECKING:
    from runagent._config.timeouts import Timeouts

__all__ = ["Deadlines", "RetryPolicy"]

_NEVER = float("inf")
# Failures to connect that may pass by themselves; a bad certificate or an unknown host name does not.
_PASSING = frozenset({"DNS_TEMPORARY", "NETWORK", "PROXY_502", "PROXY_503", "PROXY_504", "REFUSED", "RESET"})
_GATEWAY_ERRORS = frozenset({500, 502, 504})
_FIRST_RESUME_SECONDS = 0.1


class RetryPolicy(msgspec.Struct, frozen=True):
    """What is tried again, and after how long.

    Attributes:
        max_retries: Failed attempts in a row that are tried again; a new chunk begins a new row.
        max_resumes: How often one run goes on after its first chunk, whether it gets further or not.
        delay: Upper bound of the first wait, in seconds.
        backoff: Factor from one wait's bound to the next.
        max_wait: No wait is longer; a ``Retry-After`` above it is raised instead.
        unsafe: Also try again what the agent may have begun.
        resume: Go on with a broken stream where the agent can prove the place; ``trust`` takes its word.
    """

    max_retries: int = 3
    max_resumes: int = 10
    delay: float = 1.0
    backoff: float = 2.0
    max_wait: float = 60.0
    unsafe: bool = False
    resume: bool | Literal["trust"] = True

    def may_retry(self, error: RunAgentError, *, connected: bool) -> bool:
        """Whether a run that failed before its first event may be tried again.

        By itself that is so only where the agent cannot have begun it.

        Args:
            error: How it failed.
            connected: The request has been sent, or at least its beginning.
        """
        if isinstance(error, RateLimitError):
            return True
        if isinstance(error, AgentServerError):
            return error.status == 503 or (self.unsafe and error.status in _GATEWAY_ERRORS)
        if isinstance(error, NetworkError) and not connected:
            return error.code in _PASSING
        return self.unsafe and isinstance(error, StreamTruncatedError | NetworkError)

    def holds_back(self, error: RunAgentError, *, connected: bool) -> bool:
        """Whether a broken run that nobody has answered would be tried again, were it not for ``unsafe``."""
        broke = connected and isinstance(error, StreamTruncatedError | NetworkError)
        return broke and not self.unsafe and self.max_retries > 0

    def resume_from(
        self, error: RunAgentError, point: ResumePoint | None, *, may_retry: bool
    ) -> ResumePoint | None:
        """Return where a stream that broke after its first chunk can go on, or None where nothing proves it.

        Args:
            error: How it broke, or how the attempt to resume it failed.
            point: The place that the last chunk leads to.
            may_retry: What `may_retry` says of the error.
        """
        broken = isinstance(error, StreamTruncatedError | StreamTimeoutError | NetworkError) or may_retry
        if not self.resume or point is None or not broken:
            return None
        if isinstance(error, StreamTimeoutError) and error.phase == "total":
            return None
        if self.resume == "trust":
            return ResumePoint(point.next_index, point.last_event_id, trusted=True)
        return None if point.next_index is None else point

    def wait(
        self, failures: int, error: RunAgentError, suggested: float | None, *, resumes: int = 0
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None if there is to be none.

        The wait is uniformly random between zero and a bound that grows by ``backoff`` (full jitter), so
        that clients which failed together do not come back together. Before a resumption there is a floor
        that doubles each time: neither progress nor what the peer asks for makes a loop of it.

        Args:
            failures: Failed attempts in a row, the last one included.
            error: How the last one failed; its ``retry_after`` is kept to.
            suggested: What the stream itself asked for (SSE ``retry:``), the bound of the first wait.
            resumes: How many resumptions of the run the next attempt makes; 0 before its first chunk.
        """
        if failures > self.max_retries or resumes > self.max_resumes:
            return None
        floor = min(self.max_wait, _FIRST_RESUME_SECONDS * 2.0 ** min(resumes - 1, 60)) if resumes else 0.0
        retry_after: float | None = getattr(error, "retry_after", None)
        if retry_after is not None:
            return max(floor, retry_after) if retry_after <= self.max_wait else None
        import random  # only a run that fails needs it

        first = self.delay if suggested is None else suggested
        try:
            bound = first * self.backoff ** (failures - 1)
        except OverflowError:  # after a thousand failures or so
            bound = self.max_wait if first else 0.0
        return max(floor, random.uniform(0, min(self.max_wait, bound)))


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


_WHAT: dict[Phase, str] = {
    "connect": "no connection",
    "first_event": "nothing from the agent",
    "idle": "nothing more from the agent",
    "progress": "nothing but heartbeats from the agent",
    "total": "the run was not over",
}
