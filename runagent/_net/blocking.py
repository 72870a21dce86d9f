"""The network of synchronous code: blocking sockets, whose timeout is set again only if it must shrink."""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys
import time
from typing import TYPE_CHECKING, TypeVar

from runagent._internal import clock
from runagent._internal.foreign import let_signals_through
from runagent._net.base import (
    ConnectAttempt,
    DeadlineExceededError,
    pin,
    socket_was_reset,
    track_descriptor,
    unpin,
)
from runagent._net.blocking_dial import STEP_SECONDS, dial_first
from runagent._net.resolve import candidates_now, connect_at_once, look_up
from runagent._net.sockets import Outbox, hears

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from concurrent.futures import Future

    from runagent._address.route import Address

__all__ = ["BlockingConnection", "BlockingNetwork"]

T = TypeVar("T")

_NEVER = float("inf")
_READ_BYTES = 64 * 1024
_SLACK = 0.05  # a timeout may fire this share late: re-arming it for every read would cost a system call each


class BlockingConnection:
    """A socket, plain or TLS."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tls: ssl.SSLSocket | None = None  # the same socket, once it speaks TLS
        self._outbox = Outbox()
        self._armed: float | None = None  # what settimeout holds; None if that is unknown
        self._least = _NEVER  # settimeout has to be called for a wait of so many seconds or less
        track_descriptor(self)
        pin(self)

    def start_tls(self, context: ssl.SSLContext, hostname: str) -> None:
        """Wrap the socket; a handshake has to follow.

        Raises:
            ConnectionResetError: The peer has reset the connection already.
        """
        from runagent._net.alpn import offering

        with offering(context):
            try:
                self._sock = self._tls = context.wrap_socket(
                    self._sock, server_hostname=hostname, do_handshake_on_connect=False
                )
            except OSError as exc:
                _close_unfinished(exc)
                raise

    def handshake(self, deadline: float) -> None:
        """Agree on keys with a peer whose certificate is trusted; continues after a deadline.

        Raises:
            DeadlineExceededError: Not in time.
            OSError: The connection broke, or TLS failed.
            NetworkError: The peer has chosen another protocol.
        """
        from runagent._net.alpn import check_negotiated

        assert self._tls is not None
        self._tls.settimeout(max(deadline - clock.now(), 0.001))
        self._armed, self._least = None, _NEVER
        try:
            self._tls.do_handshake()
        except TimeoutError as exc:
            let_signals_through(exc)
            if exc.errno is not None:
                raise
            raise DeadlineExceededError from None
        check_negotiated(self._tls.selected_alpn_protocol())

    def send(self, data: bytes, deadline: float) -> bool:
        """See `Connection.send`."""
        outbox = self._outbox
        outbox.add(data)
        self._disarm()
        try:
            while outbox:
                if self._takes_some(outbox):
                    continue
                heard = hears(self._sock)
                if heard:
                    return True
                self._wait_to_send(deadline, listening=heard is not None)
        except BaseException:
            outbox.clear()
            raise
        return False

    def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `Connection.receive`."""
        while True:
            left = deadline - clock.now()
            if left <= self._least:
                if left <= 0:
                    data = self.poll(max_bytes)
                    if data is None:
                        raise DeadlineExceededError
                    return data
                self._arm(left)
            try:
                return self._sock.recv(max_bytes)
            except TimeoutError as exc:
                self._check(exc, deadline)

    def poll(self, max_bytes: int) -> bytes | None:
        """See `Connection.poll`."""
        self._disarm()
        try:
            return self._sock.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError as exc:
            let_signals_through(exc)
            return None if self._tls is not None and _wants_more(exc) else b""

    def was_reset(self) -> bool:
        """See `Connection.was_reset`."""
        return self._tls is None and socket_was_reset(self._sock)

    def close_write(self) -> None:
        """See `Connection.close_write`; TLS has no half-close."""
        if self._tls is None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def interrupt(self) -> None:
        """See `Connection.interrupt`; the descriptor stays, because the other thread may be using it."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def abort(self, farewell: bytes = b"") -> None:
        """See `Connection.abort`."""
        if farewell and not self._outbox and self._sock.fileno() >= 0:
            self._sock.settimeout(0)
            with contextlib.suppress(OSError):
                self._sock.send(farewell)
        self._outbox.clear()
        try:
            self._sock.close()
        finally:
            unpin(self)

    def forget(self) -> None:
        """Drop a descriptor that belongs to the parent process; see `track_descriptor`."""
        with contextlib.suppress(OSError):
            socket.close(self._sock.detach())

    def _takes_some(self, outbox: Outbox) -> bool:
        """Send what the socket takes without a wait; False if that is nothing."""
        try:
            outbox.send(self._sock)
        except BlockingIOError:
            return False
        except OSError as exc:
            if self._tls is None or not _wants_more(exc):
                raise
            return False
        return True

    def _wait_to_send(self, deadline: float, *, listening: bool) -> None:
        left = deadline - clock.now()
        if left <= 0:
            raise DeadlineExceededError
        with selectors.DefaultSelector() as selector:
            wanted = selectors.EVENT_WRITE | (selectors.EVENT_READ if listening else 0)
            selector.register(self._sock, wanted)
            selector.select(min(left, clock.LONGEST_WAIT))

    def _disarm(self) -> None:
        """Have the socket wait for nothing; that costs a system call, if it is not so already."""
        if self._armed != 0:
            self._sock.settimeout(0)
            self._armed, self._least = 0.0, _NEVER

    def _arm(self, left: float) -> None:
        wait = None if left == float("inf") else min(max(left, 0.0001), clock.LONGEST_WAIT)
        self._sock.settimeout(wait)
        self._armed = _NEVER if wait is None else wait
        self._least = sys.float_info.max if wait is None else wait / (1 + _SLACK)

    def _check(self, exc: TimeoutError, deadline: float) -> None:
        """Distinguish our own timeout, perhaps armed for a nearer deadline, from one of the network's."""
        let_signals_through(exc)
        if exc.errno is not None:
            raise exc
        if clock.now() >= deadline:
            raise DeadlineExceededError from None
        self._least = _NEVER


def _close_unfinished(error: OSError) -> None:
    """Close the socket that `ssl` was about to make: it leaves it open if the peer resets the connection."""
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    while trace is not None:
        made = trace.tb_frame.f_locals.get("self")
        if isinstance(made, socket.socket):
            made.close()
        trace = trace.tb_next


def _wants_more(exc: OSError) -> bool:
    """Whether TLS has part of a record and waits until the rest has come, or can be sent."""
    import ssl  # plain connections do without

    return isinstance(exc, ssl.SSLWantReadError | ssl.SSLWantWriteError)


class BlockingNetwork:
    """Connections and time, for synchronous code; shared by threads."""

    def connect(self, address: Address, deadline: float, attempt: ConnectAttempt) -> BlockingConnection:
        """See `Network.connect`."""
        try:
            connection = BlockingConnection(self._dial(address, deadline, attempt))
            try:
                self._secure(connection, address, deadline, attempt)
            except BaseException:
                connection.abort()
                raise
        except OSError as exc:
            from runagent._net.faults import connect_error

            raise connect_error(exc, address) from exc.with_traceback(None)
        return connection

    now = staticmethod(clock.now)

    def sleep(self, seconds: float) -> None:
        """See `Network.sleep`."""
        time.sleep(seconds)

    def _dial(self, address: Address, deadline: float, attempt: ConnectAttempt) -> socket.socket:
        if (at_once := connect_at_once(address)) is not None:
            return at_once
        candidates = candidates_now(address)
        if candidates is None:
            found = look_up(address)
            candidates = _by_steps(lambda until: _result(found, until), deadline, attempt)
        return dial_first(candidates, address.socket_options, deadline, attempt)

    def _secure(
        self, connection: BlockingConnection, address: Address, deadline: float, attempt: ConnectAttempt
    ) -> None:
        """Open the proxy's tunnel and begin TLS, as far as the address wants them."""
        if address.proxy is not None and address.tunnel:
            from runagent._net.tunnel import Tunnel

            tunnel = Tunnel(address)
            connection.send(tunnel.request, deadline)
            while not tunnel.open:
                tunnel.feed(
                    _by_steps(lambda until: connection.receive(_READ_BYTES, until), deadline, attempt)
                )
        if address.origin.secure:
            assert address.ssl_context is not None
            from runagent._net.tls import server_name

            connection.start_tls(address.ssl_context, server_name(address.origin))
            _by_steps(connection.handshake, deadline, attempt)


def _by_steps(wait: Callable[[float], T], deadline: float, attempt: ConnectAttempt) -> T:
    """Wait until a moment again and again, as nothing wakes a thread that looks a name up or shakes hands.

    Raises:
        DeadlineExceededError: Not in time, or not wanted any more.
    """
    while True:
        until = min(deadline, clock.now() + STEP_SECONDS)
        try:
            return wait(until)
        except DeadlineExceededError:
            if until >= deadline or attempt.cancelled:
                raise


def _result(future: Future[T], until: float) -> T:
    try:
        return future.result(max(until - clock.now(), 0.0))
    except TimeoutError as exc:
        let_signals_through(exc)
        raise DeadlineExceededError from None
