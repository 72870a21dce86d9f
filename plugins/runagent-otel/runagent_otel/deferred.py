"""Actions that are run outside of finalizers.

A stream that nobody holds any more is finished by the collection of garbage, at any step of any thread: also
while that thread holds a lock of the SDK. To end a span takes such a lock, and would wait for ever. So these
runs are ended by a thread that is started for it, or by the next call.
"""

from __future__ import annotations

import _thread
import contextlib
import logging
import os
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["defer", "run_deferred"]

_logger = logging.getLogger("runagent_otel")

_waiting: deque[tuple[int, Callable[[], None]]] = deque()


def defer(action: Callable[[], None]) -> None:
    """Have an action run soon, in another thread; nothing in here takes a lock that Python code can hold."""
    is_first = not _waiting
    _waiting.append((os.getpid(), action))
    if is_first:
        # Not by `threading`, which has locks. At the end of the process no thread starts: `atexit` runs it.
        with contextlib.suppress(RuntimeError):
            _thread.start_new_thread(run_deferred, ())


def run_deferred() -> None:
    """Run the actions that wait; those of the process that this one was forked from are dropped."""
    while True:
        try:
            process, action = _waiting.popleft()
        except IndexError:  # none is left, or another thread has taken the last one
            return
        if process == os.getpid():
            _run(action)


def _run(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:  # the others still run
        _logger.exception("the end of a run whose stream was dropped could not be recorded")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_child=_waiting.clear
    )  # else the first one that the child defers starts no thread
