"""Stops a check that does not come to an end: an endless loop fails its requirement, and hangs nothing."""

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

__all__ = ["Watchdog"]

PROCESSOR_SECONDS = 10.0  # ten times what the longest check of a sound transport takes
SECONDS = 120.0  # for one that waits instead
_PATIENCE = 3  # checks that may be stopped before no other is begun
_LOOKS = 0.05  # seconds from one look at the clocks to the next
_FRAMES = 3


class EndlessError(BaseException):
    """Raised in the middle of what does not end; no ``except Exception`` catches it."""


class Watchdog:
    """Performs checks of one transport, and no other once too many had to be stopped."""

    def __init__(self) -> None:
        self._stopped: set[str] = set()

    def perform(self, check: Callable[[], None], name: str) -> None:
        """Perform a check in this thread; one of the same name is another attempt at it.

        An exception is raised in it from another thread, as the interpreter allows on every system. So it
        comes between two steps of Python; what waits in C is not stopped before it returns.

        Raises:
            Violation: It did not come to an end.
        """
        self._stopped.discard(name)
        if len(self._stopped) >= _PATIENCE:
            raise Violation(f"not checked, as {_PATIENCE} others did not come to an end")
        watch = _Watch()
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
            raise Violation(f"it did not come to an end, and was stopped here:\n{watch.place}")


class _Watch:
    """Watches the thread that enters it.

    Attributes:
        place: Where it was when it was stopped; "" where it was not.
        error: What has kept the watch from being held.
    """

    def __init__(self) -> None:
        self.place = ""
        self.error: BaseException | None = None
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
            # Counted anew each time: what has caught one gets another.
            busy, late = time.process_time() + PROCESSOR_SECONDS, now() + SECONDS
            while time.process_time() < busy and now() < late:
                if self._over.wait(_LOOKS):
                    return
            stack = traceback.extract_stack(sys._current_frames()[self._watched])
            if not any(frame.filename == bdb.__file__ for frame in stack):  # a debugger waits for its user
                self.place = self.place or "".join(stack.format()[-_FRAMES:]).rstrip()
                _raise_in(self._watched, EndlessError)


def _raise_in(thread: int, exception: type[BaseException]) -> None:
    """Have an exception raised in a thread."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))


def _let_come() -> None:
    """Catch what may still be raised in this thread.

    An exception that is called off instead leaves a flag set which only raising one clears. While it is set,
    CPython 3.11 never gets beyond the entry of a function that is profiled or traced.
    """
    with contextlib.suppress(EndlessError):
        _raise_in(threading.get_ident(), EndlessError)
        for _ in range(100):  # it comes at the end of a call or the first round of a loop
            pass
