"""What it costs to run an asynchronous library as a transport: ``make bench-bridge``.

A server sends lines. They are read by a model of a library (asyncio's own streams) alone, by the same
library behind ``AsyncTransport`` in each style, and by a plain ``Transport``. The table compares CPU time of
the reading process, threads included, in interleaved rounds of one run, as ratios to the library
alone, of which the best round of each counts.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from runagent import AsyncRunAgentClient, Chunk, Completed, RunAgentClient
from runagent.transports import BaseSession, Capability, Wants

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.transports import Address, AgentCall, Emit, Event, ResumePoint, Route

__all__ = ["measure"]

BURST, PACED = 20_000, 300
_PAUSE_SECONDS = 0.001
Counts = dict[str, float]


class LineSession(BaseSession):
    """Reads lines; a dot ends them."""

    def __init__(self, call: AgentCall) -> None:
        super().__init__()
        self.send(f"{call.input['query']}\n".encode())
        self._tail = b""

    def receive_data(self, data: bytes) -> list[Event]:
        *lines, self._tail = (self._tail + data).split(b"\n")
        events: list[Event] = [Chunk(line.decode()) for line in lines]
        if events and lines[-1] == b".":
            events[-1] = Completed()
            self.wants = Wants.DONE
        return events

    def receive_eof(self) -> list[Event]:
        return []


class Lines:
    """The plain `Transport`."""

    name = "lines"
    api_version = 1
    capabilities: frozenset[Capability] = frozenset()
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> LineSession:
        return LineSession(call)


class LibraryOfLines:
    """The same in the way of a typical library: one event at a time."""

    name = "library"
    api_version = 1
    capabilities: frozenset[Capability] = frozenset()
    runs_on = frozenset({"asyncio"})

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        reader, writer = await asyncio.open_connection(*address.endpoint)
        writer.write(f"{call.input['query']}\n".encode())
        while (line := await reader.readline()) != b".\n":
            await emit(Chunk(line[:-1].decode()))
        await emit(Completed())
        writer.close()


async def read_alone(port: int, query: str) -> int:
    """Read with the library and nothing around it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{query}\n".encode())
    count = 0
    while await reader.readline() != b".\n":
        count += 1
    writer.close()
    return count


async def read_async(port: int, query: str, transport: Lines | LibraryOfLines) -> int:
    """Read with the asynchronous client."""
    client = AsyncRunAgentClient("a", base_url=f"http://127.0.0.1:{port}", transport=transport)
    count = 0
    async for _ in client.run_generic_stream(query):
        count += 1
    return count


def read_sync(port: int, query: str, transport: Lines | LibraryOfLines) -> int:
    """Read with the synchronous client."""
    client = RunAgentClient("a", base_url=f"http://127.0.0.1:{port}", transport=transport)
    return sum(1 for _ in client.run_generic_stream(query))


READERS: dict[str, Callable[[int, str], int]] = {
    "the library alone, on asyncio": lambda port, query: asyncio.run(read_alone(port, query)),
    "`AsyncTransport`, asyncio": lambda port, query: asyncio.run(read_async(port, query, LibraryOfLines())),
    "`AsyncTransport`, synchronous": lambda port, query: read_sync(port, query, LibraryOfLines()),
    "`Transport`, asyncio": lambda port, query: asyncio.run(read_async(port, query, Lines())),
    "`Transport`, synchronous": lambda port, query: read_sync(port, query, Lines()),
}


async def serve() -> None:
    """Send as many lines as are asked for: ``burst N`` at once, ``paced N`` one by one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind, count = (await reader.readline()).decode().split()
        line = b"a line of a common length\n"
        if kind == "burst":
            writer.write(line * int(count))
        else:
            for _ in range(int(count)):
                writer.write(line)
                await asyncio.sleep(_PAUSE_SECONDS)
        writer.write(b".\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # the parent process reads it
    await server.serve_forever()


def measure(query: str, rounds: int) -> Counts:
    """Return the CPU seconds of the best round of each reader."""
    server = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, "--serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port, best = int(server.stdout.readline()), dict.fromkeys(READERS, float("inf"))
        for _ in range(rounds):
            for name, read in READERS.items():
                began = time.process_time()
                assert int(query.split()[1]) == read(port, query)
                best[name] = min(best[name], time.process_time() - began)
    finally:
        server.kill()
        server.communicate()
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return
    burst = measure(f"burst {BURST}", arguments.rounds)
    paced = measure(f"paced {PACED}", arguments.rounds)
    baseline = next(iter(READERS))
    print("| reader | burst | one at a time |\n|---|---|---|")  # noqa: T201
    for name in READERS:
        print(f"| {name} | {burst[name] / burst[baseline]:.2f}x | {paced[name] / paced[baseline]:.2f}x |")  # noqa: T201


if __name__ == "__main__":
    main()
