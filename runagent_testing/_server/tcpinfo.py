"""What this machine's kernel knows of the client at the other end of a socket.

Only Linux is asked; elsewhere, and over a network, the answer is "not known".
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["bytes_taken", "is_half_closed"]

_TAKEN = struct.Struct("@120xQ")  # tcpi_bytes_acked of struct tcp_info

# sock_diag(7): the question for one TCP socket, and what of the answer is read.
_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_QUESTION = struct.Struct("=BBBxI")  # struct inet_diag_req_v2, up to its id
_SOCKET_ID = struct.Struct("!HH16s16s4x8s")  # struct inet_diag_sockid
_INODE = struct.Struct("=68xI")  # idiag_inode of struct inet_diag_msg
_ANY = 0xFFFFFFFF


def bytes_taken(transport: asyncio.BaseTransport | None) -> int | None:
    """Count what the client's kernel has acknowledged; None if that is unknown.

    Unlike the transport's buffer, the socket knows it also after a RST. Not over TLS, which adds
    bytes, and not on Unix sockets.
    """
    if transport is None or transport.get_extra_info("sslcontext") is not None:
        return None
    connection = transport.get_extra_info("socket")
    if sys.platform != "linux" or connection is None or connection.family == socket.AF_UNIX:
        return None
    with contextlib.suppress(OSError, struct.error):  # an old kernel, or gone already
        return int(_TAKEN.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TAKEN.size))[0])
    return None


def is_half_closed(connection: socket.socket) -> bool | None:
    """Return whether a client that has sent its FIN still holds its socket, and may so be reading.

    A FIN is the same in both cases. But a kernel that has both ends knows whether anybody holds the other.

    Returns:
        None if that is unknown: the client is on another machine, or in another container.
    """
    if sys.platform != "linux":
        return None
    with contextlib.suppress(OSError, struct.error):
        if connection.family == socket.AF_UNIX:
            return not _is_hung_up(connection)
        return _is_held(connection.family, connection.getpeername(), connection.getsockname())
    return None


def _is_hung_up(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def _is_held(family: int, near: tuple[str, int], far: tuple[str, int]) -> bool | None:
    """Ask for the socket whose own address is ``near``: one that no process holds has no inode."""
    ends = [socket.inet_pton(family, end[0]) for end in (near, far)]
    question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, _ANY)
    question += _SOCKET_ID.pack(near[1], far[1], *ends, b"\xff" * 8)
    size = _HEADER.size + len(question)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.sendto(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, 1, 0, 0) + question, (0, 0))
        answer = kernel.recv(4096)
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None
    return bool(_INODE.unpack_from(answer, _HEADER.size)[0])
