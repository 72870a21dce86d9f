"""The two ends of a gateway in `bench_gateway`: an agent that paces many streams, and many browsers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["Browsers", "serve_agent"]

WORD = "word of the answer "
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_PATIENCE_SECONDS, _BURST_PATIENCE_SECONDS = 20.0, 120.0
_TICKS = 10  # turns in which the streams are served during one pause
_BURST_FRAMES = 400  # in one write


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_CHUNK = f"event: chunk\ndata: {json.dumps({'content': WORD})}\n\n".encode()
_DONE = b"event: done\ndata: {}\n\n"
_DELTA = {"choices": [{"index": 0, "delta": {"content": WORD}, "finish_reason": None}]}
_COMPLETION = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "a", **_DELTA}
_CHAT_CHUNK = f"data: {json.dumps(_COMPLETION)}\n\n".encode()


class _Agent(asyncio.Protocol):
    """Answers each request on a connection with a stream, paced by `_pace` or at once."""

    streams: list[set[_Agent]]
    chunks = 0  # of a burst; 0 for paced streams without an end

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._turn: set[_Agent] | None = None

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"POST"):
            return  # the rest of a request
        is_chat = b"/chat/" in data[:100]
        self.frame = _http_chunk(_CHAT_CHUNK if is_chat else _CHUNK)
        self._transport.write(_HEAD)
        if self.chunks:
            frames = (_CHAT_CHUNK if is_chat else _CHUNK) * _BURST_FRAMES
            for _ in range(self.chunks // _BURST_FRAMES):
                self._transport.write(_http_chunk(frames))
            end = b"data: [DONE]\n\n" if is_chat else _DONE
            self._transport.write(_http_chunk(end) + b"0\r\n\r\n")
            return
        self._turn = min(self.streams, key=len)
        self._turn.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._turn is not None:
            self._turn.discard(self)

    def write(self) -> None:
        self._transport.write(self.frame)


async def _serve(pipe: Connection[str, str], pause: float, chunks: int) -> None:
    loop = asyncio.get_running_loop()
    _Agent.streams, _Agent.chunks = [set() for _ in range(_TICKS)], chunks
    server = await loop.create_server(_Agent, "127.0.0.1", 0, backlog=4096)
    pipe.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    turn, next_turn = 0, loop.time()
    while not pipe.poll():
        next_turn += (pause or 0.1) / _TICKS
        await asyncio.sleep(max(0.0, next_turn - loop.time()))
        for stream in list(_Agent.streams[turn % _TICKS]):
            stream.write()
        turn += 1


def serve_agent(pipe: Connection[str, str], pause: float, chunks: int) -> None:
    """Run the agent until the pipe is closed or written to; send its URL first."""
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        asyncio.run(_serve(pipe, pause, chunks))


class _Browser(asyncio.Protocol):
    """Asks once, and counts the events that come."""

    def __init__(self, over: asyncio.Future[None]) -> None:
        self.events = self.failures = 0
        self.over = over

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        self.events += data.count(b'"content"')
        if b"event: error" in data or data.startswith(b"HTTP/1.1 5"):
            self.failures += 1
        if data.endswith(b"0\r\n\r\n") and not self.over.done():
            self.over.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


def _given(browser: _Browser) -> _Browser:
    return browser


class Browsers:
    """So many browsers in front of a gateway."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._browsers: list[_Browser] = []

    @property
    def events(self) -> int:
        return sum(browser.events for browser in self._browsers)

    @property
    def failures(self) -> int:
        return sum(browser.failures for browser in self._browsers)

    async def connect(self, count: int) -> None:
        """Open the connections, some at a time, and ask."""
        loop = asyncio.get_running_loop()
        for number in range(count):
            browser = _Browser(loop.create_future())
            await loop.create_connection(partial(_given, browser), "127.0.0.1", self._port)
            self._browsers.append(browser)
            if number % 20 == 19:
                await asyncio.sleep(0.01)

    async def all_begun(self) -> None:
        """Wait until each has had an event, or for so long that the gateway is known not to keep up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not all(each.events or each.failures for each in self._browsers):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    async def all_over(self) -> None:
        """Wait until each answer has ended."""
        async with asyncio.timeout(_BURST_PATIENCE_SECONDS):
            await asyncio.gather(*(browser.over for browser in self._browsers))

    def close(self) -> None:
        for browser in self._browsers:
            browser.transport.abort()
