"""Limits of an agent's runs, as a dialect shows them. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass

from runagent_testing._internal.public import publish

__all__ = ["RateLimit"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The limit of an agent, which `Agent.limit` sets, as one run finds it.

    Attributes:
        runs: The number of runs that are accepted in a window of time.
        per: The length of the window in seconds.
        remaining: The number of further runs that are accepted before the window ends.
        reset: Seconds until then.
        is_exceeded: Whether this run is refused.
    """

    runs: int
    per: float
    remaining: int
    reset: float
    is_exceeded: bool = False

    @property
    def whole_seconds(self) -> int:
        """``reset``, rounded up as HTTP's whole seconds require."""
        return math.ceil(round(self.reset, 3))

    @property
    def headers(self) -> dict[str, str]:
        """The common ``X-RateLimit-`` fields, and those of draft-ietf-httpapi-ratelimit-headers."""
        return {
            "X-RateLimit-Limit": str(self.runs),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset-After": str(self.whole_seconds),
            "RateLimit-Policy": f'"runs";q={self.runs};w={math.ceil(self.per)}',
            "RateLimit": f'"runs";r={self.remaining};t={self.whole_seconds}',
        }


publish(RateLimit, module="runagent_testing.dialects")
