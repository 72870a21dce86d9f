"""The real time, which goes on while a test has frozen its dates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._internal import clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Condition

__all__ = ["now", "wait_for"]

now: Callable[[], float] = clock.now
"""Return seconds that only grow."""


def wait_for(changed: Condition, reached: Callable[[], bool], timeout: float) -> bool:
    """Wait as `threading.Condition.wait_for` does, which would wait for ever while its clock stands still."""
    until = now() + timeout
    while not (is_reached := reached()) and (left := until - now()) > 0:
        changed.wait(min(left, clock.LONGEST_WAIT))
    return is_reached
