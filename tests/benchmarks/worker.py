"""The process that one contender has for itself; it reads what to measure as lines of JSON and answers so.

python -m tests.benchmarks.worker CONTENDER PORT [FILE OF THE AUTHORITY]
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders import Contender, Origin, load_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.contenders import Take

__all__ = ["main"]


class Tally:
    """The user's code: counts the events and adds up their lengths."""

    def __init__(self) -> None:
        self.count = self.size = 0

    def take(self, text: str) -> None:
        """Take an event's text."""
        self.count += 1
        self.size += len(text)

    def summary(self) -> dict[str, float]:
        """Return the figures."""
        return {"count": self.count, "size": self.size}


class Stopwatch(Tally):
    """The user's code of a paced stream: how old is each event when it comes, and what has it cost?"""

    def __init__(self) -> None:
        super().__init__()
        self._ages: list[int] = []
        self._cpu = 0.0

    def take(self, text: str) -> None:
        """Take the moment of an event's writing; the first one ends the opening, which is not counted."""
        self._cpu = self._cpu or time.process_time()
        self._ages.append(time.monotonic_ns() - int(text))
        self.count += 1

    def summary(self) -> dict[str, float]:
        """Return the figures, the CPU since the first event, and the median age in microseconds."""
        cpu = time.process_time() - self._cpu
        return super().summary() | {"cpu": cpu, "latency": statistics.median(self._ages) / 1000}


class Opening(Tally):
    """The user's code of many streams: what has their opening cost when the first event comes?"""

    def __init__(self) -> None:
        super().__init__()
        self._cpu, self._memory = time.process_time(), _memory()
        self.setup_cpu = self.memory = 0.0

    def take(self, text: str) -> None:
        """Take an event's text; the first comes once every stream is open."""
        if not self.count:
            self.setup_cpu = time.process_time() - self._cpu
            self.memory = _memory() - self._memory
        self.count += 1

    def summary(self) -> dict[str, float]:
        """Return the costs: CPU until all were open and afterwards, and memory in bytes."""
        cpu = time.process_time() - self._cpu - self.setup_cpu
        grown = _memory() - self._memory - self.memory
        return {
            "count": self.count,
            "setup": self.setup_cpu,
            "cpu": cpu,
            "memory": self.memory,
            "grown": grown,
        }


def _memory() -> int:
    """Return the resident memory of this process in bytes."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def _orders() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


def _send(report: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


class _Measurement:
    """One order: what it asks for, and what it has cost."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.name: str = order["ask"]
        self.times: int = order["times"]
        self.tally: Tally = {"burst": Tally, "paced": Stopwatch, "many": Opening}[self.name.split("-")[1]]()
        self.take: Take = self.tally.take
        self.together = isinstance(self.tally, Opening)
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def report(self) -> dict[str, float]:
        spent = {"cpu": time.process_time() - self._cpu, "wall": time.perf_counter() - self._wall}
        return spent | self.tally.summary()


def _run_sync(contender: Contender, origin: Origin) -> None:
    with contender.open(origin) as ask:  # type: ignore[union-attr]  # its style decides which of both it is
        _send({})
        for order in _orders():
            measured = _Measurement(order)
            for _ in range(measured.times):
                ask(measured.name, measured.take)
            _send(measured.report())


async def _run_asyncio(contender: Contender, origin: Origin) -> None:
    async with contender.open(origin) as ask:  # type: ignore[union-attr]
        _send({})
        for order in _orders():
            measured = _Measurement(order)
            if measured.together:
                await asyncio.gather(*(ask(measured.name, measured.take) for _ in range(measured.times)))
            else:
                for _ in range(measured.times):
                    await ask(measured.name, measured.take)
            _send(measured.report())


async def _run_trio(contender: Contender, origin: Origin) -> None:
    import trio

    async with contender.open(origin) as ask:  # type: ignore[union-attr]
        _send({})
        for order in _orders():
            measured = _Measurement(order)
            if measured.together:
                async with trio.open_nursery() as nursery:
                    for _ in range(measured.times):
                        nursery.start_soon(ask, measured.name, measured.take)
            else:
                for _ in range(measured.times):
                    await ask(measured.name, measured.take)
            _send(measured.report())


def main() -> None:
    """Measure until standard input ends."""
    key, port, *authority = sys.argv[1:]
    origin = Origin(int(port), Path(authority[0]).read_text(encoding="ascii") if authority else "")
    contender = load_all()[key]
    if contender.style == "sync":
        _run_sync(contender, origin)
    elif contender.style == "asyncio":
        asyncio.run(_run_asyncio(contender, origin))
    elif contender.style == "uvloop":
        import uvloop

        uvloop.run(_run_asyncio(contender, origin))
    else:
        import trio

        trio.run(_run_trio, contender, origin)


if __name__ == "__main__":
    main()
