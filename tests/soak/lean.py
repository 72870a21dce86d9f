"""A server that does next to nothing: its answers are bytes made beforehand, for runs in great numbers."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from runagent._wire.websocket import accept_value
from tests.soak.process import answer
from tests.support.peer import http, message, ndjson, sse, websocket_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

__all__ = ["TEXT", "serve_lean"]

_CHUNKS = [f"chunk {number} \N{ROCKET}" for number in range(5)]
TEXT = "".join(_CHUNKS)

_SSE = [("chunk", {"content": text, "index": place}) for place, text in enumerate(_CHUNKS)]
_NDJSON = [{"type": "chunk", "content": text, "index": place} for place, text in enumerate(_CHUNKS)]
_MESSAGES = [message({"type": "data", "content": text}) for text in _CHUNKS]
_COMPLETED = message({"type": "status", "status": "stream_completed"})
_CLOSED = websocket_frame(b"\x03\xe8", 8)

# What is answered, by the word that the input consists of; what ends in "!" leaves the connection.
_ANSWERS: dict[str, dict[str, bytes]] = {
    "sse": {
        "whole": sse(*_SSE, ("done", {})),
        "failed": sse(*_SSE, ("error", {"error": "so it goes", "code": "OOPS"})),
        "cut!": sse(*_SSE, end=False),
        "refused": http(503, {"error": {"message": "busy"}}),
    },
    "chunked": {"whole": ndjson(*_NDJSON, {"type": "done"})},
    "websocket": {"whole": b"".join(_MESSAGES) + _COMPLETED},
}
# A stream that is held open sends its first chunk, and the rest on command.
_FIRST = {
    "sse": sse(_SSE[0], end=False),
    "chunked": ndjson(_NDJSON[0], end=False),
    "websocket": _MESSAGES[0],
}


class _Lean:
    """The server.

    Attributes:
        connections: How many were accepted.
        held: What is left to do for the streams that are held open.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.held: list[Callable[[], None]] = []

    def release(self) -> int:
        """Let the held streams end; return how many there were."""
        held, self.held = self.held, []
        for go_on in held:
            go_on()
        return len(held)


class _Connection(asyncio.Protocol):
    def __init__(self, server: _Lean) -> None:
        self._server = server
        self._buffer = b""
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.connections += 1
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._upgraded:
            self._take_frame()
            return
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if b"sec-websocket-key" in fields:
            self._upgrade(head)
            self._buffer = rest
            return
        size = int(fields[b"content-length"])
        if len(rest) >= size:
            self._buffer = b""
            transport = "sse" if fields[b"accept"] == b"text/event-stream" else "chunked"
            self._answer(transport, rest)

    def _upgrade(self, head: bytes) -> None:
        self._upgraded = True
        lines = head.decode().split("\r\n")
        key = next(line for line in lines if line.lower().startswith("sec-websocket-key")).partition(": ")[2]
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_value(key).encode() + b"\r\n\r\n"
        )

    def _take_frame(self) -> None:
        """Take one short masked frame, as all of the client's are: the run's request, or its Close."""
        if len(self._buffer) < 2:
            return
        opcode, size, at = self._buffer[0] & 15, self._buffer[1] & 127, 2
        if size == 126:
            size, at = int.from_bytes(self._buffer[2:4]), 4
        if len(self._buffer) < at + 4 + size:
            return
        mask, payload = self._buffer[at : at + 4], self._buffer[at + 4 : at + 4 + size]
        self._buffer = self._buffer[at + 4 + size :]
        if opcode == 8:
            self._transport.write(_CLOSED)
            self._transport.close()
        else:
            self._answer("websocket", bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)))

    def _answer(self, transport: str, request: bytes) -> None:
        if b'"held"' in request:
            first, whole = _FIRST[transport], _ANSWERS[transport]["whole"]
            self._transport.write(first)
            self._server.held.append(functools.partial(self._transport.write, whole[len(first) :]))
            return
        word = next(word for word in _ANSWERS[transport] if f'"{word}"'.encode() in request)
        self._transport.write(_ANSWERS[transport][word])
        if word.endswith("!"):
            self._transport.close()


def serve_lean(pipe: Connection[Any, Any]) -> None:
    """Serve; answers the words ``connections``, ``held`` and ``release``."""
    lean = _Lean()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(lean), "127.0.0.1", 0, backlog=2048)
        pipe.send(server.sockets[0].getsockname()[1])

        def release() -> int:
            return asyncio.run_coroutine_threadsafe(_call(lean.release), loop).result()

        answers: dict[str, Callable[[], Any]] = {
            "connections": lambda: lean.connections,
            "held": lambda: len(lean.held),
            "release": release,
        }
        await asyncio.to_thread(answer, pipe, answers)

    try:
        import uvloop
    except ImportError:  # on Windows
        asyncio.run(serve())
    else:
        uvloop.run(serve())


async def _call(function: Callable[[], int]) -> int:
    return function()
