"""Stops a check that does not end: an endless loop fails its requirement instead of hanging the kit."""

from __future__ import annotations

import bdb
import contextlib
import ctypes
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

from runagent_testing._internal.clock import now
from runagent_testing.conformance._harness.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NOT_CHECKED", "Watchdog"]

PROCESSOR_SECONDS = 10.0  # ten times as long as the longest check of a conforming transport
SECONDS = 120.0  # for a check that waits instead of computing
LATER_SECONDS = 30.0  # once another check was stopped: what waits for ever mostly does so in each check
_PATIENCE = 3  # once so many checks were stopped, no other is started
NOT_CHECKED = f"not checked, as {_PATIENCE} other checks did not end"
_LOOKS = 0.05  # seconds between two looks at the clocks
_FRAMES = 3


class EndlessError(BaseException):
    """Raised in the middle of an endless check; no ``except Exception`` catches it."""


class Watchdog:
    """Performs checks of one transport until too many had to be stopped."""

    def __init__(self) -> None:
        self._stopped: set[str] = set()

    def perform(self, check: Callable[[], None], name: str) -> None:
        """Perform a check in this thread; a check of the same name counts as another attempt at it.

        Another thread raises an exception in this one, as the interpreter allows on every system. The
        exception comes between two steps of Python; a call of a C function is not stopped before it returns.

        Raises:
            Violation: The check did not end.
        """
        self._stopped.discard(name)
        if len(self._stopped) >= _PATIENCE:
            raise Violation(NOT_CHECKED)
        watch = _Watch(min(SECONDS, LATER_SECONDS) if self._stopped else SECONDS)
        try:
            with watch:
                check()
        except BaseException as exc:
            watch.end()  # once more, as the exception may have come while it ended
            if not watch.place or isinstance(exc, KeyboardInterrupt):
                raise
        if watch.error is not None:
            raise watch.error
        if watch.place:
            self._stopped.add(name)
            raise Violation(f"the check did not end, and was stopped here:\n{watch.place}")


class _Watch:
    """Watches the thread that enters it.

    Args:
        seconds: How long it may wait.

    Attributes:
        place: The line at which the thread was stopped; "" if it was not stopped.
        error: The exception that ended the watch itself.
    """

    def __init__(self, seconds: float) -> None:
        self.place = ""
        self.error: BaseException | None = None
        self._seconds = seconds
        self._watched = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="runagent watchdog", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *details: object) -> None:
        self.end()

    def end(self) -> None:
        """Raise nothing from now on."""
        self._over.set()
        self._thread.join()
        if self.place:
            _let_come()

    def _work(self) -> None:
        try:
            self._look()
        except BaseException as exc:  # noqa: BLE001 - raised again by the thread that is watched
            self.error = exc

    def _look(self) -> None:
        while not self._over.is_set():
            # Counted again each time: code that has caught one exception gets another.
            busy, late = time.process_time() + PROCESSOR_SECONDS, now() + self._seconds
            while time.process_time() < busy and now() < late:
                if self._over.wait(_LOOKS):
                    return
            stack = traceback.extract_stack(sys._current_frames()[self._watched])
            if not any(frame.filename == bdb.__file__ for frame in stack):  # a debugger waits for its user
                self.place = self.place or "".join(stack.format()[-_FRAMES:]).rstrip()
                _raise_in(self._watched, EndlessError)


def _raise_in(thread: int, exception: type[BaseException]) -> None:
    """Raise an exception in another thread."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))


def _let_come() -> None:
    """Catch an exception that may still be raised in this thread.

    To withdraw it instead would leave a flag set that only a raised exception clears. While the flag is set,
    CPython 3.11 never gets beyond the entry of a profiled or traced function.
    """
    with contextlib.suppress(EndlessError):
        _raise_in(threading.get_ident(), EndlessError)
        for _ in range(100):  # it comes at the end of a call or the first round of a loop
            pass
