"""Decisions without I/O: how long to wait for what, whether to try again, and from where to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from runagent.call import ResumePoint
from runagent.errors import (
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
    from runagent.config import Timeouts

__all__ = ["Deadlines", "RetryPolicy"]

_NEVER = float("inf")
# Failures to connect that may pass by themselves; a bad certificate or an unknown host name does not.
_PASSING = frozenset({"DNS_TEMPORARY", "NETWORK", "PROXY_502", "PROXY_503", "PROXY_504", "REFUSED", "RESET"})
_GATEWAY_ERRORS = frozenset({500, 502, 504})


class RetryPolicy(msgspec.Struct, frozen=True):
    """What is tried again, and after how long.

    Attributes:
        max_retries: Failed attempts in a row that are tried again; a chunk begins a new row.
        delay: Upper bound of the first wait, in seconds.
        backoff: Factor from one wait's bound to the next.
        max_wait: No wait is longer; a ``Retry-After`` above it is raised instead.
        unsafe: Also try again what the agent may have begun.
        resume: Go on with a broken stream where the agent can prove the place; ``trust`` takes its word.
    """

    max_retries: int = 3
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

    def wait(self, failures: int, error: RunAgentError, suggested: float | None) -> float | None:
        """Return the seconds to wait before the next attempt, or None where there is to be none.

        The wait is drawn evenly from zero to a bound that grows by ``backoff`` (full jitter), so that
        clients which failed together do not come back together.

        Args:
            failures: Failed attempts in a row, the last one included.
            error: How the last one failed; its ``retry_after`` is kept to.
            suggested: What the stream itself asked for (SSE ``retry:``), the bound of the first wait.
        """
        if failures > self.max_retries:
            return None
        retry_after: float | None = getattr(error, "retry_after", None)
        if retry_after is not None:
            return retry_after if retry_after <= self.max_wait else None
        import random  # only a run that fails needs it

        first = self.delay if suggested is None else suggested
        try:
            bound = first * self.backoff ** (failures - 1)
        except OverflowError:  # after a thousand failures or so
            bound = self.max_wait if first else 0.0
        return random.uniform(0, min(self.max_wait, bound))


class Deadlines:
    """The limits of one run.

    ``total`` is a moment. The others are budgets that run down only while the client waits for
    the network: ``first_event`` until the first event of an attempt, then ``idle`` between bytes
    and ``progress`` between events.

    Attributes:
        total: The moment when the run has to be over.
        patience: How long the next read may take, in seconds, as far as the budgets go.
        steady: The last read brought an event: another one that does changes nothing here.
    """

    def __init__(self, timeouts: Timeouts, now: float) -> None:
        self._timeouts = timeouts
        self.total = _NEVER if timeouts.total is None else now + timeouts.total
        self._idle_limit = _NEVER if timeouts.idle is None else timeouts.idle
        self._progress_limit = _NEVER if timeouts.progress is None else timeouts.progress
        self._begun = self._hurried = self.steady = False
        self._first = self._idle = self._progress = self.patience = _NEVER

    def connect(self, now: float) -> float:
        """Return the deadline of an attempt's connection."""
        limit = self._timeouts.connect
        return self.total if limit is None else min(self.total, now + limit)

    def begin_attempt(self) -> None:
        """Begin to wait for an answer."""
        limit = self._timeouts.first_event
        self._first = self.patience = _NEVER if limit is None else limit
        self._begun = self._hurried = self.steady = False

    def hurry(self) -> None:
        """Have this attempt's reads take what is there, and wait for nothing."""
        self._hurried, self.steady = True, False
        self._measure()

    def read(self, now: float) -> float:
        """Return the deadline of a read that begins now."""
        if now + self.patience < self.total:
            return now + self.patience
        return self.total

    def received(self, waited: float, *, events: bool) -> None:
        """Note that bytes came, and whether an event was in them."""
        if events:
            self._begun = True
            self._progress = self._progress_limit
        elif self._begun:
            self._progress -= waited
        else:
            self._first -= waited
        self._idle = self._idle_limit
        self.steady = events
        self._measure()

    def waited(self, seconds: float) -> None:
        """Note a wait that its caller gave up before anything came."""
        self._first -= seconds
        self._idle -= seconds
        self._progress -= seconds
        self.steady = False
        self._measure()

    def _measure(self) -> None:
        if self._hurried:
            self.patience = 0.0
        else:
            self.patience = min(self._idle, self._progress) if self._begun else self._first

    def phase(self, now: float) -> Phase:
        """Tell which limit a read has run into."""
        if now >= self.total:
            return "total"
        if not self._begun:
            return "first_event"
        return "idle" if self._idle <= self._progress else "progress"

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
