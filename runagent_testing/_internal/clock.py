"""The real time, which goes on while a test has frozen its dates."""

from __future__ import annotations

from importlib.machinery import BuiltinImporter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Condition

__all__ = ["now", "wait_for"]

_LONGEST_WAIT = 86_400.0  # seconds that any system can wait at once; a longer wait is repeated

# A copy of the module `time` that no test freezes. The client has the same few lines: the fake agent does not
# import them, so that client and fake cannot share a mistake, such as a clock that stops.
_spec = BuiltinImporter.find_spec("time")
assert _spec is not None
_time = BuiltinImporter.create_module(_spec)
assert _time is not None
BuiltinImporter.exec_module(_time)

now: Callable[[], float] = _time.perf_counter
"""Return seconds that only grow."""


def wait_for(changed: Condition, reached: Callable[[], bool], timeout: float) -> bool:
    """Wait as `threading.Condition.wait_for` does, which would wait for ever while its clock rests."""
    until = now() + timeout
    while not (is_reached := reached()) and (left := until - now()) > 0:
        changed.wait(min(left, _LONGEST_WAIT))
    return is_reached
