"""What the fake agent server can do: events a second, streams at once, its start, the cost of a test.

    make bench-fake            or    python -m tests.benchmarks.bench_fake [SECONDS]

The server runs in a process of its own; this one reads from raw sockets, as fast as it can. "bare" is an
asyncio server that parses nothing and writes the same bytes, measured in the same run.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runagent_testing import FakeAgentServer
from tests.benchmarks.served import EVENTS, Served, bare_server, served
from tests.testing.raw_client import NDJSON, SSE, STREAM_REQUEST, handshake, masked, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Row", "Streams", "cost_of_a_test", "events_per_second", "hold_streams", "main", "start_time"]

EVENTS_PER_SECOND = 100_000
STREAMS = 1000
START = 0.1  # seconds
PER_TEST = 0.002  # seconds
PATIENCE = 60.0  # seconds

# By the transport: what ends an answer, and what each chunk has in it once.
END = {"sse": b"\n0\r\n\r\n", "chunked": b"\n0\r\n\r\n", "websocket": b'"stream_completed"'}
CHUNK = {"sse": b"event: chunk\n", "chunked": b'"type": "chunk"', "websocket": b'"type":"data"'}


@dataclass(frozen=True)
class Row:
    """A line of the table; without a verdict it is for comparison only."""

    name: str
    value: str
    target: str = ""
    good: bool | None = None

    def __str__(self) -> str:
        verdict = {True: "pass", False: "SHORT", None: ""}[self.good]
        return f"{self.name:<44}{self.value:>26}  {self.target:<18}{verdict}".rstrip()


@dataclass(frozen=True)
class Streams:
    """How it went with many streams at once."""

    count: int
    opening: float  # seconds until each has its first event
    ending: float  # seconds from the opening of the gate until each has its last
    memory: float  # bytes of the server for each


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _read(connection: socket.socket, end: bytes) -> bytes:
    """Read up to what ends an answer."""
    parts = []
    tail = b""
    while end not in tail:
        data = connection.recv(1 << 20)
        assert data, "the server has closed the connection"
        parts.append(data)
        tail = (tail + data)[-len(data) - len(end) :]
    return b"".join(parts)


@contextlib.contextmanager
def _asking(port: int, agent: str, transport: str) -> Iterator[Callable[[], bytes]]:
    if transport == "websocket":
        yield _ask_over_websocket(port, agent)
        return
    with _connect(port) as connection:
        request = stream(agent, accept=SSE if transport == "sse" else NDJSON)

        def ask() -> bytes:
            connection.sendall(request)
            return _read(connection, END[transport])

        yield ask


def _ask_over_websocket(port: int, agent: str) -> Callable[[], bytes]:
    request = masked(1, json.dumps(STREAM_REQUEST).encode())

    def ask() -> bytes:
        # One run a socket is what the protocol has.
        with _connect(port) as connection:
            connection.sendall(handshake(agent))
            _read(connection, b"\r\n\r\n")
            connection.sendall(request)
            return _read(connection, END["websocket"])

    return ask


def events_per_second(port: int, agent: str, transport: str, seconds: float) -> float:
    """Ask for one stream after the other, and count what comes; the first answer does not count."""
    with _asking(port, agent, transport) as ask:
        ask()
        count = 0
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            found = ask().count(CHUNK[transport])
            assert found == EVENTS, f"{found} of {EVENTS} events arrived"
            count += found
        return count / (time.perf_counter() - began)


def hold_streams(server: Served, count: int) -> Streams:
    """Open streams that wait at a gate, all at once; open it, and read every last event."""
    _allow_sockets(count + 100)
    before = server.ask("memory")
    request = stream("gated")
    with contextlib.ExitStack() as sockets, selectors.DefaultSelector() as selector:
        began = time.perf_counter()
        connections = [sockets.enter_context(_connect(server.port)) for _ in range(count)]
        for connection in connections:
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ, bytearray())
        _until_all_have(selector, b'"first"', count)
        opening = time.perf_counter() - began
        memory = server.ask("memory") - before
        began = time.perf_counter()
        server.ask("open")
        _until_all_have(selector, b"\r\n0\r\n\r\n", count)
        return Streams(count, opening, time.perf_counter() - began, memory / count)


def _until_all_have(selector: selectors.BaseSelector, marker: bytes, count: int) -> None:
    waiting = count
    deadline = time.monotonic() + PATIENCE
    while waiting:
        assert time.monotonic() < deadline, f"{waiting} of {count} streams are waiting for {marker!r}"
        for key, _ in selector.select(1):
            assert isinstance(key.fileobj, socket.socket)
            had = marker in key.data
            data = key.fileobj.recv(65536)
            assert data, "the server has closed a stream"
            key.data.extend(data)
            waiting -= not had and marker in key.data


def _allow_sockets(count: int) -> None:
    with contextlib.suppress(ImportError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < count:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def start_time(times: int) -> tuple[float, float]:
    """Start servers; the first start of the process (what it imports is imported), and the median."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        server = FakeAgentServer().start()
        seconds.append(time.perf_counter() - began)
        server.close()
    return seconds[0], statistics.median(seconds)


def cost_of_a_test(times: int) -> float:
    """Do to a running server what a test's fixture does: a script, the check, forgetting it all."""
    seconds = []
    with FakeAgentServer() as server:
        for _ in range(times):
            began = time.perf_counter()
            server.agent("a").always("x")
            server.check()
            server.clear()
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def main(seconds: float = 2.0) -> list[Row]:
    """Measure it all."""
    first, median = start_time(20)
    rows = [
        Row("start, the first of this process", f"{first * 1e3:.1f} ms", "< 100 ms", first < START),
        Row("start, median", f"{median * 1e3:.1f} ms", "< 100 ms", median < START),
    ]
    cost = cost_of_a_test(200)
    rows.append(Row("a test on a running server", f"{cost * 1e3:.2f} ms", "< 2 ms", cost < PER_TEST))
    with served() as server:
        rows += _rates(server, seconds)
    # In a process of its own: memory that was used before would be used again, and count for nothing.
    with served() as server:
        held = hold_streams(server, STREAMS)
    rows += [
        Row(f"{held.count} streams at once, until all have begun", f"{held.opening:.2f} s", "all", True),
        Row("  from the gate until all have ended", f"{held.ending:.2f} s", "all", True),
        Row("  memory of the server for each", f"{held.memory / 1024:.1f} KiB" if held.memory else "unknown"),
    ]
    return rows


def _rates(server: Served, seconds: float) -> list[Row]:
    with _asking(server.port, "merged", "sse") as ask:
        answer = ask()
    with bare_server(answer) as port:
        bare = events_per_second(port, "merged", "sse", seconds)
    rows = [Row("events/s, SSE, bare asyncio", f"{bare:,.0f}")]
    for name, agent, transport, counts in (
        ("SSE", "merged", "sse", True),
        ("NDJSON", "merged", "chunked", True),
        ("WebSocket", "merged", "websocket", True),
        ("SSE, a write for each event", "steps", "sse", False),
        ("SSE, computed and rendered for each run", "anew", "sse", False),
    ):
        rate = events_per_second(server.port, agent, transport, seconds)
        shown = f"{rate:,.0f} ({rate / bare:.2f} of bare)"
        target = (">= 100,000", rate >= EVENTS_PER_SECOND) if counts else ("", None)
        rows.append(Row(f"events/s, {name}", shown, *target))
    return rows


if __name__ == "__main__":
    table = main(*map(float, sys.argv[1:]))
    sys.stdout.write("".join(f"{row}\n" for row in table))
    sys.exit(any(row.good is False for row in table))
