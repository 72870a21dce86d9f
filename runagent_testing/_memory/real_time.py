"""A warning that a memory network waits in real time, as the event loop it was given does."""

from __future__ import annotations

import warnings

__all__ = ["RealTime"]

_TEXT = (
    "the memory network waits in real time, as this event loop does; time is virtual in memory.{run}(...), "
    'and in loops of your own that are {kind} (docs/testing.md, "Virtual time")'
)


class RealTime:
    """Warns when somebody waits, once for each network.

    Args:
        run: The method of a memory network that has virtual time.
        kind: What a loop is that has it.
    """

    def __init__(self, run: str, kind: str) -> None:
        self._text = _TEXT.format(run=run, kind=kind)
        self._has_warned = False

    def warn(self) -> None:
        """Warn, unless that was done."""
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(self._text, RuntimeWarning, stacklevel=2)
