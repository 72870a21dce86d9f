"""Watches which functions a session calls: no I/O, no blocking, no clocks and no threads are allowed."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Watched", "Watcher"]

_CLOCKS = frozenset(
    f"{name}{suffix}"
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
    for suffix in ("", "_ns")
) | {"localtime", "gmtime", "sleep"}
_METHODS = frozenset(("receive_data", "go_on", "receive_eof", "data_to_send", "close"))
_IMPORTING = "<frozen importlib"


class Watcher:
    """Records forbidden calls while one of the watched methods runs.

    The interpreter reports every call from Python to a C function, however the function was imported; it
    does not report calls from C to C.

    Attributes:
        found: The forbidden functions that were called, and where.
    """

    def __init__(self) -> None:
        self.found: list[str] = []

    def call(self, function: Any, *arguments: Any) -> Any:
        """Call a function under watch."""
        before, collecting = sys.getprofile(), gc.isenabled()
        gc.disable()  # a collection runs other objects' finalizers and callbacks, which are not the session's
        sys.setprofile(self._see)
        try:
            return function(*arguments)
        finally:
            sys.setprofile(before)
            if collecting:
                gc.enable()

    def _see(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "c_call" or (what := _forbidden(argument, frame.f_code.co_qualname)) is None:
            return
        code = frame.f_code
        if not code.co_filename.startswith(_IMPORTING):
            self.found.append(f"{what} in {code.co_qualname} ({code.co_filename}:{frame.f_lineno})")


class Watched:
    """A session whose methods run under watch."""

    def __init__(self, session: Any, watcher: Watcher) -> None:
        self._session = session
        self._watcher = watcher

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            return lambda *arguments: self._watcher.call(getattr(self._session, name), *arguments)
        return getattr(self._session, name)


def _forbidden(function: Any, caller: str) -> str | None:
    module, name = getattr(function, "__module__", None), getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    kind = type(owner).__module__ if not isinstance(owner, type) else owner.__module__
    if module == "time" and name in _CLOCKS:
        return f"time.{name}()"
    if kind == "datetime" and name in ("now", "utcnow", "today"):
        return f"datetime {name}()"
    if module == "_thread" and name.startswith("start_"):
        return "starting a thread"
    if kind == "_thread" and name == "acquire" and caller == "Condition.wait":
        return "waiting for another thread"
    if kind in ("_socket", "socket", "select", "_ssl", "ssl") or module in ("_socket", "select"):
        return f"socket {name}()"
    if (module in ("io", "_io") and name in ("open", "open_code")) or (
        module == "builtins" and name == "print"
    ):
        return f"{name}()"
    return None
