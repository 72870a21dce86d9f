"""Which socket addresses a host name stands for, and what a socket of ours looks like."""

from __future__ import annotations

import errno
import socket
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from runagent.net.address import numeric_address

if TYPE_CHECKING:
    from concurrent.futures import Future

    from runagent.net.base import Address

__all__ = [
    "Candidate",
    "candidates_from",
    "candidates_now",
    "connect_at_once",
    "look_up",
    "new_socket",
    "share_of",
]

_CONNECTED = (0, errno.EISCONN, errno.ECONNRESET)  # and perhaps cut off again already

Candidate = tuple[int, int, int, Any]  # family, type, protocol, socket address


def candidates_now(address: Address) -> list[Candidate] | None:
    """Return the addresses that need no look-up in the network (numbers, localhost, Unix sockets), else None.

    A look-up costs the asynchronous styles a thread; these answer from the machine's own files.
    """
    unix_path = address.origin.unix_path
    if unix_path is not None:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError(errno.EAFNOSUPPORT, "this system has no Unix sockets")
        return [(socket.AF_UNIX, socket.SOCK_STREAM, 0, unix_path)]
    host, port = address.endpoint
    if numeric_address(host) is not None:
        return [*_numeric_candidates(host, port)]
    if host.rstrip(".") != "localhost":
        return None
    return candidates_from(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


@lru_cache(maxsize=64)
def _numeric_candidates(host: str, port: int) -> list[Candidate]:
    """Spell an address that is a number, which no file and no network can change."""
    # As bytes: a text would go through the codec for international names, which is slow to import.
    return candidates_from(socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM))


def candidates_from(found: list[Any]) -> list[Candidate]:
    """Drop the canonical names from an answer of ``getaddrinfo``."""
    return [(family, kind, protocol, sockaddr) for family, kind, protocol, _, sockaddr in found]


def look_up(address: Address) -> Future[list[Candidate]]:
    """Begin to resolve a host name.

    ``getaddrinfo`` keeps to no deadline, and nothing interrupts it. So it has a thread of its own,
    which whoever has waited long enough can leave behind: it ends when the resolver gives up.
    """
    from concurrent.futures import Future  # slow to import, and numbers need none

    future: Future[list[Candidate]] = Future()
    thread = threading.Thread(
        target=_look_up, args=(*address.endpoint, future), name="runagent-look-up", daemon=True
    )
    thread.start()
    return future


def _look_up(host: str, port: int, future: Future[list[Candidate]]) -> None:
    future.set_running_or_notify_cancel()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        future.set_exception(exc)
    else:
        future.set_result(candidates_from(found))


def new_socket(candidate: Candidate) -> socket.socket:
    """Make a socket that sends small writes at once."""
    family, kind, protocol, _ = candidate
    sock = socket.socket(family, kind, protocol)
    if family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def connect_at_once(address: Address) -> socket.socket | None:
    """Connect to a server on this machine, for which nobody has to wait: the kernel is at both ends.

    Waiting is the larger part of what connecting costs in asyncio and trio. Returns None where it is needed
    (another machine, TLS, a full queue) or where there is a fault: connecting with a wait will tell which.
    """
    if address.proxy is not None or address.origin.secure or not address.origin.is_loopback:
        return None
    for candidate in candidates_now(address) or ():
        sock = new_socket(candidate)
        sock.setblocking(False)
        # The first call says that it has begun, the second one what has come of it meanwhile.
        for _ in range(2):
            if sock.connect_ex(candidate[3]) in _CONNECTED:
                return sock
        sock.close()
    return None


def share_of(left: float, candidates: int) -> float:
    """Return the seconds that the next address gets, so that a dead one leaves time for the others."""
    return max(left / candidates, 0.0)
