"""Floods: what a peer may send without end, and how much memory a client takes for it."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import threading
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent._wire.websocket import accept_value
from tests.soak.measure import MIB
from tests.soak.process import Served, answer, served
from tests.support.peer import message, websocket_frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

__all__ = ["BOMBS", "FLOODS", "MAX_EVENT", "Flood", "find_flood", "flood_server"]

MAX_EVENT = MIB  # bytes
BLOCKED = 0.3  # seconds without a byte taken
_PATIENCE = 120.0  # seconds
_BLOCK = 64 * 1024  # bytes, about


def _event(index: int, content: str = "x") -> bytes:
    return b"event: chunk\ndata: %b\n\n" % json.dumps({"content": content, "index": index}).encode()


def _line(content: str = "x") -> bytes:
    return json.dumps({"type": "chunk", "content": content}).encode() + b"\n"


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


_LIMIT = "StreamLimitError"
_DATA = message({"type": "data", "content": "x"})
_SSE_END = b"event: done\ndata: {}\n\n"
_NDJSON_END = b'{"type":"done"}\n'
_WEBSOCKET_END = _DATA + message({"type": "status", "status": "stream_completed"})


@dataclass(frozen=True)
class Flood:
    """A flood over a transport.

    Attributes:
        kind: What comes without end.
        transport: Over what.
        block: What is sent again and again,
        begin: after this,
        end: and before this.
        headers: Of the answer, beyond its type.
        outcome: How the run ends: "ok", or the name of an error.
        drained: Whether the server reads what the client sends.
    """

    kind: str
    transport: str
    block: bytes
    begin: bytes = b""
    end: bytes = b""
    headers: tuple[str, ...] = ()
    outcome: str = "ok"
    drained: bool = True

    def __str__(self) -> str:
        return f"{self.kind} over {self.transport}"

    @property
    def bound(self) -> int:
        """Bytes of memory that it may take at the most: a few times an event, if one has no end."""
        return 6 * MAX_EVENT if self.outcome == _LIMIT else 2 * MIB

    def blocks(self, size: int) -> Iterator[bytes]:
        """Give the whole of it, in blocks, at least so many bytes; what has a limit is to get past it."""
        size = size if self.outcome == "ok" else max(size, 2 * MAX_EVENT)
        size = size if self.drained else 1024 * size  # a client that reads on without an end has to be found
        block = self.block * max(_BLOCK // max(len(self.block), 1), 1)
        yield self.begin
        for _ in range(-(-size // len(block)) if block else 0):
            yield block
        yield self.end


def _split(data: bytes) -> bytes:
    """Put each byte into a separate HTTP chunk."""
    return b"".join(b"1\r\n%c\r\n" % byte for byte in data)


_CHUNKED = ("transfer-encoding: chunked",)
_GZIP = ("content-encoding: gzip",)
_PLAIN_7 = ("content-type: text/plain; charset=utf-7",)
_ZEROS = b"\0" * MIB


def _text(charset: str) -> Flood:
    """Plain text without end, of halves of characters and of escapes."""
    block = b"\x1b$B\x81\xf0\x9f\x98\xd8\x3d+AGE" * 10
    field = f"content-type: text/plain; charset={charset}"
    return Flood(f"plain text in {charset}", "chunked", block, headers=(field,))


@functools.cache
def _bomb(begin: bytes) -> bytes:
    """Pack 64 MiB of nothing into as many KiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([packer.compress(begin), *(packer.compress(_ZEROS) for _ in range(64)), packer.flush()])


FLOODS = [
    Flood("an endless line", "sse", b"x" * _BLOCK, b"data: ", outcome=_LIMIT),
    Flood("an endless line", "chunked", b"x" * _BLOCK, b'{"type":"chunk","content":"', outcome=_LIMIT),
    Flood(
        "an endless message",
        "websocket",
        websocket_frame(b"x" * 100, 0, fin=False),
        websocket_frame(b"x", 1, fin=False),
        outcome=_LIMIT,
    ),
    Flood("an endless event", "sse", b"data:\n", outcome=_LIMIT),
    Flood("heartbeats", "sse", b": ping\n\n", _event(0), _event(1) + _SSE_END),
    Flood("heartbeats", "chunked", b"\n", _line(), _line() + _NDJSON_END),
    Flood("pings", "websocket", websocket_frame(b"ping", 9), _DATA, _WEBSOCKET_END),
    Flood(
        "pings whose pongs nobody takes",
        "websocket",
        websocket_frame(b"ping" * 30, 9),
        _DATA,
        outcome="StreamTimeoutError",
        drained=False,
    ),
    Flood(
        "tiny chunks of HTTP",
        "sse",
        _split(b": \n"),
        end=_split(_event(0) + _SSE_END) + b"0\r\n\r\n",
        headers=_CHUNKED,
    ),
    Flood(
        "empty fragments",
        "websocket",
        websocket_frame(b"", 0, fin=False),
        _DATA + websocket_frame(b"", 1, fin=False),
        websocket_frame(b"{}", 0) + _WEBSOCKET_END,
    ),
    Flood("unknown events", "sse", b"event: news\ndata: {}\n\n", end=_event(0) + _SSE_END),
    Flood("unknown messages", "chunked", b'{"type":"news"}\n', end=_line() + _NDJSON_END),
    Flood("unknown messages", "websocket", message({"type": "news"}), end=_WEBSOCKET_END),
    Flood("tiny events", "sse", b'event: chunk\ndata: {"content":"x"}\n\n', end=_SSE_END),
    Flood("tiny events", "chunked", _line(), end=_NDJSON_END),
    *(_text(charset) for charset in ("utf-8", "utf-16", "gb18030", "iso-2022-jp", "windows-1252")),
    Flood("base64 of utf-7", "chunked", b"AGEAYgBj", b"+", headers=_PLAIN_7, outcome="ProtocolError"),
    Flood("tiny events", "websocket", _DATA, end=_WEBSOCKET_END),
    Flood("tiny gzip members", "sse", _gzip(b": ping\n\n"), end=_gzip(_event(0) + _SSE_END), headers=_GZIP),
]
BOMBS = {"sse": b"data: ", "chunked": b'{"type":"chunk","content":"'}


def find_flood(kind: str, transport: str) -> Flood:
    if kind == "a gzip bomb":
        return Flood(kind, transport, b"", _bomb(BOMBS[transport]), headers=_GZIP, outcome=_LIMIT)
    return next(flood for flood in FLOODS if (flood.kind, flood.transport) == (kind, transport))


class _Server:
    """Sends floods: the input of a run chooses which, and how much of it.

    Attributes:
        sent: Bytes of the flood that was begun last.
        blocked: For a moment, nobody has taken anything of it.
    """

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        # What nobody takes is to fill the way soon; all that is taken is small.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self.sent = 0
        self.blocked = False

    def accept(self) -> None:
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            wanted = _read_request(sock)
            flood = find_flood(wanted["flood"], wanted["transport"])
            if flood.transport != "websocket":
                kind = "text/event-stream" if flood.transport == "sse" else "application/x-ndjson"
                given = (f"content-type: {kind}", *flood.headers)  # of two types the last counts
                fields = "".join(f"{field}\r\n" for field in given)
                sock.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n" + fields.encode() + b"\r\n")
            if flood.drained:
                threading.Thread(target=_drain, args=(sock,), daemon=True).start()
            self.sent, self.blocked = 0, False
            for block in flood.blocks(wanted["size"]):
                self._send(sock, memoryview(block))
            sock.shutdown(socket.SHUT_WR)
            _drain(sock)

    def _send(self, sock: socket.socket, block: memoryview) -> None:
        sock.settimeout(BLOCKED)
        last = time.monotonic()
        while block:
            try:
                taken = sock.send(block)
            except TimeoutError:
                self.blocked = True
                if time.monotonic() - last > _PATIENCE:
                    return
                continue
            self.sent += taken
            block, last = block[taken:], time.monotonic()


def _read_request(sock: socket.socket) -> Any:
    """Read a run's request, over HTTP or over a WebSocket that this opens."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(1 << 16)
    head, _, rest = data.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    names = {name.lower(): value for name, value in fields.items()}
    if "sec-websocket-key" not in names:
        while len(rest) < int(names["content-length"]):
            rest += sock.recv(1 << 16)
        return json.loads(rest)
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_value(names["sec-websocket-key"]).encode() + b"\r\n\r\n"
    )
    while len(rest) < 8 or len(rest) < 8 + int.from_bytes(rest[2:4]):  # a frame of 126 bytes and more
        rest += sock.recv(1 << 16)
    mask = rest[4:8]
    payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(rest[8:]))
    return json.loads(payload)["input_kwargs"]


def _drain(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            try:
                if not sock.recv(1 << 16):
                    return
            except TimeoutError:
                continue


def _serve(pipe: Connection[Any, Any]) -> None:
    server = _Server()
    pipe.send(server.listener.getsockname()[1])
    threading.Thread(target=server.accept, daemon=True).start()
    answer(pipe, {"sent": lambda: server.sent, "blocked": lambda: server.blocked})


def flood_server() -> contextlib.AbstractContextManager[Served]:
    """Run a server of floods; answers the words ``sent`` and ``blocked``."""
    return served(_serve)
