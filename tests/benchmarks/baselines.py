"""The baselines: what the wire itself costs in Python, with nothing checked, no limits, deadlines or errors.

A raw socket (asyncio: a Protocol, trio: a SocketStream), ``httptools``, a minimal parser that knows LF only,
``orjson``. A WebSocket's frames are read by a minimal reader of unfragmented frames. Nobody can use this; it
is what a client is measured by. In "task" the Protocol wakes a task that waits, as ``async for`` needs it; in
"timeout" the socket has one, as a read with a deadline needs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

import httptools
import orjson

from tests.benchmarks.contenders import Origin, Take, contender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["BASELINE", "BASELINES", "TASK"]

BASELINE, TASK, TIMED, HEAP = BASELINES = (
    "baseline",
    "baseline (task)",
    "baseline (timeout)",
    "baseline (kept heap)",
)
_READ_BYTES = 65536
_REQUEST = (
    "POST /{} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n"
    '{{"query":"hello"}}'
)
_UPGRADE = (
    "GET /{} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_START = b'\x81\x91\0\0\0\0{"query":"hello"}'  # a masked text message; the mask is zero
_BYE = b"\x88\x82\0\0\0\0\x03\xe8"


class _SSE:
    """Reads an answer of events."""

    ask = _REQUEST

    def __init__(self, take: Take) -> None:
        self.over = False
        self.outgoing = b""
        self._take = take
        self._tail = b""
        self._event = self._data = b""
        self.feed = httptools.HttpResponseParser(self).feed_data

    def on_body(self, body: bytes) -> None:
        lines = (self._tail + body).split(b"\n")
        self._tail = lines.pop()
        for line in lines:
            if line.startswith(b"data: "):
                self._data = line[6:]
            elif line.startswith(b"event: "):
                self._event = line[7:]
            elif not line:
                if self._event == b"chunk":
                    self._take(orjson.loads(self._data)["content"])
                self._event = self._data = b""

    def on_message_complete(self) -> None:
        self.over = True


class _NDJSON(_SSE):
    """Reads an answer of lines."""

    def on_body(self, body: bytes) -> None:
        lines = (self._tail + body).split(b"\n")
        self._tail = lines.pop()
        for line in lines:
            message = orjson.loads(line)
            if message["type"] == "chunk":
                self._take(message["content"])


class _Frames:
    """Reads unfragmented text frames after an upgrade."""

    ask = _UPGRADE

    def __init__(self, take: Take) -> None:
        self.over = False
        self.outgoing = b""
        self._take = take
        self._tail = b""
        self.feed = self._shake_hands

    def _shake_hands(self, data: bytes) -> None:
        self._tail += data
        if b"\r\n\r\n" in self._tail:
            rest, self._tail = self._tail.partition(b"\r\n\r\n")[2], b""
            self.outgoing = _START
            self.feed = self._read_frames
            self.feed(rest)

    def _read_frames(self, data: bytes) -> None:
        data = self._tail + data
        at, size = 0, len(data)
        while at + 4 <= size:
            length, begin = data[at + 1], at + 2
            if length == 126:
                length, begin = data[at + 2] << 8 | data[at + 3], at + 4
            if begin + length > size:
                break
            at = begin + length
            message = orjson.loads(data[begin:at])
            if message["type"] == "data":
                self._take(self._content(message["content"]))
            elif message["status"] == "stream_completed":
                self.over = True
                self.outgoing = _BYE
        self._tail = data[at:]

    def _content(self, content: str) -> Any:
        return content


class _Published(_Frames):
    """Undoes the published server's wrapping as well."""

    def _content(self, content: str) -> Any:
        return orjson.loads(orjson.loads(content)["payload"])


_READERS: dict[str, Callable[[Take], Any]] = {
    "sse": _SSE,
    "ndjson": _NDJSON,
    "plain": _Frames,
    "published": _Published,
}


@contextlib.contextmanager
def blocking_socket(origin: Origin, wire: str, timeout: float | None = None) -> Iterator[Any]:
    def ask(name: str, take: Take) -> None:
        reader = _READERS[wire](take)
        connection = socket.create_connection(("127.0.0.1", origin.port))
        if context := origin.ssl_context():
            connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(timeout)
            connection.sendall(reader.ask.format(name).encode())
            receive = connection.recv
            while not reader.over:
                reader.feed(receive(_READ_BYTES))
                if reader.outgoing:
                    connection.sendall(reader.outgoing)
                    reader.outgoing = b""

    yield ask


contender(BASELINE, "sync", *_READERS)(blocking_socket)
contender(TIMED, "sync", *_READERS)(functools.partial(blocking_socket, timeout=30))


class _Protocol(asyncio.Protocol):
    """Hands each event's text out where it arrives."""

    def __init__(self, reader: Any, name: str) -> None:
        self.over = asyncio.get_running_loop().create_future()
        self._reader = reader
        self._name = name

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._reader.ask.format(self._name).encode())

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        if reader.outgoing:
            self._transport.write(reader.outgoing)
            reader.outgoing = b""
        if reader.over and not self.over.done():
            self.over.set_result(None)


class _WakingProtocol(_Protocol):
    """Keeps the texts, and wakes the task that waits for them."""

    def __init__(self, reader_of: Any, name: str) -> None:
        self.texts: deque[str] = deque()
        super().__init__(reader_of(self.texts.append), name)
        self._waiter: asyncio.Future[None] | None = None
        self._create_future = asyncio.get_running_loop().create_future

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> str | None:
        while not self.texts:
            if self.over.done():
                return None
            self._waiter = self._create_future()
            await self._waiter
        return self.texts.popleft()


async def _open(origin: Origin, protocol: _Protocol) -> asyncio.Transport:
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: protocol, "127.0.0.1", origin.port, ssl=origin.ssl_context()
    )
    return transport


# asyncio allocates 256 KiB for each read. glibc maps it again each time in a process that has never freed as
# much, which costs some 10 us, and in any other it costs next to nothing. Neither is left to chance.
_FRESH = {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024)}
_KEPT = {"MALLOC_MMAP_THRESHOLD_": str(4 * 1024 * 1024), "MALLOC_TRIM_THRESHOLD_": str(8 * 1024 * 1024)}


@contextlib.asynccontextmanager
async def protocol(origin: Origin, wire: str) -> AsyncIterator[Any]:
    async def ask(name: str, take: Take) -> None:
        receiver = _Protocol(_READERS[wire](take), name)
        transport = await _open(origin, receiver)
        await receiver.over
        transport.abort()

    yield ask


contender(BASELINE, "asyncio", *_READERS, environment=_FRESH)(protocol)
contender(HEAP, "asyncio", *_READERS, environment=_KEPT)(protocol)
contender(BASELINE, "uvloop", *_READERS)(protocol)  # which reads into one buffer for all


@contender(TASK, "uvloop", *_READERS)
@contender(TASK, "asyncio", *_READERS, environment=_FRESH)
@contextlib.asynccontextmanager
async def protocol_and_task(origin: Origin, wire: str) -> AsyncIterator[Any]:
    async def ask(name: str, take: Take) -> None:
        receiver = _WakingProtocol(_READERS[wire], name)
        transport = await _open(origin, receiver)
        while (text := await receiver.get()) is not None:
            take(text)
        transport.abort()

    yield ask


@contender(BASELINE, "trio", *_READERS)
@contextlib.asynccontextmanager
async def socket_stream(origin: Origin, wire: str) -> AsyncIterator[Any]:
    import trio

    async def ask(name: str, take: Take) -> None:
        reader = _READERS[wire](take)
        stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", origin.port)
        if context := origin.ssl_context():
            stream = trio.SSLStream(stream, context, server_hostname="127.0.0.1", https_compatible=True)
        await stream.send_all(reader.ask.format(name).encode())
        while not reader.over:
            reader.feed(await stream.receive_some(_READ_BYTES))
            if reader.outgoing:
                await stream.send_all(reader.outgoing)
                reader.outgoing = b""
        await trio.aclose_forcefully(stream)

    yield ask
