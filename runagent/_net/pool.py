"""Idle connections, waiting to be used again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from runagent._internal.locks import ForkSafeLock
from runagent._net.base import fork_generation

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._address.route import Address
    from runagent._limits import Limits

__all__ = ["IdleConnection", "Pool"]

_POLL_BYTES = 64 * 1024
_MAX_POLLS = 4
_NEVER = float("inf")


class _Closable(Protocol):
    def poll(self, max_bytes: int) -> bytes | None: ...

    def abort(self, farewell: bytes = b"") -> None: ...


class _Session(Protocol):
    """What the pool asks of the session that used a connection last."""

    def receive_data(self, data: bytes) -> object: ...

    @property
    def keeps_connection(self) -> bool: ...

    @property
    def reusable(self) -> bool: ...


C = TypeVar("C", bound=_Closable)


class IdleConnection(Generic[C]):
    """A connection and the session that used it last, which alone knows whether it can be used again.

    Attributes:
        until: When to close it, in the network's seconds.
    """

    def __init__(self, connection: C, session: _Session, until: float) -> None:
        self.connection = connection
        self.session = session
        self.until = until
        self._ended = False

    def refresh(self) -> bool:
        """Give the session what has come meanwhile, without waiting; True if the connection is good."""
        for _ in range(_MAX_POLLS):
            data = self.connection.poll(_POLL_BYTES)
            if data is None:
                break
            self.feed(data)
        return self.reusable

    def feed(self, data: bytes) -> None:
        """Give the session bytes that belong to the run before; b"" is the end of the connection."""
        if data:
            self.session.receive_data(data)
        else:
            self._ended = True

    @property
    def reusable(self) -> bool:
        """Whether another call may go out on it."""
        return not self._ended and self.session.reusable

    @property
    def waits_for_end(self) -> bool:
        """Whether nothing but the formal end of the last answer is missing."""
        return not self._ended and self.session.keeps_connection and not self.session.reusable


class Pool(Generic[C]):
    """Idle connections by address, and a look at those in use.

    Bounded by ``max_idle_connections`` and ``max_idle_seconds``; what has waited too long is closed by the
    next call, since nothing runs between calls. The most recently used is taken first. Safe for threads.
    After a fork the child begins with an empty one.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = ForkSafeLock()
        self._idle: dict[Address, list[IdleConnection[C]]] = {}
        self._active: set[C] = set()
        self._earliest = _NEVER  # no idle connection has to be closed before
        self._generation = fork_generation()
        self._closed = False

    def __del__(self) -> None:
        if "_closed" in self.__dict__:
            self.close()

    def take(self, address: Address) -> IdleConnection[C] | None:
        """Return the most recent idle connection to ``address``; the caller owns it, whatever its state."""
        with self._lock:
            self._leave_parent()
            dropped = self._expired()
            waiting = self._idle.get(address)
            idle = waiting.pop() if waiting else None
            if waiting is not None and not waiting:
                del self._idle[address]
        _abort(dropped)
        return idle

    def put(self, address: Address, connection: C, session: _Session, limits: Limits) -> None:
        """Keep a connection whose run is over, or close it if the limits of that run do not allow more."""
        with self._lock:
            self._leave_parent()
            self._active.discard(connection)
            dropped = self._expired()
            if self._closed or sum(map(len, self._idle.values())) >= limits.max_idle_connections:
                dropped.append(connection)
            else:
                until = self._now() + limits.max_idle_seconds
                self._earliest = min(self._earliest, until)
                self._idle.setdefault(address, []).append(IdleConnection(connection, session, until))
        _abort(dropped)

    def in_use(self, connection: C) -> None:
        """Note a connection that the pool has to abort when its event loop ends, unless it is put or left."""
        self._active.add(connection)

    def left(self, connection: C) -> None:
        """Forget a connection in use that its run has aborted."""
        self._active.discard(connection)

    def close(self, *, active: bool = False) -> None:
        """Abort what is idle and keep nothing from now on.

        Args:
            active: Abort what is in use as well.
        """
        with self._lock:
            self._leave_parent()
            self._closed = True
            dropped = [idle.connection for waiting in self._idle.values() for idle in waiting]
            self._idle.clear()
            if active:
                dropped.extend(self._active)
        _abort(dropped)

    def _leave_parent(self) -> None:
        if self._generation != fork_generation():
            self._generation = fork_generation()
            self._idle.clear()
            self._active.clear()

    def _expired(self) -> list[C]:
        """Take out what has waited too long: its peer has most likely closed it already."""
        now = self._now()
        dropped: list[C] = []
        if now <= self._earliest:
            return dropped
        self._earliest = _NEVER
        for address, waiting in list(self._idle.items()):
            dropped += [idle.connection for idle in waiting if idle.until < now]
            waiting[:] = [idle for idle in waiting if idle.until >= now]
            self._earliest = min([self._earliest, *(idle.until for idle in waiting)])
            if not waiting:
                del self._idle[address]
        return dropped


def _abort(connections: list[C]) -> None:
    for connection in connections:
        connection.abort()
