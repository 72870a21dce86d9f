"""Which socket addresses a host name has, in which order they are tried, and the quick way to some."""

from __future__ import annotations

import errno
import socket
import threading
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from runagent._address.url import is_numeric
from runagent._internal.threads import needs_thread
from runagent._net.sockets import Candidate, new_socket, reaches_itself

if TYPE_CHECKING:
    from concurrent.futures import Future

    from runagent._address.route import Address

__all__ = [
    "ATTEMPT_SECONDS",
    "candidates_from",
    "candidates_now",
    "connect_at_once",
    "look_up",
]

ATTEMPT_SECONDS = 0.25  # until the next address is tried in parallel with the last one (RFC 8305, section 8)

_CONNECTED = (0, errno.EISCONN, errno.ECONNRESET)  # and perhaps cut off again already


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
    if is_numeric(host):
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
    """Return the addresses of an answer of ``getaddrinfo``, families in turn (RFC 8305, section 4)."""
    families: dict[int, dict[Candidate, None]] = {}
    for family, kind, protocol, _, sockaddr in found:
        families.setdefault(family, {})[family, kind, protocol, sockaddr] = None
    turns = zip_longest(*families.values())
    return [candidate for turn in turns for candidate in turn if candidate is not None]


def look_up(address: Address) -> Future[list[Candidate]]:
    """Begin to resolve a host name.

    ``getaddrinfo`` keeps to no deadline, and nothing interrupts it. So it has a separate thread,
    which a caller that has waited long enough can abandon: it ends when the resolver gives up.

    Raises:
        NetworkError: There is no thread to be had.
    """
    from concurrent.futures import Future  # slow to import, and numbers need none

    future: Future[list[Candidate]] = Future()
    thread = threading.Thread(
        target=_look_up, args=(*address.endpoint, future), name="runagent-look-up", daemon=True
    )
    with needs_thread("resolve a host name"):
        thread.start()
    return future


def _look_up(host: str, port: int, future: Future[list[Candidate]]) -> None:
    try:
        if future.set_running_or_notify_cancel():
            future.set_result(candidates_from(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    except BaseException as exc:  # noqa: BLE001  # handed to the one who waits, whose thread is another one
        future.set_exception(exc)


def connect_at_once(address: Address) -> socket.socket | None:
    """Connect to a server on this machine, for which nobody has to wait: the kernel is at both ends.

    Waiting is the larger part of what connecting costs. Returns None if it is needed (another machine, TLS, a
    full queue) or if there is a fault: connecting with a wait will show which.
    """
    if address.proxy is not None or address.origin.secure or not address.origin.is_loopback:
        return None
    for candidate in candidates_now(address) or ():
        sock = new_socket(candidate, address.socket_options)
        try:
            sock.setblocking(False)
            # The first call reports that it has begun, the second one what has come of it meanwhile.
            connected = any(sock.connect_ex(candidate[3]) in _CONNECTED for _ in range(2))
            if connected and not reaches_itself(sock, candidate):
                return sock
        except BaseException:
            sock.close()
            raise
        sock.close()
    return None
