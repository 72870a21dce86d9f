"""A client that hides nothing: the bytes that arrived, and how TCP ended."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20.0  # seconds that anything may take on a busy machine
SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
STREAM_REQUEST = {"entrypoint_tag": "generic_stream", "input_args": [], "input_kwargs": {}}


def post(path: str, body: Any = None, version: str = "1.1", **headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    fields = {"host": "localhost", "content-length": str(len(content))} | headers
    lines = [f"POST {path} HTTP/{version}"] + [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def stream(agent: str = "a", body: Any = None, *, accept: str = SSE, **headers: str) -> bytes:
    return post(f"/v1/agents/{agent}/stream", body, accept=accept, **headers)


def handshake(agent: str = "a") -> bytes:
    return (
        f"GET /api/v1/agents/{agent}/run-stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def masked(opcode: int, payload: bytes) -> bytes:
    mask = b"mask"  # always the same: frames are part of the names of tests, which xdist compares
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else struct.pack("!BH", 0xFE, len(payload))
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([0x80 | opcode]) + size + mask + body


def http_chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class RawClient:
    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.buffer = bytearray()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, marker: bytes) -> bytes:
        """Receive up to and including the marker."""
        searched = 0
        while (at := self.buffer.find(marker, searched)) < 0:
            searched = max(len(self.buffer) - len(marker), 0)
            received = self.socket.recv(1 << 20)
            assert received, f"the server closed after {bytes(self.buffer[-200:])!r}"
            self.buffer += received
        end = at + len(marker)
        seen = bytes(self.buffer[:end])
        del self.buffer[:end]
        return seen

    def rest(self) -> tuple[bytes, Literal["fin", "reset"]]:
        """Receive until the server ends the connection; return how it did."""
        ended: Literal["fin", "reset"] = "fin"
        try:
            while received := self.socket.recv(1 << 20):
                self.buffer += received
        except ConnectionResetError:
            ended = "reset"
        return bytes(self.buffer), ended

    def open_websocket(self, agent: str = "a", request: Any = STREAM_REQUEST) -> None:
        self.send(handshake(agent))
        assert self.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        self.send(masked(0x1, json.dumps(request).encode()))

    def abort(self) -> None:
        """Leave with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@contextlib.contextmanager
def connected(url: str) -> Iterator[RawClient]:
    with _socket(url) as connection:
        yield RawClient(connection)


def until_refused(url: str) -> None:
    """Connect until nobody listens any more."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            _socket(url).close()
        except ConnectionError:
            return
        time.sleep(0.01)  # a flood of connections would keep the server from closing
    raise AssertionError(f"{url} still accepts connections")


def _socket(url: str) -> socket.socket:
    parts = urlsplit(url)
    if parts.scheme == "http+unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(unquote(parts.netloc))
        return connection
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=PATIENCE)
