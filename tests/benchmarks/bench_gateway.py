"""What a gateway costs: ``make bench-gateway``.

An agent in a second process paces many streams at ten chunks a second each; a gateway in a third relays them
to as many browsers in this one. Figures are CPU time of the gateway's process for one relayed chunk, by the
scheduler's own account, and the memory that its streams need at most. The gateways take turns in rounds; a
figure is the median of its rounds, and ratios are what to compare.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import active_children as children
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.gateway_apps import ASGI, WSGI
from tests.benchmarks.gateway_load import Browsers, serve_agent
from tests.benchmarks.tables import Goal, Table
from tests.interop.programs import Port, Program, environment
from tests.support.process import in_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Cost", "main", "measure"]

ROOT = Path(__file__).resolve().parents[2]
BURST_CHUNKS, BURST_STREAMS = 2000, 50
SETTLING_SECONDS = 1.0
CROWD, CROWDED = 3000, "relay, bare ASGI"
PARTS = ["asgi", "wsgi", "burst", "crowd"]


@dataclass(frozen=True)
class Cost:
    """What a gateway has cost.

    Attributes:
        chunk: Microseconds of CPU for each relayed chunk.
        stream: KiB of memory for each stream, at the peak.
        share: How many of the chunks that were due have arrived, from 0 to 1.
        failures: How many answers failed.
        busy: What the gateway used of one core, from 0 to 1.
        load: What the agent and the browsers together used of one core, which nobody else had in a crowd.
    """

    chunk: float
    stream: float
    share: float
    failures: int
    busy: float = 0.0
    load: float = 0.0


Found = dict[str, list[Cost]]


class GatewayProcess(Program):
    """A gateway under its server."""

    def __init__(self, name: str, port: Port, folder: Path, agent: str, pause: float, threads: int) -> None:
        if name in WSGI:
            command = ["gunicorn", "--bind", f"127.0.0.1:{port.number}", "--threads", str(threads)]
            command += ["--worker-connections", "10000", "--backlog", "4096"]
        else:
            command = ["uvicorn", "--port", str(port.number), "--loop", "uvloop", "--http", "httptools"]
            command += ["--no-access-log", "--lifespan", "off", "--log-level", "warning", "--backlog", "4096"]
        env = {
            "BENCH_GATEWAY": name,
            "BENCH_AGENT": agent,
            "BENCH_PAUSE": str(pause),
            "BENCH_CHUNKS": str(1_000_000 if pause else BURST_CHUNKS),
            "PYTHONPATH": str(ROOT),
        }
        module = [environment("gateways"), "-m", *command, "tests.benchmarks.gateway_apps:app"]
        super().__init__(module, port, folder / "log", env)

    @property
    def worker(self) -> int:
        """The process that serves: gunicorn's child, or the program itself."""
        assert self._process is not None
        found = subprocess.run(
            ["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        return int(found[0]) if found else self._process.pid

    def cpu(self) -> float:
        """Return the seconds of CPU that all threads of the worker have used."""
        return cpu_of(self.worker)

    def peak(self) -> float:
        """Return the most memory that the worker has had, in KiB."""
        lines = Path(f"/proc/{self.worker}/status").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def cpu_of(process: int) -> float:
    """Return the seconds of CPU that all threads of a process have used."""
    tasks = Path(f"/proc/{process}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def load_cpu() -> float:
    """Return the seconds of CPU that the browsers, here, and the agent have used."""
    return sum(cpu_of(process.pid or 0) for process in (multiprocessing.current_process(), *children()))


def measure(name: str, streams: int, pause: float, seconds: float, *, apart: bool = False) -> Cost:
    """Measure one gateway once.

    Args:
        name: The gateway's.
        streams: How many browsers there are.
        pause: Seconds between two chunks of a stream; 0 measures a burst.
        seconds: How long is measured.
        apart: The gateway has one core to itself, and all else another one, if there are two.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        in_process(serve_agent, pause, 0 if pause else BURST_CHUNKS) as pipe,
        Port() as port,
        GatewayProcess(name, port, Path(folder), str(pipe.recv()), pause, streams + 10) as gateway,
        cores_apart(gateway.worker) if apart else contextlib.nullcontext(),
    ):
        return asyncio.run(_measure(gateway, port.number, streams, pause, seconds))


@contextlib.contextmanager
def cores_apart(gateway: int) -> Iterator[None]:
    """Give the first core to a gateway and the others to what is around it."""
    all_cores = os.sched_getaffinity(0)
    first = min(all_cores)
    rest = all_cores - {first} or all_cores
    os.sched_setaffinity(gateway, {first})
    others = [os.getpid(), *(process.pid for process in children() if process.pid)]
    for process in others:
        os.sched_setaffinity(process, rest)
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)


async def _measure(gateway: GatewayProcess, port: int, streams: int, pause: float, seconds: float) -> Cost:
    browsers = Browsers(port)
    await _warm_up(port)
    memory, cpu, load, began = gateway.peak(), gateway.cpu(), load_cpu(), time.monotonic()
    await browsers.connect(streams)
    if pause:
        await browsers.all_begun()
        await asyncio.sleep(SETTLING_SECONDS)
        cpu, load, events, began = gateway.cpu(), load_cpu(), browsers.events, time.monotonic()
        await asyncio.sleep(seconds)
        count = browsers.events - events
        due = streams * (time.monotonic() - began) / pause
    else:
        await browsers.all_over()
        count, due = browsers.events, streams * BURST_CHUNKS
    passed = time.monotonic() - began
    used, peak, load = gateway.cpu() - cpu, gateway.peak() - memory, load_cpu() - load
    failures = browsers.failures
    browsers.close()
    return Cost(
        used / max(1, count) * 1e6, peak / streams, count / due, failures, used / passed, load / passed
    )


async def _warm_up(port: int) -> None:
    """Have the gateway import what it needs."""
    first = Browsers(port)
    await first.connect(1)
    await first.all_begun()
    first.close()
    await asyncio.sleep(0.1)


def rounds(
    names: Sequence[str], count: int, streams: int, pause: float, seconds: float
) -> dict[str, list[Cost]]:
    """Measure the gateways in turn, so many times each."""
    found: Found = {name: [] for name in names}
    for _ in range(count):
        for name in names:
            found[name].append(measure(name, streams, pause, seconds))
    return found


def table_of(title: str, found: Found) -> Table:
    """Show each gateway with the ratio of its chunks to the first one's."""
    table = Table(
        title, ["gateway", "us a chunk", "of the first", "KiB a stream", "chunks arrived", "failures"]
    )
    first = median(cost.chunk for cost in next(iter(found.values())))
    for name, costs in found.items():
        chunk = median(cost.chunk for cost in costs)
        memory = median(cost.stream for cost in costs)
        share = min(cost.share for cost in costs)
        failures = sum(cost.failures for cost in costs)
        table.rows.append([name, chunk, f"{chunk / first:.2f}x", memory, f"{share:.1%}", str(failures)])
    return table


def table_of_crowd(cost: Cost) -> Table:
    """Show a crowd of browsers, and how busy the gateway and what is around it were."""
    columns = ["", "us a chunk", "KiB a stream", "chunks arrived", "failures", "its core busy", "the load's"]
    row: list[str | float] = [CROWDED, cost.chunk, cost.stream, f"{cost.share:.1%}", str(cost.failures)]
    return Table(
        "3 000 browsers, 2 chunks a second each, a core for the gateway",
        columns,
        [[*row, f"{cost.busy:.0%}", f"{cost.load:.0%}"]],
    )


def goals_of_crowd(cost: Cost) -> list[Goal]:
    """Compare with what a crowd should get: everything, in time."""
    return [
        Goal(f"{CROWDED}, {CROWD} browsers, chunks in time", cost.share, 0.99, at_least=True, unit=""),
        Goal(f"{CROWDED}, {CROWD} browsers, failures", cost.failures, 0, unit=""),
    ]


def ratio(found: Found, name: str, other: str) -> float:
    """Return the median over the rounds of one gateway's cost to another's."""
    return median(a.chunk / b.chunk for a, b in zip(found[name], found[other], strict=True))


GOALS = (
    ("relay, bare ASGI", "bare ASGI on our client", 1.1),
    ("relay, bare ASGI", "own chunks, Starlette", 1.4),
    ("relay, bare ASGI", "aiohttp in Starlette", 0.75),
    ("relay, bare ASGI", "httpx2 in Starlette", 0.3),
    ("relay in Starlette", "aiohttp in Starlette", 0.75),
    ("relay in Starlette", "httpx2 in Starlette", 0.3),
    ("relay, WSGI", "bare WSGI on our client", 1.1),
)


def goals_of(found: Found) -> list[Goal]:
    """Compare with what a relay should cost."""
    goals = [
        Goal(f"{name} / {other}, a chunk", ratio(found, name, other), limit)
        for name, other, limit in GOALS
        if name in found and other in found
    ]
    if {"relay, bare ASGI", "bare ASGI on our client"} <= found.keys():
        memory = median(
            ours.stream / bare.stream
            for ours, bare in zip(found["relay, bare ASGI"], found["bare ASGI on our client"], strict=True)
        )
        goals.append(Goal("relay / bare ASGI on our client, memory of a stream", memory, 1.1))
    return goals


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(prog="bench_gateway", description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", help="the name of a gateway; may be repeated")
    parser.add_argument("--part", action="append", choices=PARTS)
    options = parser.parse_args(arguments)
    for text in report(options):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def report(options: argparse.Namespace) -> Iterator[object]:
    """Yield what is printed, as soon as it is measured."""
    parts = options.part or PARTS
    goals = []
    yield f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}\n"
    for part, names in (("asgi", ASGI), ("wsgi", WSGI)):
        if part in parts:
            chosen = [name for name in names if not options.only or name in options.only]
            streams = options.streams if part == "asgi" else min(options.streams, 200)
            found = rounds(chosen, options.rounds, streams, 0.1, options.seconds)
            yield table_of(f"{part.upper()}, {streams} streams, 10 chunks a second each", found)
            goals += goals_of(found)
    if "burst" in parts:
        chosen = [name for name in ASGI if name.startswith(("own", "bare", "relay, bare", "aiohttp"))]
        found = rounds(chosen, options.rounds, BURST_STREAMS, 0.0, 0.0)
        yield table_of(f"Bursts, {BURST_STREAMS} streams of {BURST_CHUNKS} chunks", found)
        goals += [
            Goal(f"relay / {name}, bursts", ratio(found, "relay, bare ASGI", name), 0.1)
            for name in chosen
            if name.startswith(("own", "bare"))
        ]
    if "crowd" in parts:
        crowd = measure(CROWDED, CROWD, 0.5, options.seconds, apart=True)
        goals += goals_of_crowd(crowd)
        yield table_of_crowd(crowd)
    if goals:
        yield Table.of_goals(goals)


if __name__ == "__main__":
    main()
