"""Scenarios that are asyncio's alone, on its own loop, on uvloop's and on one that does not watch sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["BlindLoop", "asyncio_loops", "new_uvloop", "run_asyncio", "run_uvloop"]


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


def new_uvloop() -> asyncio.AbstractEventLoop:
    """Make a loop of uvloop's; without it, which Windows does not have, the test is skipped."""
    loop: asyncio.AbstractEventLoop = pytest.importorskip("uvloop").new_event_loop()
    return loop


def run_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on a loop of uvloop's."""
    with asyncio.Runner(loop_factory=new_uvloop) as runner:
        return runner.run(main)


asyncio_loops = pytest.mark.parametrize(
    "loop", [None, new_uvloop, BlindLoop], ids=["asyncio", "uvloop", "transports"]
)


def run_asyncio(loop: Any, scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a scenario on one of these loops; asyncio's own looks for bad habits, too."""
    with asyncio.Runner(debug=loop is None, loop_factory=loop) as runner:
        return runner.run(scenario())
