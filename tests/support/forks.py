"""What tests that fork need: a mark, and a scenario that runs in the child."""

from __future__ import annotations

import json
import os
import select
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.styles import Style

__all__ = ["forks", "in_child"]


def forks(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a test that forks while threads run, those of a fake agent for example.

    CPython warns of that from 3.12 on, because the child may meet a lock that another thread held. The
    children of our tests use no thread of their parent.
    """
    for mark in (
        pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
        pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    ):
        test = mark(test)
    return test


def in_child(style: Style, scenario: Callable[[], Awaitable[Any]]) -> Any:
    """Fork in the middle of everything, run a scenario in the child, return what it returned."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            report = style.run(scenario) if style.name != "trio" else _in_thread(scenario)
        except BaseException as exc:
            report = f"the child failed: {exc!r}"
            raise
        finally:
            os.write(write_end, json.dumps(report).encode())
            os._exit(0)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as pipe:
            assert select.select([pipe], [], [], 10)[0], "the child hangs"
            return json.loads(pipe.read())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _in_thread(scenario: Callable[[], Awaitable[Any]]) -> Any:
    """Run it where no `trio.run` is under way: the child has inherited the parent's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(trio.run, scenario).result()
