"""The bytes between an agent and its client."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from runagent_testing._internal.public import publish

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DeadlockError", "Wire"]


class DeadlockError(RuntimeError):
    """Everything waits, and nothing can end it: nothing can open a gate, or a stall has no timeout."""


class Wire:
    """The agent's writes that the client has not read yet, in order, and the end of the connection.

    Args:
        room: How many unread bytes there may be before the agent has to wait with its next write; None
            for any number.

    Attributes:
        wake: Called when there is something new to read, or when the agent starts to wait at a gate.
        on_room: Called when the agent may write again.
        unread: Number of bytes that were sent but not read.
    """

    def __init__(self, room: int | None = None) -> None:
        self.wake: Callable[[], object] = _nobody_waits
        self.on_room: Callable[[], object] = _nobody_waits
        self.unread = 0
        self._room = room
        self._writes: deque[bytes] = deque()
        self._ended = False
        self._reset = False

    # What the agent does

    def limit_room(self, room: int) -> None:
        """Make the agent wait if ``room`` bytes are unread, unless there is less room already."""
        self._room = room if self._room is None else min(self._room, room)

    def write(self, data: bytes) -> None:
        """Send."""
        if data and not self._ended:
            self._writes.append(data)
            self.unread += len(data)
            self.wake()

    @property
    def is_full(self) -> bool:
        """Whether the agent has to wait with its next write."""
        return self._room is not None and self.unread >= self._room

    def end(self, *, reset: bool = False) -> None:
        """Send a FIN or RST; the client can still read the bytes before it."""
        if not self._ended:
            self._ended, self._reset = True, reset
            self.wake()

    # What the client does

    def take(self, max_bytes: int) -> bytes | None:
        """Return the next write, at most ``max_bytes`` of it; b"" at the end, None if there is nothing yet.

        Raises:
            ConnectionResetError: The agent has reset the connection.
        """
        if self._writes:
            return self._taken(self._writes.popleft(), max_bytes)
        if self._reset:
            raise reset_error()
        return b"" if self._ended else None

    def _taken(self, data: bytes, max_bytes: int) -> bytes:
        if len(data) > max_bytes:
            self._writes.appendleft(data[max_bytes:])
            data = data[:max_bytes]
        was_full = self.is_full
        self.unread -= len(data)
        if was_full and not self.is_full:
            self.on_room()
        return data

    def poll(self, max_bytes: int) -> bytes | None:
        """See `runagent._net.base.Connection.poll`."""
        try:
            return self.take(max_bytes)
        except ConnectionResetError:
            return b""

    def check_send(self) -> None:
        """Raise the error of a send after the agent's RST, if there was one."""
        if self._reset:
            raise reset_error()


def reset_error() -> ConnectionResetError:
    """Make the error of a socket whose peer has sent a RST."""
    import errno
    import os

    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def _nobody_waits() -> None:
    """Do nothing."""


publish(DeadlockError)
