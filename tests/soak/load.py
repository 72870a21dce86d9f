"""Load: very many runs one after another, and very many at once, on one client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any

from runagent import RunAgentError
from runagent._limits import Limits
from tests.soak.crowd import crowd
from tests.soak.lean import TEXT, serve_lean
from tests.soak.measure import MIB, Holdings, raise_descriptor_limit
from tests.soak.process import Served, served
from tests.support.styles import Style

__all__ = ["Crowd", "Sequence", "many_at_once", "one_after_another"]

# Of a hundred runs so many are something else than a whole answer over SSE.
_OTHERS = [
    "chunked",
    "chunked",
    "websocket",
    "websocket",
    "left",
    "left",
    "failed",
    "refused",
    "cut!",
    "cut!",
]
_LEAVING = ("left", "failed", "cut!")  # those whose connection is not used again
_OPTIONS = {"max_retries": 0, "resume": False, "timeout": 60}


@dataclass(frozen=True)
class Sequence:
    """What runs one after another came to.

    Attributes:
        runs: How many.
        connections: How many connections they took.
        expected_connections: How many they had to take at the most.
        seconds: How long.
        warm: What was held after the first tenth.
        end: What was held at the end.
    """

    runs: int
    connections: int
    expected_connections: int
    seconds: float
    warm: Holdings
    end: Holdings

    def __str__(self) -> str:
        memory = (self.end.memory - self.warm.memory) / MIB
        return (
            f"{self.connections} connections, memory {memory:+.1f} MiB,"
            f" blocks {self.end.blocks - self.warm.blocks:+d}, descriptors"
            f" {self.end.descriptors - self.warm.descriptors:+d}, threads"
            f" {self.end.threads - self.warm.threads:+d}; {self.seconds / self.runs * 1e6:.0f} us a run"
        )

    def check(self) -> None:
        """Raise an AssertionError where something has grown with the number of runs."""
        assert self.connections <= self.expected_connections, self
        assert self.end.descriptors <= self.warm.descriptors, self
        assert self.end.threads <= self.warm.threads, self
        assert self.end.blocks - self.warm.blocks < 2000, self
        assert self.end.memory - self.warm.memory < 4 * MIB, self


def one_after_another(name: str, runs: int) -> Sequence:
    """Run agents one after another: most of them to their end, some are left or fail in every way."""
    style = Style(name, debug=False)
    with served(serve_lean) as server:
        sse, chunked, websocket = (
            style.client("a", base_url=server.url, transport=transport, **_OPTIONS)
            for transport in ("sse", "chunked", "websocket")
        )
        clients = {"chunked": chunked, "websocket": websocket}
        words = _words(runs)

        async def scenario() -> Sequence:
            begin = time.monotonic()
            warm = None
            for number, word in enumerate(words):
                if number == runs // 10:
                    warm = Holdings.now()
                await _run(clients.get(word, sse), word)
            seconds = time.monotonic() - begin
            assert warm is not None
            end = Holdings.now()
            assert _tasks() <= 1
            for client in (sse, chunked, websocket):
                await client.aclose()
            leaving = sum(word in _LEAVING for word in words)
            expected = 2 + leaving + words.count("websocket")
            connections = server.ask("connections")
            return Sequence(runs, connections, expected, seconds, warm, end)

        sequence: Sequence = style.run(scenario)
    return sequence


def _words(runs: int) -> list[str]:
    others = dict(zip(range(0, 100, 10), _OTHERS, strict=True))
    return [others.get(number % 100, "whole") for number in range(runs)]


async def _run(client: Any, word: str) -> None:
    stream = client.run_generic_stream("whole" if word in ("chunked", "websocket", "left") else word)
    if word == "left":
        async for _ in stream:
            break
        return
    with contextlib.suppress(RunAgentError) if word in ("failed", "refused", "cut!") else _nothing():
        assert await stream.text() == TEXT


@contextlib.contextmanager
def _nothing() -> Any:
    yield


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


@dataclass(frozen=True)
class Crowd:
    """What many streams at once came to.

    Attributes:
        streams: How many were open at once.
        waves: How often.
        connections: How many connections they took.
        expected_connections: How many they had to take at the most.
        before: What was held before the first one began.
        open: What was held while all of the first wave were open.
        end: What was held at the end, with the client closed.
    """

    streams: int
    waves: int
    connections: int
    expected_connections: int
    before: Holdings
    open: Holdings
    end: Holdings

    def __str__(self) -> str:
        each = (self.open.memory - self.before.memory) / self.streams / 1024
        return (
            f"{self.connections} connections in {self.waves} waves, {each:.0f} KiB a stream;"
            f" left over: {self.end.descriptors - self.before.descriptors} descriptors,"
            f" {self.end.threads - self.before.threads} threads"
        )

    def check(self) -> None:
        """Raise an AssertionError where something was left over, or connections were not used again."""
        assert self.connections <= self.expected_connections, self
        assert self.open.descriptors - self.before.descriptors >= self.streams, self
        assert self.end.descriptors <= self.before.descriptors + 8, self  # an event loop's own
        assert self.end.threads <= self.before.threads + 2, self


def many_at_once(name: str, transport: str, streams: int, waves: int = 3) -> Crowd:
    """Hold so many streams open at once on one client, each with its first chunk read, then end them all."""
    raise_descriptor_limit()
    style = Style(name, debug=False)
    with served(serve_lean) as server:
        before = Holdings.now()
        moments: list[Holdings] = []
        client = style.client("a", base_url=server.url, transport=transport, **_OPTIONS)

        async def read(number: int) -> None:
            stream = client.run_generic_stream("held")
            first = await anext(stream)
            assert first + await stream.text() == TEXT

        async def release() -> None:
            await style.in_thread(_wait_held, server, streams)
            moments.append(Holdings.now())
            assert await style.in_thread(server.ask, "release") == streams

        async def scenario() -> None:
            for _ in range(waves):
                await style.beside(crowd(name, streams, streams, read), release)
            await client.aclose()

        style.run(scenario)
        connections = server.ask("connections")
        kept = 0 if transport == "websocket" else min(Limits().max_idle_connections, streams)
        expected = streams + (waves - 1) * (streams - kept)
        return Crowd(streams, waves, connections, expected, before, moments[0], Holdings.now())


def _wait_held(server: Served, streams: int) -> None:
    deadline = time.monotonic() + 120
    while (held := server.ask("held")) < streams:
        assert time.monotonic() < deadline, f"{held} of {streams} streams have begun"
        time.sleep(0.02)
