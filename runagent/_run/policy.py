"""Decisions without I/O: whether to try again, after how long, and from where to go on."""

from __future__ import annotations

from typing import Literal

import msgspec

from runagent._call import ResumePoint
from runagent._errors import (
    AgentServerError,
    NetworkError,
    RateLimitError,
    RunAgentError,
    StreamTimeoutError,
    StreamTruncatedError,
)

__all__ = ["RetryPolicy"]

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
        return self.unsafe and _broke(error)

    def holds_back(self, error: RunAgentError, *, connected: bool) -> bool:
        """Whether only ``unsafe=False`` keeps this failure from being retried."""
        return connected and _broke(error) and not self.unsafe and self.max_retries > 0

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


def _broke(error: RunAgentError) -> bool:
    """Whether a connection broke; a proxy that wants a password does not change its mind."""
    return isinstance(error, StreamTruncatedError | NetworkError) and error.code != "PROXY_407"
