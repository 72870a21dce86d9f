"""The sockets of the client: their options, and whether one is connected, and not to itself."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from runagent._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent._address.route import SocketOption

__all__ = [
    "QUEUE_SECONDS",
    "Candidate",
    "Outbox",
    "check_attempt",
    "connected_socket",
    "hears",
    "new_socket",
    "reaches_itself",
    "refuse_itself",
    "wants_another_try",
]

Candidate = tuple[int, int, int, Any]  # family, type, protocol, socket address

QUEUE_SECONDS = 0.02  # until a Unix socket whose queue is full is tried again
_KEEP_IDLE_SECONDS = 45
_KEEP_INTERVAL_SECONDS = 10
_KEEP_COUNT = 3
_USER_TIMEOUT_MILLISECONDS = 75_000  # as long as keepalive needs to notice a peer that is gone
_TCP_OPTIONS = (
    ("TCP_NODELAY", 1),
    ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", _KEEP_IDLE_SECONDS),
    ("TCP_KEEPINTVL", _KEEP_INTERVAL_SECONDS),
    ("TCP_KEEPCNT", _KEEP_COUNT),
    ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MILLISECONDS),
)


def new_socket(candidate: Candidate, options: tuple[SocketOption, ...] | None = None) -> socket.socket:
    """Make a socket, with the given options or else the defaults.

    The defaults: small writes go out at once, and a peer that vanished during a long silence is noticed.

    Raises:
        ConfigurationError: The system refuses one of ``options``.
    """
    family, kind, protocol, _ = candidate
    sock = socket.socket(family, kind, protocol)
    over_tcp = family in (socket.AF_INET, socket.AF_INET6)
    try:
        if options is not None:
            _set_given(sock, options, over_tcp=over_tcp)
        elif over_tcp:
            _set_defaults(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _set_defaults(sock: socket.socket) -> None:
    """Set what this system knows; the sandbox that refuses an option has streams all the same."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
            except OSError:
                continue


def _set_given(sock: socket.socket, options: tuple[SocketOption, ...], *, over_tcp: bool) -> None:
    for level, option, value in options:
        if not over_tcp and level != socket.SOL_SOCKET:
            continue  # a Unix socket has no options of TCP or IP
        try:
            sock.setsockopt(level, option, value)
        except (OSError, OverflowError, TypeError) as exc:
            raise ConfigurationError(
                f"socket_options: the system refuses ({level}, {option}, {value!r}): {exc}",
                code="INVALID_SOCKET_OPTION",
            ) from exc


def wants_another_try(candidate: Candidate) -> bool:
    """Whether a socket that could not connect at once has to try again: a Unix socket whose queue is full.

    The kernel does not note such an attempt, and reports the socket as writable.
    """
    return candidate[0] == getattr(socket, "AF_UNIX", None)


async def connected_socket(
    candidate: Candidate,
    options: tuple[SocketOption, ...] | None,
    connect: Callable[[socket.socket, Candidate], Awaitable[None]],
) -> socket.socket:
    """Return a non-blocking socket that an event loop's ``connect`` has connected; closed if that fails.

    Raises:
        OSError: It cannot be connected, or is connected to itself.
    """
    sock = new_socket(candidate, options)
    try:
        sock.setblocking(False)
        await connect(sock, candidate)
        refuse_itself(sock, candidate)
    except BaseException:
        sock.close()
        raise
    return sock


def check_attempt(sock: socket.socket) -> None:
    """Raise the error of an attempt to connect that has come to its end, if it failed.

    Raises:
        OSError: It failed.
    """
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def refuse_itself(sock: socket.socket, candidate: Candidate) -> None:
    """Raise what connecting to a port without a listener raises, if a socket is connected to itself.

    Raises:
        ConnectionRefusedError: It is.
    """
    if reaches_itself(sock, candidate):
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def reaches_itself(sock: socket.socket, candidate: Candidate) -> bool:
    """Whether a socket that was connected to an address is connected to itself.

    A port of the ephemeral range on which nothing listens may be the one that the kernel gives to the client:
    then TCP's simultaneous open (RFC 9293, section 3.5) succeeds with one socket at both ends.
    """
    if candidate[0] not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        local = sock.getsockname()
        # Another port than the one it was connected to: so most of them need no second question.
        return bool(local[1] == candidate[3][1] and local == sock.getpeername())
    except OSError:  # it has been cut off again already
        return False


def hears(sock: socket.socket) -> bool | None:
    """Whether the peer has sent something that is unread; None if it has sent its end."""
    try:
        return bool(socket.socket.recv(sock, 1, socket.MSG_PEEK)) or None  # also below TLS
    except BlockingIOError:
        return False
    except OSError:  # broken, as the next write will report
        return None


class Outbox:
    """What a connection has yet to send: pieces, the first one perhaps in part."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[memoryview] = []

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, data: bytes) -> None:
        """Put something behind what is there."""
        if data:
            self._pieces.append(memoryview(data))

    def send(self, sock: socket.socket) -> None:
        """Have a non-blocking socket take as much as it can of the first piece.

        Raises:
            OSError: It takes nothing now, or is broken.
        """
        piece = self._pieces[0]
        rest = piece[sock.send(piece) :]
        if rest:
            self._pieces[0] = rest
        else:
            del self._pieces[0]

    def clear(self) -> None:
        """Forget what is there: a key may be in it."""
        self._pieces.clear()
