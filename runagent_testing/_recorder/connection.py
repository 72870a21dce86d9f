"""The exchanges that one connection of a client carries, one after another. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._memory.requests import BadRequestError, RequestReader
from runagent_testing._recording.format import RESET, TIMEOUT
from runagent_testing._recording.tap import ExchangeTap

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._recording.folder import RecordingFolder

__all__ = ["ConnectionTap"]


class ConnectionTap:
    """Records what passes through a connection.

    Args:
        folder: Where to.
        now: Returns the time in seconds.
    """

    def __init__(self, folder: RecordingFolder, now: Callable[[], float]) -> None:
        self._folder = folder
        self._now = now
        self._reader: RequestReader | None = RequestReader(1, now)
        self._exchange: ExchangeTap | None = None

    def sent(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._exchange is not None and self._exchange.has_switched:
            self._exchange.sent(data, self._now())
        elif self._reader is not None:
            try:
                requests = self._reader.feed(data)
            except BadRequestError:
                self._reader = None
                return
            for request in requests:
                self._exchange = ExchangeTap(self._folder, request, self._now())

    def received(self, data: bytes) -> None:
        """Take what the service has sent; empty: FIN."""
        if self._exchange is not None:
            self._exchange.received(data, self._now())

    def broke(self) -> None:
        """Note that the connection was reset."""
        if self._exchange is not None:
            self._exchange.broken(self._now(), RESET, "the connection was reset")

    def closed(self) -> None:
        """Note that the client has closed the connection."""
        if self._exchange is not None:
            self._exchange.broken(self._now(), TIMEOUT, "the client has disconnected")
