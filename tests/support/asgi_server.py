"""A small ASGI server on asyncio and trio: one request or WebSocket for each connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import trio
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    App = Callable[[Any, Any, Any], Awaitable[None]]

__all__ = ["serve"]

Message = dict[str, Any]


class Wire(Protocol):
    """A connection of either library."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...


class _AioWire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        return await self._reader.read(65536)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class _TrioWire:
    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def read(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(65536))
        except trio.BrokenResourceError:
            return b""

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as exc:
            raise OSError from exc


@contextlib.asynccontextmanager
async def serve(style: str, app: App) -> AsyncIterator[str]:
    """Serve an application in the running loop, and yield its address."""
    if style == "trio":
        async with trio.open_nursery() as nursery:

            async def handle(stream: trio.SocketStream) -> None:
                await _answer(_TrioWire(stream), app)

            listeners = await nursery.start(trio.serve_tcp, handle, 0)
            yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()
        return

    tasks: set[Any] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await _answer(_AioWire(reader, writer), app)
        finally:
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=5)
        assert not left, "an answer outlives its browser"


async def _answer(wire: Wire, app: App) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        data = await wire.read()
        if not data:
            return
        head += data
    head, _, body = head.partition(b"\r\n\r\n")
    request, *lines = head.split(b"\r\n")
    method, path, _ = request.decode().split()
    fields = [tuple(line.split(b": ", 1)) for line in lines]
    headers = [(name.lower(), value) for name, value in fields]
    scope = {"method": method, "path": path, "headers": headers, "query_string": b""}
    with contextlib.suppress(OSError):
        if dict(headers).get(b"upgrade") == b"websocket":
            await _WebSocket(wire, head + b"\r\n\r\n").run(app, {"type": "websocket", **scope})
        else:
            length = int(dict(headers).get(b"content-length", b"0"))
            while len(body) < length:
                body += await wire.read()
            await app({"type": "http", **scope}, _receiver(wire, body), _sender(wire))


def _receiver(wire: Wire, body: bytes) -> Callable[[], Awaitable[Message]]:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        while await wire.read():
            pass
        return {"type": "http.disconnect"}

    return receive


def _sender(wire: Wire) -> Callable[[Message], Awaitable[None]]:
    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            head = [b"HTTP/1.1 %d Status" % message["status"]]
            head += [name + b": " + value for name, value in message["headers"] if name != b"content-length"]
            await wire.write(b"\r\n".join([*head, b"transfer-encoding: chunked", b"", b""]))
            return
        body = message["body"]
        data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        await wire.write(data + (b"" if message["more_body"] else b"0\r\n\r\n"))

    return send


class _WebSocket:
    """The server's side of a WebSocket, by the protocol of the library ``websockets``."""

    def __init__(self, wire: Wire, head: bytes) -> None:
        self._wire = wire
        self._protocol = ServerProtocol()
        self._protocol.receive_data(head)
        (self._request,) = self._protocol.events_received()
        self._messages: list[Message] = [{"type": "websocket.connect"}]

    async def run(self, app: App, scope: Message) -> None:
        await app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        while not self._messages:
            data = await self._wire.read()
            if not data:
                return {"type": "websocket.disconnect"}
            self._protocol.receive_data(data)
            for frame in self._protocol.events_received():
                if isinstance(frame, Frame) and frame.opcode in (Opcode.TEXT, Opcode.CLOSE):
                    self._messages.append(self._message(frame))
        return self._messages.pop(0)

    def _message(self, frame: Any) -> Message:
        if frame.opcode is Opcode.CLOSE:
            return {"type": "websocket.disconnect"}
        return {"type": "websocket.receive", "text": frame.data.decode()}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            assert isinstance(self._request, Request)
            response = self._protocol.accept(self._request)
            for name, value in message.get("headers", ()):
                response.headers[name.decode()] = value.decode()
            self._protocol.send_response(response)
        elif kind == "websocket.send":
            self._protocol.send_text(message["text"].encode())
        else:
            self._protocol.send_close(message["code"])
        for data in self._protocol.data_to_send():
            if data:
                await self._wire.write(data)
