"""Lines that are typed, or that a parent process writes to our standard input."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from runagent_testing._internal.log import log_failure

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Keyboard"]

_LONGEST_LINE = 1000  # bytes
_READ = 4096  # bytes


class Keyboard:
    """Reads standard input in a thread, once it is asked to.

    A read in the main thread would miss a signal that comes just before it, and the program would not end.

    Args:
        typed: Called in the thread with each line, without spaces around it.
    """

    def __init__(self, typed: Callable[[str], object]) -> None:
        self._typed = typed
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Read from now on; does nothing the second time, or without a standard input."""
        if self._thread is None and (number := _stdin()) is not None:
            self._thread = threading.Thread(
                target=self._work, args=(number,), name="fake-agent-keyboard", daemon=True
            )
            self._thread.start()

    def _work(self, number: int) -> None:
        # Not through `sys.stdin`, whose lock the interpreter wants when it ends.
        try:
            rest = b""
            while data := os.read(number, _READ):
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[-_LONGEST_LINE:]
                for line in lines:
                    if text := line[:_LONGEST_LINE].decode(errors="replace").strip():
                        self._typed(text)
        except Exception as exc:  # noqa: BLE001 - nobody waits for it
            log_failure("standard input is no longer read", exc)


def _stdin() -> int | None:
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except (OSError, ValueError):  # it is closed, or not a file
        return None
