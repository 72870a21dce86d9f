"""A path to a fake agent on which things go wrong: a reverse proxy with a seeded dice.

What happens to a request depends on the seed, on which stream asks and on how often it has asked
before, and on nothing else: a stream that failed fails again with the same seed.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from runagent_testing import FakeAgentServer
from tests.soak.process import answer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.connection import Connection

    from runagent_testing._journal.exchange import Exchange

__all__ = ["CHUNKS", "serve_faulty_path"]

CHUNKS = 200  # of one stream
_FAULTS = {
    "none": 25,
    "503": 8,
    "reset unheard": 5,
    "closed unheard": 5,
    "cut": 28,
    "reset": 16,
    "stall": 5,
    "dribble": 3,
    "reset when idle": 5,
}
_CUT_WITHIN = 8000  # bytes; a whole answer has about twice as many
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 0\r\n"
    b'Content-Length: 28\r\n\r\n{"error":{"message":"busy"}}'
)
_END = b"\r\n0\r\n\r\n"
_EVENT = b'"index"'  # in every chunk, once
_LINGER_NOT = struct.pack("ii", 1, 0)


class _Path:
    """The proxy: whose requests go to ``port``."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._seed = seed
        self._asked: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()
        self.faults: Counter[str] = Counter()
        self.resumed: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay the requests of one connection until it breaks or the client disconnects."""
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while request := await _read_request(reader):
                rng, fault = self._draw(request)
                if fault == "503":
                    writer.write(_BUSY)
                    continue
                if fault.endswith("unheard"):
                    _leave(writer, reset=fault.startswith("reset"))
                    return
                if upstream is None:
                    upstream = await asyncio.open_connection("127.0.0.1", self._port)
                upstream[1].write(request)
                if not await self._pass_on(upstream[0], reader, writer, fault, rng):
                    return
        except OSError:
            return
        finally:
            writer.close()
            if upstream is not None:
                upstream[1].transport.abort()

    def _draw(self, request: bytes) -> tuple[random.Random, str]:
        body = msgspec.json.decode(request.partition(b"\r\n\r\n")[2])
        stream = str(body["query"])
        if (body.get("parameters") or {}).get("resume_from_index"):
            self.resumed.add(stream)
        self._asked[stream] += 1
        rng = random.Random(f"{self._seed}/{stream}/{self._asked[stream]}")
        fault = rng.choices(list(_FAULTS), list(_FAULTS.values()))[0]
        self.faults[fault] += 1
        return rng, fault

    async def _pass_on(
        self,
        answer: asyncio.StreamReader,
        client: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        fault: str,
        rng: random.Random,
    ) -> bool:
        """Pass an answer on; False if the connection has not survived it."""
        cut_at = rng.randrange(_CUT_WITHIN) if fault in ("cut", "reset", "stall") else None
        passed = b""
        while not passed.endswith(_END):
            data = await answer.read(1 << 16)
            if not data:
                return False
            known, passed = len(passed), passed + data
            if cut_at is not None and (at := _where(fault, cut_at, passed)) is not None:
                writer.write(passed[known:at])
                await writer.drain()
                if fault == "stall":
                    await client.read()
                else:
                    _leave(writer, reset=fault == "reset")
                return False
            await self._write(writer, data, rng if fault == "dribble" else None)
        if fault == "reset when idle":
            _leave(writer, reset=True)
            return False
        return True

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, rng: random.Random | None) -> None:
        while data and rng is not None:
            size = rng.randint(1, 60)
            writer.write(data[:size])
            await writer.drain()
            await asyncio.sleep(0)
            data = data[size:]
        writer.write(data)
        await writer.drain()


def _where(fault: str, cut_at: int, passed: bytes) -> int | None:
    """Return where an answer breaks, once that has been reached.

    One that falls silent does so behind a chunk: before the first one a client cannot know that the
    agent has not begun, and nothing may be tried again.
    """
    if fault != "stall":
        return cut_at if cut_at <= len(passed) else None
    second = passed.find(_EVENT, passed.find(_EVENT) + 1)
    at = max(cut_at, second)
    return at if second >= 0 and at <= len(passed) else None


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request with its body; empty if the client has disconnected."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return head + await reader.readexactly(int(size.partition(b":")[2]))
    except asyncio.IncompleteReadError:
        return b""


def _leave(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.close()


def serve_faulty_path(pipe: Connection[Any, Any], seed: int) -> None:
    """Serve the fake agent ``a`` behind a faulty path; answers the word ``figures``.

    The agent sends ``stream:number`` as each chunk, so that one which is lost, repeated, invented or
    delivered to somebody else shows.
    """
    with FakeAgentServer() as server:

        def steps(exchange: Exchange) -> Iterable[str]:
            if len(server.requests) > 200:
                server.journal.clear()
            return [f"{exchange.input['query']}:{number}" for number in range(CHUNKS)]

        server.agent("a").responds(steps)
        path = _Path(int(server.url.rpartition(":")[2]), seed)

        async def serve() -> None:
            proxy = await asyncio.start_server(path.serve, "127.0.0.1", 0, backlog=1024)
            pipe.send(proxy.sockets[0].getsockname()[1])
            figures = {"figures": lambda: (dict(path.faults), len(path.resumed))}
            await asyncio.to_thread(answer, pipe, figures)

        asyncio.run(serve())
