"""The one clock. Nothing else in the package reads the time, except the networks of event loops.

Tests freeze dates by replacing the functions of the module ``time`` (freezegun, also in every module that
holds one) or their C code (time-machine, up to 2.19 also that of ``monotonic``). Time limits go on as before.
"""

from importlib.machinery import BuiltinImporter

__all__ = ["LONGEST_WAIT", "now", "time_of_day"]

LONGEST_WAIT = 86_400.0  # seconds that any system can wait at once; a longer wait is repeated

_spec = BuiltinImporter.find_spec("time")
assert _spec is not None
_time = BuiltinImporter.create_module(_spec)  # a copy: nobody replaces what is in it
assert _time is not None
BuiltinImporter.exec_module(_time)

now = _time.perf_counter
"""Return seconds that only grow."""
time_of_day = _time.time
"""Return the seconds since 1970."""
