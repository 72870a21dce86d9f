"""The streams of a client that are in use, for closing it with a grace period."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runagent._config.parsers import parse_seconds
from runagent._net.base import fork_generation
from runagent._run.pump_core import CLOSED_NOTICED_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runagent._net.loops import EventLoop
    from runagent._run.stream_core import StreamCore

__all__ = ["OpenStreams", "parse_grace", "pauses"]

S = TypeVar("S", bound="StreamCore")


class OpenStreams(Generic[S]):
    """The streams of one client for as long as somebody refers to them; after a fork the child has none.

    It is a plain set of references, as a `weakref.WeakSet` runs Python whenever a member dies.
    """

    def __init__(self) -> None:
        self._refs: set[weakref.ref[S]] = set()
        self._generation = fork_generation()

    def add(self, stream: S) -> None:
        """Note a stream."""
        if self._generation != fork_generation():
            self._refs.clear()
            self._generation = fork_generation()
        self._refs.add(weakref.ref(stream, self._refs.discard))

    def open(self, loop: EventLoop | None = None) -> list[S]:
        """Return the streams that are not over.

        Args:
            loop: Without those that were begun in another event loop than this one.
        """
        if self._generation != fork_generation():
            return []
        streams = [stream for ref in list(self._refs) if (stream := ref()) is not None]
        return [
            stream
            for stream in streams
            if not stream._is_over() and (loop is None or not stream._source.is_elsewhere(loop))
        ]

    def are_read(self, loop: EventLoop | None = None) -> bool:
        """Whether one of the streams that `open` returns has begun."""
        return any(stream._begun for stream in self.open(loop))


def parse_grace(grace: Any) -> float:
    """Check a ``grace``.

    Raises:
        ConfigurationError: It is no finite number of seconds, or below 0.
    """
    seconds: float = parse_seconds(grace, "argument grace")
    return seconds


def pauses(reading: Callable[[], bool], now: Callable[[], float], grace: float) -> Iterator[float]:
    """Iterate the seconds of each step of a wait for streams that are being read.

    Args:
        reading: Whether there are any.
        now: The clock.
        grace: Seconds after which the wait ends.
    """
    end = now() + grace
    while reading() and (left := end - now()) > 0:
        yield min(left, CLOSED_NOTICED_SECONDS)
