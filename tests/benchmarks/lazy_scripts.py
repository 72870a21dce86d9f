"""What long scripts and slow functions cost: the first byte, the memory, other agents' clients."""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runagent_testing import delay
from runagent_testing._render.render import stream_plan
from runagent_testing._script.script import Script
from runagent_testing.dialects import DialectRun
from runagent_testing.dialects._builtin import dialect_of
from tests.runagent_testing.raw_client import stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.served import Served

__all__ = ["LongStream", "long_stream", "others_during", "planning_time"]

PATIENCE = 120.0  # seconds
_END = b"\n0\r\n\r\n"


@dataclass(frozen=True)
class LongStream:
    """How it went with one stream of many steps."""

    first: float  # seconds from the request to the first event
    whole: float  # seconds until the end
    growth: int  # the most bytes of memory that the server used beyond those of before; 0 if unknown


def long_stream(server: Served, agent: str = "generator") -> LongStream:
    """Read the stream of a generator; before it, a short one, so that everything is imported."""
    _read(server, "merged")
    before, most = server.memory, 0
    began = time.perf_counter()
    with _asking(server, agent) as connection:
        tail = connection.recv(1 << 20)
        while b"event: chunk" not in tail:
            tail += connection.recv(1 << 20)
        first = looked = time.perf_counter()
        while not tail.endswith(_END):
            tail = tail[-len(_END) :] + _received(connection)
            if time.perf_counter() > looked + 0.1:
                most, looked = max(most, server.memory), time.perf_counter()
    ended = time.perf_counter()
    most = max(most, server.memory)
    return LongStream(first - began, ended - began, max(most - before, 0) if before else 0)


def others_during(server: Served, agent: str, times: int) -> float:
    """Return the median seconds of another agent's run while this one's function does not return."""
    with contextlib.ExitStack() as waiting:
        for _ in range(5):
            waiting.enter_context(_asking(server, agent))
        threading.Event().wait(0.1)  # until the functions have been called
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            _read(server, "short")
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def planning_time(pauses: int, times: int = 5) -> float:
    """Return the fewest seconds of work, of several times, for the whole plan of a script with pauses."""
    script = Script.of(tuple(["tick", delay(0.05)] * pauses))
    run = DialectRun("sse", "r", "2026-01-01", {}, {}, dialect=dialect_of("sse"))

    def planned() -> float:
        began = time.process_time()
        assert len(stream_plan(script, run).moves) > pauses
        return time.process_time() - began

    return min(planned() for _ in range(times))


@contextlib.contextmanager
def _asking(server: Served, agent: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(stream(agent))
        yield connection


def _read(server: Served, agent: str) -> None:
    with _asking(server, agent) as connection:
        tail = b""
        while not tail.endswith(_END):
            tail = tail[-len(_END) :] + _received(connection)


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 20)
    assert data, "the server has closed the connection"
    return data
