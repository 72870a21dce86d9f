"""Every socket that a client makes, its options, and addresses that do not answer."""

from __future__ import annotations

import socket
import time
from typing import Any

__all__ = ["DEAD", "DEFAULTS", "LONG", "OTHER_DEAD", "Watch"]

DEAD, OTHER_DEAD = ("127.0.0.2", 80), ("127.0.0.3", 80)
LONG = 20.0  # seconds that nobody waits unless something is broken
DEFAULTS = {
    "SO_KEEPALIVE": 1,
    "TCP_KEEPIDLE": 45,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 75_000,
    "TCP_NODELAY": 1,
}


class Watch:
    """Every socket that the client makes.

    Attributes:
        sockets: In the order in which they were made.
        options: What each of those over TCP had set when it began to connect.
        queue: The listener to which `DEAD` and `OTHER_DEAD` lead; its queue is full.
        names: The addresses of ``agent.test``.
        bound_to: The port to which the next socket is bound.
    """

    def __init__(self, queue: socket.socket) -> None:
        self.sockets: list[socket.socket] = []
        self.options: list[dict[str, int]] = []
        self.queue = queue
        self.names: list[tuple[str, int]] = []
        self.bound_to = 0

    def make(self, family: int, kind: int, protocol: int) -> socket.socket:
        """Replace ``socket.socket``."""
        made = _Watched(family, kind, protocol)
        made.watch = self
        if self.bound_to:
            made.bind(("127.0.0.1", self.bound_to))
            self.bound_to = 0
        self.sockets.append(made)
        return made

    def look_up(self, host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        """Replace ``getaddrinfo``."""
        if host != "agent.test":
            return _look_up(host, port, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in self.names]

    @property
    def left_open(self) -> int:
        """How many have not been closed."""
        return sum(sock.fileno() >= 0 for sock in self.sockets)

    def wait_for_attempts(self, count: int) -> None:
        """Wait until so many sockets have been made."""
        deadline = time.monotonic() + LONG
        while len(self.sockets) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)


_look_up = socket.getaddrinfo


class _Watched(socket.socket):
    watch: Watch

    def connect(self, address: Any) -> None:
        super().connect(self._begin(address))

    def connect_ex(self, address: Any) -> int:
        return super().connect_ex(self._begin(address))

    def _begin(self, address: Any) -> Any:
        if self.family == socket.AF_INET:
            self.watch.options.append(options_of(self))
        return self.watch.queue.getsockname() if address in (DEAD, OTHER_DEAD) else address


def options_of(sock: socket.socket) -> dict[str, int]:
    """Return what a socket has of `DEFAULTS`."""
    levels = {"SO_KEEPALIVE": socket.SOL_SOCKET}
    return {
        name: sock.getsockopt(levels.get(name, socket.IPPROTO_TCP), getattr(socket, name))
        for name in DEFAULTS
    }
