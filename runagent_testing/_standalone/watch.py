"""Watches files for changes by looking at them, which works on the mounts of containers, too."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from runagent_testing._internal.log import log_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

__all__ = ["Watch"]

_INTERVAL = 0.25  # seconds
_PATIENCE = 5.0  # seconds for the function that is called

_Stamp = tuple[int, int, int] | None


class Watch:
    """Calls a function, in a thread, when files have changed; a context manager.

    A file is read while an editor is writing it, unless one waits: the function is called once two looks
    in a row have found the same.

    Args:
        paths: The files; a symbolic link is followed.
        changed: The function.
    """

    def __init__(self, paths: Sequence[str], changed: Callable[[], object]) -> None:
        self._paths = [Path(path) for path in paths]
        self._changed = changed
        self._over = threading.Event()
        self._known = self._look()
        self._thread = threading.Thread(target=self._work, name="fake-agent-watch", daemon=True)

    def __enter__(self) -> Self:
        if self._paths:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._paths:
            self._thread.join(_PATIENCE)

    def _look(self) -> list[_Stamp]:
        return [_stamp(path) for path in self._paths]

    def _work(self) -> None:
        try:
            before = self._known
            while not self._over.wait(_INTERVAL):
                found = self._look()
                if found == before and found != self._known:
                    self._known = found
                    self._changed()
                before = found
        except Exception as exc:  # noqa: BLE001 - there is nobody else to hear of it
            log_failure("script files are no longer watched", exc)


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
