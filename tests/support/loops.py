"""Scenarios that are asyncio's alone, on its own loop, on uvloop's and on one that does not watch sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["BlindLoop", "asyncio_loops", "run_asyncio"]


class BlindLoop(asyncio.SelectorEventLoop):
    """Has transports only, as the loop of Windows."""

    add_reader = asyncio.AbstractEventLoop.add_reader
    remove_reader = asyncio.AbstractEventLoop.remove_reader
    add_writer = asyncio.AbstractEventLoop.add_writer
    remove_writer = asyncio.AbstractEventLoop.remove_writer

    def _sock_write_done(self, fd: int, fut: Any, handle: Any = None) -> None:
        """Keep `sock_connect` working, which asyncio's own loop builds on what is missing here."""
        if handle is None or not handle.cancelled():
            self._remove_writer(fd)  # type: ignore[attr-defined]


asyncio_loops = pytest.mark.parametrize(
    "loop", [None, uvloop.new_event_loop, BlindLoop], ids=["asyncio", "uvloop", "transports"]
)


def run_asyncio(loop: Any, scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a scenario on one of these loops; asyncio's own looks for bad habits, too."""
    with asyncio.Runner(debug=loop is None, loop_factory=loop) as runner:
        return runner.run(scenario())
