"""A small HTTP proxy: CONNECT tunnels and requests in absolute form, with or without credentials."""

from __future__ import annotations

import contextlib
import selectors
import socket
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.peer import PATIENCE, Peer, PeerConnection, Request, http

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Proxy"]


class Proxy(Peer):
    """Pass requests on to the hosts that it knows.

    Args:
        hosts: Where a name and port lead, as ``{"agent.test:80": port on loopback}``.
        credentials: ``user:password`` that it asks for.

    Attributes:
        requests: What it was asked, in order: CONNECT requests and requests in absolute form.
    """

    def __init__(self, hosts: Mapping[str, int], *, credentials: str | None = None) -> None:
        super().__init__(self._pass_on)
        self._hosts = hosts
        wanted = None if credentials is None else b64encode(credentials.encode()).decode()
        self._wanted = wanted and f"Basic {wanted}"

    def _pass_on(self, connection: PeerConnection) -> None:
        while request := connection.read_request():
            if self._wanted and request.headers.get("proxy-authorization") != self._wanted:
                connection.send(http(407, "who are you?", proxy_authenticate="Basic"))
            elif request.line.startswith("CONNECT "):
                self._tunnel(connection, request)
                return
            else:
                self._forward(connection, request)

    def _dial(self, connection: PeerConnection, authority: str) -> socket.socket | None:
        port = self._hosts.get(authority)
        if port is None:
            connection.send(http(502, f"no such host: {authority}"))
            return None
        return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)

    def _tunnel(self, connection: PeerConnection, request: Request) -> None:
        upstream = self._dial(connection, request.target)
        if upstream is None:
            return
        with upstream:
            connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _relay(connection.socket, upstream)

    def _forward(self, connection: PeerConnection, request: Request) -> None:
        """Ask the origin on a separate connection and stream the answer until the origin closes it."""
        parts = urlsplit(request.target)
        upstream = self._dial(connection, f"{parts.hostname}:{parts.port or 80}")
        if upstream is None:
            return
        with upstream:
            fields = {k: v for k, v in request.headers.items() if not k.startswith("proxy-")} | {
                "connection": "close"
            }
            head = f"POST {parts.path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
            upstream.sendall(head.encode() + b"\r\n" + request.body)
            _relay(connection.socket, upstream)


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until one of the sides ends."""
    with selectors.DefaultSelector() as selector, contextlib.suppress(ConnectionError):
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while ready := selector.select(PATIENCE):
            for key, _ in ready:
                data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                if not data:
                    return
                key.data.sendall(data)
