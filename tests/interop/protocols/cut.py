"""A relay in front of a real server, which cuts event streams."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

from tests.support.peer import http as whole
from tests.support.peer import http_chunk

if TYPE_CHECKING:
    from tests.support.peer import Act, PeerConnection, Request

__all__ = ["relays"]

PATIENCE = 20.0  # seconds


def relays(port: int, *, events: int | None = None, properly: bool = False) -> Act:
    """Relay requests to a port of this machine.

    Args:
        port: Where the server listens.
        events: How many events of a stream pass; None for all.
        properly: Whether a stream that is cut ends as if it were whole.
    """

    def act(connection: PeerConnection) -> None:
        while (request := connection.read_request()) is not None:
            upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            try:
                answer = _ask(upstream, request)
                kind = answer.headers.get("content-type") or "text/plain"
                if not kind.startswith("text/event-stream"):
                    connection.send(whole(answer.status, answer.read(), content_type=kind))
                elif not _relay(connection, answer, events) and not properly:
                    return
                else:
                    connection.send(b"0\r\n\r\n")
            finally:
                upstream.close()

    return act


def _ask(upstream: http.client.HTTPConnection, request: Request) -> http.client.HTTPResponse:
    fields = {
        name: value for name, value in request.headers.items() if name not in ("host", "content-length")
    }
    upstream.request(request.line.split(" ")[0], request.target, request.body, fields)
    return upstream.getresponse()


def _relay(connection: PeerConnection, answer: http.client.HTTPResponse, events: int | None) -> bool:
    """Relay a stream; return whether all of it has passed."""
    fields = {name: value for name, value in answer.getheaders() if name.lower() != "transfer-encoding"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    connection.send(f"HTTP/1.1 200 x\r\n{head}transfer-encoding: chunked\r\n\r\n".encode())
    passed = 0
    while passed != events and (line := answer.readline()):
        connection.send(http_chunk(line))
        passed += not line.strip()
    return passed != events
