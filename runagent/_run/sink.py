"""Where a relay has the events of a stream written: what `next_batch` of event loops takes as ``sink``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from runagent._events import Event

__all__ = ["Sink"]


class Sink(Protocol):
    """What an `AsyncSource` gives batch after batch to.

    Attributes:
        broken: Set once a write has raised, as the source raises that together with what a run fails with.
    """

    broken: bool

    def write(self, batch: list[Event]) -> Awaitable[None]:
        """Write the events of a batch; what this returns is awaited before the next read."""
