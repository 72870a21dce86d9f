"""How many runs of an agent are accepted in some time. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.numbers import check_seconds, is_whole
from runagent_testing._script.steps import Status
from runagent_testing.dialects._limits import RateLimit

if TYPE_CHECKING:
    from runagent_testing.dialects import DialectRun

__all__ = ["RunLimit"]

__tracebackhide__ = is_ours


class RunLimit:
    """Accepts a number of runs in each window of time, which begins with its first run.

    Args:
        runs: The number of runs.
        per: The length of a window in seconds.

    Raises:
        TypeError: ``per`` is not a number.
        ValueError: ``runs`` is not a positive number, or ``per`` is not positive and finite.
    """

    def __init__(self, runs: int, per: float) -> None:
        if not is_whole(runs, 1):
            raise ValueError(f"limit() takes a number of runs, 1 or more, not {runs!r}")
        check_seconds(per, "limit(per=...)")
        if per <= 0:
            raise ValueError(f"limit(per=...) is a number of seconds above 0, not {per!r}")
        self.runs = runs
        self.per = per
        self._begin = 0.0
        self._count = 0

    def __repr__(self) -> str:
        return f"limit(runs={self.runs}, per={self.per:g})"

    def admit(self, now: float) -> RateLimit:
        """Accept a run if there is room for it.

        Args:
            now: The time in seconds; if it is before the window, another clock has begun.
        """
        # A time that was computed by waiting may be a little short.
        if not (self._count and self._begin <= now < self._begin + self.per - 1e-6):
            self._begin, self._count = now, 0
        accepted = self._count < self.runs
        self._count += accepted
        reset = self._begin + self.per - now
        return RateLimit(self.runs, self.per, self.runs - self._count, reset, is_exceeded=not accepted)

    def refusal(self, now: float, run: DialectRun | None = None) -> Status | None:
        """Return the status that refuses a run; None, and one run less remains, if it is accepted.

        Args:
            now: The time in seconds.
            run: Gets the header fields that show the limit; None for a run that begins in the background.
        """
        limit = self.admit(now)
        if run is not None:
            run.answer_headers.update(run.dialect.limit_headers(limit, run))
        if not limit.is_exceeded:
            return None
        message = f"at most {self.runs} run(s) in {self.per:g} s: {limit.reset:.3f} s are left to wait"
        return Status(429, retry_after=limit.whole_seconds, message=message)

    def give_back(self) -> None:
        """Make room again, as an accepted run has not begun."""
        self._count = max(self._count - 1, 0)
