"""A peer that does exactly what a test wants, even what no server would do: raw sockets in threads.

    with Peer(answers(http(200, b"<html>"))) as peer:
        ...  # point a client at peer.url; peer.requests has what came

Connection number n is served by act number n, those beyond the last act by the last one. An act is a
function of a `PeerConnection`; when it returns, the connection is closed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "Act",
    "Peer",
    "PeerConnection",
    "Request",
    "answers",
    "chunked",
    "http",
    "http_chunk",
    "message",
    "ndjson",
    "opens_websocket",
    "reads_some_then",
    "sends",
    "sse",
    "upgrade",
    "websocket_frame",
]

PATIENCE = 10.0  # seconds that any single wait of a peer may take
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True)
class Request:
    """One HTTP request as it came.

    Attributes:
        line: Method, target and version.
        headers: By lower-case name.
    """

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """What was asked for."""
        return self.line.split(" ")[1]

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class PeerConnection:
    """One connection that the peer has accepted."""

    def __init__(self, peer: Peer, sock: socket.socket, number: int) -> None:
        self.peer = peer
        self.socket = sock
        self.number = number
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def read_request(self) -> Request | None:
        """Read the next request with its body and record it; None if the client has disconnected."""
        head, end, self._buffer = self._read_until(b"\r\n\r\n").partition(b"\r\n\r\n")
        if not end:
            return None
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
        body = self.read_exactly(int(headers.get("content-length", "0")))
        request = Request(line, headers, body)
        self.peer.requests.append(request)
        return request

    def unread(self, request: Request) -> None:
        """Have `read_request` give this request again; it is not noted twice."""
        self.peer.requests.remove(request)
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        self._buffer = f"{request.line}\r\n{head}\r\n".encode("latin-1") + request.body + self._buffer

    def read_exactly(self, size: int) -> bytes:
        """Read so many bytes, fewer if the client disconnects."""
        while len(self._buffer) < size and (data := self.socket.recv(1 << 16)):
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def read_message(self) -> bytes:
        """Read one masked WebSocket frame and return what it carries.

        Raises:
            ConnectionError: The client has disconnected, perhaps before a busy machine got to its request.
        """
        head = self.read_exactly(2)
        if len(head) < 2:
            raise ConnectionError("no message from the client")
        size = head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(self.read_exactly(2 if size == 126 else 8))
        mask = self.read_exactly(4)
        return bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.read_exactly(size)))

    def wait_gone(self) -> None:
        """Wait until the client has disconnected, whatever it sends before."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while self.socket.recv(1 << 16):
                pass

    def reset(self) -> None:
        """End the connection with a TCP RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read_until(self, marker: bytes) -> bytes:
        while marker not in self._buffer and (data := self.socket.recv(1 << 16)):
            self._buffer += data
        return self._buffer


Act = Callable[[PeerConnection], Any]


class Peer:
    """A server whose every connection is served by an act in a separate thread.

    Attributes:
        requests: The HTTP requests that acts have read, of all connections.
        connections: How many connections were accepted.
        port: Where it listens, and listened once it is closed.
        faults: What went wrong on connections, for example refused TLS handshakes.
    """

    def __init__(
        self, *acts: Act, ssl_context: ssl.SSLContext | None = None, unix_path: str | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0
        self.faults: list[OSError] = []
        self._acts = acts
        self._ssl_context = ssl_context
        self._unix_path = unix_path
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = False

    @property
    def url(self) -> str:
        """The base URL."""
        if self._unix_path is not None:
            return f"http+unix://{quote(self._unix_path, safe='')}"
        return f"{'http' if self._ssl_context is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        if self._unix_path is None:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.port = self._listener.getsockname()[1]
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self._unix_path)
            self._listener.listen(128)
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        with socket.socket(self._listener.family) as wake:
            wake.settimeout(PATIENCE)
            wake.connect(self._listener.getsockname())
        self._threads[0].join()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name="fake-agent-peer", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._closing:
                sock.close()
                return
            self.connections += 1
            self._start(self._serve, sock, self.connections)

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.settimeout(PATIENCE)
        if self._unix_path is None:  # otherwise a reset would overtake what waits for an acknowledgement
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(sock)
        try:
            if self._ssl_context is not None:
                sock = self._start_tls(self._ssl_context, sock)
            self._acts[min(number, len(self._acts)) - 1](PeerConnection(self, sock, number))
        except OSError as exc:
            self.faults.append(exc)
        finally:
            with self._lock:
                self._open.discard(sock)
                sock.close()

    def _start_tls(self, context: ssl.SSLContext, sock: socket.socket) -> socket.socket:
        wrapped = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.discard(sock)
            self._open.add(wrapped)
        try:
            wrapped.do_handshake()
        except OSError:
            with self._lock:
                self._open.discard(wrapped)
            wrapped.close()
            raise
        return wrapped


def answers(*responses: bytes) -> Act:
    """Answer one request after the other with these, then close."""

    def act(connection: PeerConnection) -> None:
        for response in responses:
            if connection.read_request() is None:
                return
            connection.send(response)

    return act


def sends(*data: bytes) -> Act:
    """Send this at once, then read until the client disconnects."""

    def act(connection: PeerConnection) -> None:
        connection.send(b"".join(data))
        connection.wait_gone()

    return act


def reads_some_then(data: bytes, leave: Callable[[PeerConnection], Any]) -> Act:
    """Read the beginning of a request, answer, and leave in the given way."""

    def act(connection: PeerConnection) -> None:
        connection.socket.recv(1000)
        connection.send(data)
        leave(connection)

    return act


def opens_websocket(connection: PeerConnection) -> None:
    """Read the handshake and agree to it."""
    request = connection.read_request()
    assert request is not None
    accept = base64.b64encode(hashlib.sha1(request.headers["sec-websocket-key"].encode() + _GUID).digest())
    connection.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def upgrade(*frames: bytes) -> Act:
    """Open a WebSocket, note the run's request in `Peer.requests`, send these frames, wait for the client."""

    def act(connection: PeerConnection) -> None:
        opens_websocket(connection)
        connection.peer.requests.append(Request("", {}, connection.read_message()))
        connection.send(b"".join(frames))
        connection.wait_gone()

    return act


def http(status: int, body: bytes | str | dict[str, Any] = b"", **headers: str) -> bytes:
    """Write an answer with a Content-Length; in the headers' names ``_`` means ``-``."""
    if isinstance(body, dict):
        headers.setdefault("content_type", "application/json")
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    fields = {"content-length": str(len(data))} | {name.replace("_", "-"): v for name, v in headers.items()}
    head = f"HTTP/1.1 {status} x\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return head.encode() + b"\r\n" + data


def chunked(content_type: str, *pieces: bytes, end: bool = True, **headers: str) -> bytes:
    """Write an answer with status 200 in chunks; without ``end`` the last chunk is missing."""
    fields = {"content-type": content_type, "transfer-encoding": "chunked"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "HTTP/1.1 200 x\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    body = b"".join(map(http_chunk, pieces))
    return head.encode() + b"\r\n" + body + (b"0\r\n\r\n" if end else b"")


def http_chunk(piece: bytes) -> bytes:
    """Write one chunk of a body (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def sse(*events: tuple[str, Any] | bytes, end: bool = True, **headers: str) -> bytes:
    """Write an answer that streams events: (name, data) or bytes as they are."""
    return chunked("text/event-stream", *map(_event, events), end=end, **headers)


def ndjson(*messages: dict[str, Any] | bytes, end: bool = True) -> bytes:
    """Write an answer that streams lines."""
    lines = (m if isinstance(m, bytes) else json.dumps(m).encode() + b"\n" for m in messages)
    return chunked("application/x-ndjson", *lines, end=end)


def _event(event: tuple[str, Any] | bytes) -> bytes:
    if isinstance(event, bytes):
        return event
    return f"event: {event[0]}\ndata: {json.dumps(event[1])}\n\n".encode()


def websocket_frame(payload: bytes, opcode: int = 1, *, fin: bool = True) -> bytes:
    """Write a server's frame."""
    size = len(payload)
    first = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        return first + bytes([size]) + payload
    return (
        first + (struct.pack("!BH", 126, size) if size < 1 << 16 else struct.pack("!BQ", 127, size)) + payload
    )


def message(value: Any) -> bytes:
    """Write a server's JSON message as a WebSocket frame."""
    return websocket_frame(json.dumps(value).encode())


def messages(values: Iterable[Any]) -> bytes:
    """Write several of them."""
    return b"".join(map(message, values))
