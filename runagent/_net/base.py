"""The protocol between the pumps and what carries the bytes: one network for each concurrency style."""

from __future__ import annotations

import errno
import os
import weakref
from socket import SO_ERROR, SOL_SOCKET, socket
from typing import TYPE_CHECKING, Protocol, cast

from runagent._public import publish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent._address.route import Address

__all__ = [
    "AsyncConnection",
    "AsyncNetwork",
    "ConnectAttempt",
    "Connection",
    "DeadlineExceededError",
    "Network",
    "QuickConnection",
    "fork_generation",
    "quick_connection",
    "socket_was_reset",
]

# EPIPE is what Linux notes if the end of the stream had come before.
_RESETS = frozenset({errno.ECONNRESET, errno.EPIPE, getattr(errno, "WSAECONNRESET", errno.ECONNRESET)})


def socket_was_reset(sock: socket) -> bool:
    """Whether a reset has come over a TCP socket since its error was last asked for."""
    try:
        return sock.getsockopt(SOL_SOCKET, SO_ERROR) in _RESETS
    except OSError:
        return False


class DeadlineExceededError(Exception):
    """A deadline passed. Not the builtin TimeoutError: a socket raises that one for other reasons, too."""


class ConnectAttempt:
    """A connection that is being opened, as those see it who may not want it any more.

    Attributes:
        given_up: Nobody wants it. A synchronous network looks at it every now and then.
        wake: What an asynchronous network sets, to stop waiting at once.
    """

    __slots__ = ("cancelled", "wake")

    def __init__(self) -> None:
        self.cancelled = False
        self.wake: Callable[[], object] | None = None

    def cancel(self) -> None:
        """Stop the opening of the connection; does nothing if it is open already."""
        self.cancelled = True
        if self.wake is not None:
            self.wake()


class Connection(Protocol):
    """A byte stream. All deadlines are in the seconds of ``Network.now``."""

    def send(self, data: bytes, deadline: float) -> bool | None:
        """Send all of ``data``, unless the peer sends something while it takes nothing.

        Returns:
            True if the peer did. The rest is kept; the next call sends it first, and may bring b"" only.

        Raises:
            DeadlineExceededError: It could not be sent in time; how much left is unknown.
            OSError: The connection is broken. What the peer sent before can still be received.
        """

    def receive(self, max_bytes: int, deadline: float) -> bytes:
        """Return the next bytes, b"" at the end; a deadline that is over still gives what is there.

        Raises:
            DeadlineExceededError: Nothing came in time; nothing is lost.
            OSError: The connection is broken, and all that arrived has been returned.
        """

    def poll(self, max_bytes: int) -> bytes | None:
        """Return what is there without waiting: b"" at the end or when broken, None for nothing yet."""

    def was_reset(self) -> bool:
        """Whether a reset has followed the end that ``receive`` has returned: the peer has not read all.

        Never so over TLS, whose records the peer may have read before the connection broke.
        """

    def close_write(self) -> None:
        """Announce that nothing more will be sent (FIN); receiving goes on."""

    def interrupt(self) -> None:
        """Wake a ``receive`` in another thread; the connection is broken from then on."""

    def abort(self, farewell: bytes = b"") -> None:
        """Close at once: no draining, no close_notify of TLS; ``farewell`` is sent if that needs no wait."""


class Network(Protocol):
    """Connections and time, for synchronous code."""

    def connect(self, address: Address, deadline: float, attempt: ConnectAttempt) -> Connection:
        """Open a connection, through the proxy's tunnel and with TLS if the address asks for it.

        Raises:
            DeadlineExceededError: Not in time, or not wanted any more.
            NetworkError: Not at all.
        """

    def now(self) -> float:
        """Return monotonic seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class AsyncConnection(Protocol):
    """`Connection` for asyncio and trio.

    A cancelled ``receive`` loses nothing. After a cancelled ``send`` only ``abort`` makes sense.
    """

    async def send(self, data: bytes, deadline: float) -> bool | None:
        """See `Connection.send`."""

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `Connection.receive`."""

    def poll(self, max_bytes: int) -> bytes | None:
        """See `Connection.poll`."""

    def was_reset(self) -> bool:
        """See `Connection.was_reset`."""

    def close_write(self) -> None:
        """See `Connection.close_write`."""

    def abort(self, farewell: bytes = b"") -> None:
        """See `Connection.abort`; callable from any thread, also once the loop has ended."""


class QuickConnection(Protocol):
    """What connections over asyncio have in addition, so that a read makes no coroutine."""

    def begin_receive(self, deadline: float) -> Awaitable[bytes | None]:
        """Do what `Connection.receive` does, with at most 64 KiB.

        If the wait for what this returns is cancelled, `end_receive` has to get it, or bytes are lost. If it
        gives None, begin again: there is an end or an error.
        """

    def end_receive(self, reading: Awaitable[bytes | None]) -> None:
        """Keep what `begin_receive` had brought before the wait for it was cancelled."""


def quick_connection(connection: AsyncConnection) -> QuickConnection | None:
    """Return the connection if it is a quick one by its class.

    One that wraps another and delegates by ``__getattr__`` may do more in its ``receive``.
    """
    quick = hasattr(type(connection), "begin_receive")
    return cast("QuickConnection", connection) if quick else None


class AsyncNetwork(Protocol):
    """`Network` for asyncio and trio; belongs to one running event loop."""

    async def connect(self, address: Address, deadline: float, attempt: ConnectAttempt) -> AsyncConnection:
        """See `Network.connect`; when cancelled, nothing is left open."""

    def now(self) -> float:
        """See `Network.now`."""

    async def sleep(self, seconds: float) -> None:
        """See `Network.sleep`."""

    async def checkpoint(self) -> None:
        """Let others run, and notice a cancellation."""


class AfterFork(Protocol):
    """What holds a file descriptor, or events, that a fork's child must drop."""

    def forget(self) -> None:
        """Close the descriptor and nothing else: the connection goes on in the parent."""


# No WeakSet: it runs Python whenever one of its members dies, and what a signal handler raises there is lost.
_descriptors: set[weakref.ref[AfterFork]] = set()
_open: set[object] = set()
_generation = 0


def track_descriptor(holder: AfterFork) -> None:
    """Have ``holder`` forget its descriptor in every child that is forked from now on."""
    _descriptors.add(weakref.ref(holder, _descriptors.discard))


def pin(connection: object) -> None:
    """Keep an open connection out of cyclic garbage until it is aborted.

    Finalizers of a cycle run in any order: the socket's own, which warns, might come before the stream's.
    """
    _open.add(connection)


def unpin(connection: object) -> None:
    """Undo `pin`; does nothing for an object that is not pinned."""
    _open.discard(connection)


def fork_generation() -> int:
    """Return how many forks lie between the first process and this one."""
    return _generation


def _after_fork_in_child() -> None:
    global _generation
    _generation += 1
    for ref in list(_descriptors):
        if (holder := ref()) is not None:
            holder.forget()
    _descriptors.clear()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


publish(Network, AsyncNetwork)
