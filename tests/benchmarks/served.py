"""A fake agent server in a separate process, and a bare server to compare with."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing import FakeAgentServer, chunk, gate
from tests.support.process import in_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

__all__ = ["EVENTS", "STEPS", "Served", "bare_server", "served"]

EVENTS = 1000  # of one stream
STEPS = 1_000_000  # of the generator
_SLOW = 1.0  # seconds of a function


class Served:
    """The server's process, from outside."""

    def __init__(self, pipe: Connection[str, str]) -> None:
        self._pipe = pipe
        self.port = int(pipe.recv())

    def open_door(self) -> None:
        """Open the gate of the agent ``gated``."""
        self._ask("open")

    @property
    def memory(self) -> int:
        """How many bytes of memory it uses; 0 if that is not known."""
        return self._ask("memory")

    @property
    def cpu_seconds(self) -> float:
        """How long it was at work so far."""
        return self._ask("cpu") / 1e9

    def _ask(self, word: str) -> int:
        self._pipe.send(word)
        return int(self._pipe.recv())


@contextlib.contextmanager
def served() -> Iterator[Served]:
    """Run a server with the agents of `_serve`."""
    with _process(_serve) as server:
        yield server


@contextlib.contextmanager
def bare_server(answer: bytes) -> Iterator[Served]:
    """Run an asyncio server that reads nothing but the end of a request, and writes these bytes."""
    with _process(_serve_bare, answer) as server:
        yield server


@contextlib.contextmanager
def _process(serve: Callable[..., None], *args: object) -> Iterator[Served]:
    with in_process(serve, *args) as pipe:
        yield Served(pipe)


def _serve(pipe: Connection[str, str]) -> None:
    door = gate("door")
    words = [f"word{number} " for number in range(EVENTS)]
    with FakeAgentServer() as server:
        server.agent("merged").always(*words)
        server.agent("steps").always(*words, writes="per-step")
        server.agent("anew").responds(lambda _: [chunk(word) for word in words])
        server.agent("gated").always("first", door, "last")
        server.agent("generator").responds(lambda _: _generate(STEPS))
        server.agent("generator-in-short").responds(lambda _: _generate(STEPS // 200))
        server.agent("short").always("x")
        server.agent("sleeping").responds(_sleep)
        server.agent("awaiting").responds(_wait)
        pipe.send(server.url.rpartition(":")[2])
        _answer(pipe, door.open)


def _generate(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"word{number} "


def _sleep(_: object) -> list[str]:
    time.sleep(_SLOW)
    return ["x"]


async def _wait(_: object) -> list[str]:
    await asyncio.sleep(_SLOW)
    return ["x"]


def _answer(pipe: Connection[str, str], open_door: Callable[[], object]) -> None:
    """Answer what `Served` asks, until it is gone."""
    with contextlib.suppress(EOFError):
        while word := pipe.recv():
            if word == "open":
                open_door()
            pipe.send(str(time.process_time_ns() if word == "cpu" else _memory()))


def _memory() -> int:
    """Return how many bytes of memory this process uses; 0 if that is not known."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


class _Bare(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"{}"):
            self._transport.write(self._answer)


def _serve_bare(pipe: Connection[str, str], answer: bytes) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Bare(answer), "127.0.0.1", 0)
        pipe.send(str(server.sockets[0].getsockname()[1]))
        over = asyncio.Event()
        threading.Thread(target=_until_closed, args=(pipe, loop, over), daemon=True).start()
        await over.wait()

    asyncio.run(serve())


def _until_closed(pipe: Connection[str, str], loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    _answer(pipe, bool)
    loop.call_soon_threadsafe(over.set)
