"""What both connections of asyncio have in common: who waits, and how other threads end it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from runagent._net.base import socket_was_reset, track_descriptor

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from runagent._net.aio_watchdog import Watchdog

__all__ = ["LoopConnection", "handed_to", "refuse_loop", "waiter_of", "wake"]

_INFINITE = float("inf")


class LoopConnection:
    """A connection that belongs to one loop; a subclass brings ``time_out``, ``_take`` and ``_abort``.

    Args:
        sock: The connected socket, non-blocking.
        loop: The loop that it belongs to.
        watchdog: The loop's.

    Attributes:
        deadline: That of what waits, for the watchdog to see; infinite if nothing waits.
    """

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop, watchdog: Watchdog) -> None:
        self.deadline = _INFINITE
        self._sock = sock
        self._loop = loop
        self._watchdog = watchdog
        self._thread = threading.get_ident()
        self._lost: OSError | None = None
        self._reader: asyncio.Future[bytes | None] | None = None  # given what came, or None to look itself
        self._writer: asyncio.Future[None] | None = None
        track_descriptor(self)

    def begin_receive(self, deadline: float) -> Awaitable[bytes | None]:
        """See `QuickConnection`; mostly a future of what comes next."""
        raise NotImplementedError

    def end_receive(self, reading: Awaitable[bytes | None]) -> None:
        """See `QuickConnection`."""
        if isinstance(reading, asyncio.Future):
            self._reader = None
            self.deadline = _INFINITE
            self._keep(handed_to(reading))

    def poll(self, max_bytes: int) -> bytes | None:
        """See `Connection.poll`."""
        try:
            return self._take(max_bytes)
        except OSError:
            return b""

    def was_reset(self) -> bool:
        """See `Connection.was_reset`."""
        return socket_was_reset(self._sock)

    def abort(self, farewell: bytes = b"") -> None:
        """See `Connection.abort`."""
        if threading.get_ident() == self._thread or self._loop.is_closed():
            self._abort(farewell)
        else:
            # Where the loop ends in between, it has aborted its connections itself.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._abort, farewell)

    def forget(self) -> None:
        """Drop a descriptor that belongs to the parent process; see `track_descriptor`."""
        with contextlib.suppress(OSError):
            socket.close(self._sock.detach())

    def time_out(self) -> None:
        """Have what waits fail: its deadline is over."""
        raise NotImplementedError

    def _keep(self, data: bytes | None) -> None:
        """Keep what no reader has taken, before what came since."""
        raise NotImplementedError

    def _take(self, max_bytes: int) -> bytes | None:
        """Return what is there, b"" at the end, None for nothing yet; raises if the connection broke."""
        raise NotImplementedError

    def _abort(self, farewell: bytes) -> None:
        """Abort, in the loop's own thread or after its end."""
        raise NotImplementedError


def waiter_of(loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
    """Return a future of the running loop, before anything of a loop in another thread is touched.

    Raises:
        RuntimeError: The running loop is not this one.
    """
    waiter: asyncio.Future[Any] = asyncio.Future()  # to have the loop make it costs twice as much
    if waiter.get_loop() is not loop:
        refuse_loop()
    return waiter


def refuse_loop() -> NoReturn:
    """Refuse to read in another event loop, where nothing would wake the reader."""
    raise RuntimeError("the connection belongs to another event loop")


def handed_to(reader: asyncio.Future[bytes | None]) -> bytes | None:
    """Return what a reader was given that was cancelled before it could take it, or None."""
    if not reader.done() or reader.cancelled() or reader.exception() is not None:
        return None
    return reader.result()


def wake(waiter: asyncio.Future[Any] | None) -> None:
    """Wake who waits, if anyone does."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
