"""The speed of the fake agent server: events per second, many and endless streams, start, cost per test.

    make bench-fake            or    python -m tests.benchmarks.bench_fake [SECONDS]

The server runs in a separate process; this one reads from raw sockets, as fast as it can. "bare" is an
asyncio server that parses nothing and writes the same bytes, measured in the same run. A row shows
its goal at the end, with "pass" or "SHORT"; a rate is judged by the work of the server's process, as
the clock runs on while other processes have the machine.
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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from runagent_testing import FakeAgentServer, ending
from tests.benchmarks.lazy_scripts import long_stream, others_during, planning_time
from tests.benchmarks.plugin_costs import imported_at_the_start, seconds_at_the_start, seconds_of_tests
from tests.benchmarks.served import EVENTS, STEPS, Served, bare_server, served
from tests.runagent_testing.raw_client import (
    NDJSON,
    SSE,
    STREAM_REQUEST,
    RawClient,
    connected,
    handshake,
    masked,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Rate", "Row", "Streams", "departure_times", "hold_streams", "main", "rate", "start_time"]

EVENTS_PER_SECOND = 100_000
STREAMS = 1000
START = 0.1  # seconds
PER_TEST = 0.002  # seconds
PLUGIN_START = 0.005  # seconds
PAUSES = 8000  # of a script
FIRST = 0.05  # seconds
GROWTH = 16 * 1024 * 1024  # bytes
DELAY = 0.01  # seconds
SLOW = {"sleeping": "functions sleep", "awaiting": "async functions wait"}
PATIENCE = 60.0  # seconds

# By the transport: what ends an answer, and what each chunk has in it once.
END = {"sse": b"\n0\r\n\r\n", "chunked": b"\n0\r\n\r\n", "websocket": b'"stream_completed"'}
TRANSPORTS = {"sse": "SSE", "chunked": "NDJSON", "websocket": "WebSocket"}
AGENTS = {
    "merged": "whole answers",
    "steps": "a write for each event",
    "anew": "computed and rendered for each run",
}
LEAVE: dict[str, Callable[[RawClient], object]] = {
    "closed": lambda client: client.socket.close(),
    "reset": lambda client: client.abort(),
    "half-closed": lambda client: client.socket.shutdown(socket.SHUT_WR),
}
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
        return f"{self.name:<60}{self.value:>26}  {self.target:<18}{verdict}".rstrip()


@dataclass(frozen=True)
class Rate:
    """How fast events come."""

    per_second: float  # by the clock, which runs on while other processes have the machine
    per_cpu_second: float  # of work of the server's process


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


def rate(server: Served, agent: str, transport: str, seconds: float) -> Rate:
    """Ask for one stream after the other, and count what comes; the first answer does not count."""
    with _asking(server.port, agent, transport) as ask:
        ask()
        events = 0
        began, worked = time.perf_counter(), server.cpu_seconds
        while time.perf_counter() - began < seconds:
            found = ask().count(CHUNK[transport])
            assert found == EVENTS, f"{found} of {EVENTS} events arrived"
            events += found
        return Rate(events / (time.perf_counter() - began), events / (server.cpu_seconds - worked))


def hold_streams(server: Served, count: int) -> Streams:
    """Open streams that wait at a gate, all at once; open it, and read every last event."""
    _allow_sockets(count + 100)
    before = server.memory
    request = stream("gated")
    with contextlib.ExitStack() as sockets, selectors.DefaultSelector() as selector:
        began = time.perf_counter()
        connections = [sockets.enter_context(_connect(server.port)) for _ in range(count)]
        for connection in connections:
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ, bytearray())
        _until_all_have(selector, b'"first"', count)
        opening = time.perf_counter() - began
        memory = server.memory - before
        began = time.perf_counter()
        server.open_door()
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


def departure_times(times: int) -> dict[str, float]:
    """Close streams in each way; return the median seconds until the agent knows, by the way."""
    seconds: dict[str, list[float]] = {"closed": [], "reset": [], "half-closed": []}
    with FakeAgentServer() as server:
        server.agent("a").always("x", ending("stall"))
        for how, measured in seconds.items():
            for _ in range(times):
                with connected(server.url) as client:
                    client.send(stream("a"))
                    client.until(b'"x"')
                    client.until(b"\r\n")
                    began = time.perf_counter()
                    LEAVE[how](client)
                    assert server.requests[-1].wait_disconnected(PATIENCE)
                    measured.append(time.perf_counter() - began)
    return {how: statistics.median(measured) for how, measured in seconds.items()}


def main(seconds: float = 2.0) -> list[Row]:
    """Measure it all."""
    rows = [*_starts(), *_plugin()]
    with served() as server:
        rows += _rates(server, seconds)
    # In a separate process: memory that was used before would be used again, and count for nothing.
    with served() as server:
        rows += _streams(hold_streams(server, STREAMS))
    with served() as server:
        rows += _lazy(server)
    for how, measured in departure_times(20).items():
        rows.append(Row(f"until an agent knows that its client has {how}", _ms(measured)))
    return rows


def _starts() -> list[Row]:
    first, median = start_time(20)
    return [
        Row("start, the first of this process", _ms(first), "< 100 ms", first < START),
        Row("start, median", _ms(median), "< 100 ms", median < START),
    ]


def _plugin() -> list[Row]:
    foreign = [name for name in imported_at_the_start() if not name.startswith("runagent_testing")]
    with TemporaryDirectory() as folder:
        start, tests = seconds_at_the_start(Path(folder)), seconds_of_tests(Path(folder))
    used, asked = (tests[name] - tests["test_empty"] for name in ("test_fake_agent", "test_asked"))
    return [
        Row("plugin: at the start of pytest", _ms(start), "< 5 ms", start < PLUGIN_START),
        Row("plugin: modules imported beyond its own", f"{len(foreign)}", "none", not foreign),
        Row("fixture: a test after the first", _ms(used), "< 2 ms", used < PER_TEST),
        Row("  that asks the agent once, on a raw socket", _ms(asked)),
    ]


def _rates(server: Served, seconds: float) -> list[Row]:
    with _asking(server.port, "merged", "sse") as ask:
        answer = ask()
    with bare_server(answer) as server_of_bytes:
        bare = rate(server_of_bytes, "merged", "sse", seconds)
    rows = [Row("events/s, SSE, bare asyncio", f"{bare.per_second:,.0f}")]
    for agent, what in AGENTS.items():
        for transport, name in TRANSPORTS.items():
            found = rate(server, agent, transport, seconds)
            shown = f"{found.per_second:,.0f} ({found.per_second / bare.per_second:.2f} of bare)"
            rows.append(Row(f"events/s, {name}, {what}", shown))
            good = found.per_cpu_second >= EVENTS_PER_SECOND
            rows.append(Row("  for a second of its work", f"{found.per_cpu_second:,.0f}", ">= 100,000", good))
    return rows


def _streams(held: Streams) -> list[Row]:
    return [
        Row(f"{held.count} streams at once, until all have begun", f"{held.opening:.2f} s", "all", True),
        Row("  from the gate until all have ended", f"{held.ending:.2f} s", "all", True),
        Row("  memory of the server for each", f"{held.memory / 1024:.1f} KiB" if held.memory else "unknown"),
    ]


def _lazy(server: Served) -> list[Row]:
    alone = others_during(server, "short", 50)
    slow = {what: others_during(server, agent, 50) for agent, what in SLOW.items()}
    long = long_stream(server)
    planned = planning_time(PAUSES)
    growth = f"{long.growth / 2**20:.1f} MiB" if long.growth else "unknown"
    return [
        Row(f"first event of {STEPS:,} from a generator", _ms(long.first), "< 50 ms", long.first < FIRST),
        Row("  until the last", f"{long.whole:.1f} s ({STEPS / long.whole:,.0f}/s)"),
        Row("  memory of the server beyond before", growth, "<= 16 MiB", long.growth <= GROWTH),
        Row(f"a script of {PAUSES:,} pauses, planned as a whole", _ms(planned), "< 50 ms", planned < FIRST),
        Row("a short run on a new connection, alone", _ms(alone)),
        *(
            Row(f"  while other agents' {what}", _ms(found), "< 10 ms", found < DELAY)
            for what, found in slow.items()
        ),
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


if __name__ == "__main__":
    table = main(*map(float, sys.argv[1:]))
    sys.stdout.write("".join(f"{row}\n" for row in table))
    sys.exit(any(row.good is False for row in table))
