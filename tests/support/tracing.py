"""Whether coverage watches the tests: all takes a multiple of its time then, and children import more."""

from __future__ import annotations

import os
import sys

__all__ = ["SLOWDOWN", "environment_without_tracer"]

_TRACED = "COVERAGE_RUN" in os.environ or sys.gettrace() is not None
SLOWDOWN = 10 if _TRACED else 1
"""What bounds of time are multiplied by."""


def environment_without_tracer() -> dict[str, str]:
    """Return the environment for a child process that coverage does not watch."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
