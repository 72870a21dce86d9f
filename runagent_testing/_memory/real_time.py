"""A warning that a memory network waits in real time, because its event loop does."""

from __future__ import annotations

import warnings

from runagent_testing._internal.public import publish

__all__ = ["RealTime", "RealTimeWarning"]

_TEXT = (
    "the memory network waits in real time, as this event loop does; time is virtual in memory.{run}(...), "
    'and in your event loops if they are {kind} (docs/testing.md, "Virtual time in every test runner")'
)


class RealTimeWarning(RuntimeWarning):
    """A memory network waits in real time, as its event loop does; the message has what to change."""


class RealTime:
    """Warns about the first wait of a network.

    Args:
        run: The method of a memory network that runs code on virtual time.
        kind: A description of the event loops that have virtual time.
    """

    def __init__(self, run: str, kind: str) -> None:
        self._text = _TEXT.format(run=run, kind=kind)
        self._has_warned = False

    def warn(self) -> None:
        """Warn, unless it has warned before."""
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(self._text, RealTimeWarning, stacklevel=2)


publish(RealTimeWarning)
