"""Scenarios that are asyncio's alone, on its own loop and on uvloop's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["asyncio_loops", "run_asyncio"]

asyncio_loops = pytest.mark.parametrize("loop", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


def run_asyncio(loop: Any, scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a scenario on one of these loops; asyncio's own looks for bad habits, too."""
    with asyncio.Runner(debug=loop is None, loop_factory=loop) as runner:
        return runner.run(scenario())
