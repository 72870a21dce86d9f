"""The policy for retries and resumptions: which failures, after how long, and from which chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from runagent._errors import (
    AgentServerError,
    NetworkError,
    RateLimitError,
    RunAgentError,
    StreamTimeoutError,
    StreamTruncatedError,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from runagent._call import ResumePoint

__all__ = ["RetryPolicy"]

# Failures to connect that may be temporary, unlike a bad certificate or an unknown host name.
_PASSING = frozenset({"DNS_TEMPORARY", "NETWORK", "PROXY_502", "PROXY_503", "PROXY_504", "REFUSED", "RESET"})
_GATEWAY_ERRORS = frozenset({500, 502, 504})
_FIRST_RESUME_SECONDS = 0.1


class RetryPolicy(msgspec.Struct, frozen=True):
    """Which failures are retried or resumed, and after how long.

    Attributes:
        max_retries: How many consecutive failures are retried; a new chunk starts the count again.
        max_resumes: How often one run is resumed after its first chunk, with or without progress.
        delay: Upper bound of the first wait, in seconds.
        backoff: Factor from the upper bound of one wait to that of the next.
        max_wait: The longest wait, in seconds; if a ``Retry-After`` is longer, the error is raised.
        unsafe: Also retry runs that the agent may have begun.
        resume: Resume a broken stream if the agent proves that it continues at the right chunk; with
            ``trust``, also without a proof.
    """

    max_retries: int = 3
    max_resumes: int = 10
    delay: float = 1.0
    backoff: float = 2.0
    max_wait: float = 60.0
    unsafe: bool = False
    resume: bool | Literal["trust"] = True

    def is_safe(self, error: RunAgentError, *, connected: bool) -> bool:
        """Whether a failure may be temporary, and the agent cannot have begun the run.

        Args:
            error: How it failed.
            connected: At least the beginning of the request has been sent.
        """
        if isinstance(error, NetworkError):
            return not connected and error.code in _PASSING
        return isinstance(error, RateLimitError) or _answered_with(error, {503})

    def may_retry(self, error: RunAgentError, *, connected: bool) -> bool:
        """Whether a run that failed before its first event may be retried.

        Args:
            error: How it failed.
            connected: At least the beginning of the request has been sent.
        """
        if self.is_safe(error, connected=connected):
            return True
        if not self.unsafe or (isinstance(error, NetworkError) and not connected):
            return False
        return self.is_outage(error)

    def is_outage(self, error: RunAgentError) -> bool:
        """Whether the failure may be temporary, although the agent may have begun the run."""
        return _broke(error) or _answered_with(error, _GATEWAY_ERRORS)

    def holds_back(self, error: RunAgentError, *, connected: bool) -> bool:
        """Whether only ``unsafe=False`` keeps this failure from being retried."""
        return connected and _broke(error) and not self.unsafe and self.max_retries > 0

    def resume_from(
        self, error: RunAgentError, point: ResumePoint | None, *, may_retry: bool
    ) -> ResumePoint | None:
        """Return where a stream that broke after its first chunk can be resumed, or None if it cannot.

        Args:
            error: How it broke, or how the attempt to resume it failed.
            point: The place after the last chunk.
            may_retry: The result of `may_retry` for the error.
        """
        broken = isinstance(error, StreamTruncatedError | StreamTimeoutError | NetworkError) or may_retry
        if not self.resume or point is None or not broken:
            return None
        if isinstance(error, StreamTimeoutError) and error.phase == "total":
            return None
        if self.resume == "trust":
            return msgspec.structs.replace(point, proof=None)
        return None if point.proof is None else point

    def wait(
        self, failures: int, error: RunAgentError, suggested: float | None, *, resumes: int = 0
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None if there is no other attempt.

        The wait is uniformly random between zero and a bound that grows by ``backoff`` (full jitter), so that
        clients that failed together do not all return together. The wait before a resumption also has a
        minimum, which doubles each time, so that a stream which breaks after each chunk, or asks for no wait,
        does not keep the client busy.

        Args:
            failures: Consecutive failed attempts, the last one included.
            error: How the last one failed; the wait is its ``retry_after`` if it has one.
            suggested: The wait that the stream asked for (SSE ``retry:``), used as the bound of the first
                wait.
            resumes: The number of resumptions, the next attempt included; 0 before the first chunk.
        """
        if failures > self.max_retries or resumes > self.max_resumes:
            return None
        floor = min(self.max_wait, _FIRST_RESUME_SECONDS * 2.0 ** min(resumes - 1, 60)) if resumes else 0.0
        retry_after: float | None = getattr(error, "retry_after", None)
        if retry_after is not None:
            return max(floor, retry_after) if retry_after <= self.max_wait else None
        import random  # slow to import, and only a failed attempt needs it

        first = self.delay if suggested is None else suggested
        try:
            bound = first * self.backoff ** (failures - 1)
        except OverflowError:  # after a thousand failures or so
            bound = self.max_wait if first else 0.0
        return max(floor, random.uniform(0, min(self.max_wait, bound)))


def _answered_with(error: RunAgentError, statuses: Collection[int]) -> bool:
    """Whether the answer had one of these statuses; the status of an error's class proves nothing."""
    return isinstance(error, AgentServerError) and vars(error).get("status") in statuses


def _broke(error: RunAgentError) -> bool:
    """Whether a connection broke; a proxy that wants a password (407) is not such a failure."""
    return isinstance(error, StreamTruncatedError | NetworkError) and error.code != "PROXY_407"
