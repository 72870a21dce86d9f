"""The client's end of a connection, as far as it is the same in every style."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "DeadlockError", "Timer", "Wire"]


class DeadlockError(RuntimeError):
    """Everybody waits, and nothing will ever happen: a gate stays shut, or a stall has no timeout."""


class Timer(Protocol):
    """A call to come."""

    def cancel(self) -> None:
        """Call it off."""


class Clock(Protocol):
    """Virtual time, or an asyncio loop's."""

    def time(self) -> float:
        """Return the seconds since some moment."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call back at a time."""

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> object:
        """Call back soon; callable from any thread."""


class Wire:
    """What the agent has sent and the client has not read: whole writes, in order, and how it ends.

    Attributes:
        wake: Called when there is something new to read.
    """

    def __init__(self) -> None:
        self.wake: Callable[[], object] = _nobody_waits
        self._writes: deque[bytes] = deque()
        self._ended = False
        self._reset = False

    # What the agent does

    def write(self, data: bytes) -> None:
        """Send."""
        if data and not self._ended:
            self._writes.append(data)
            self.wake()

    def end(self, *, reset: bool = False) -> None:
        """Send a FIN or RST; the client reads what came before it all the same."""
        if not self._ended:
            self._ended, self._reset = True, reset
            self.wake()

    # What the client does

    def take(self, max_bytes: int) -> bytes | None:
        """Return the next write, or as much of it as was asked for; b"" at the end, None for nothing yet.

        Raises:
            ConnectionResetError: The agent has reset the connection.
        """
        if self._writes:
            data = self._writes.popleft()
            if len(data) > max_bytes:
                self._writes.appendleft(data[max_bytes:])
            return data[:max_bytes]
        if self._reset:
            raise reset_error()
        return b"" if self._ended else None

    @property
    def unread(self) -> int:
        """Bytes that were sent and not taken."""
        return sum(map(len, self._writes))

    def poll(self, max_bytes: int) -> bytes | None:
        """See `runagent.net.base.Connection.poll`."""
        try:
            return self.take(max_bytes)
        except ConnectionResetError:
            return b""

    def check_send(self) -> None:
        """Raise what a send after the agent's RST raises."""
        if self._reset:
            raise reset_error()


def reset_error() -> ConnectionResetError:
    """Make the error of a socket whose peer has sent a RST."""
    import errno
    import os

    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def _nobody_waits() -> None:
    """Do nothing."""
