"""The race: contenders in separate processes take turns against one server, round by round.

A round's figures are compared with each other only: each is divided by the baseline's of the same round, and
the median of these ratios is what counts. What else the machine does hits all of a round alike.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders import Origin, load_all
from tests.support.process import killed_at_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Result", "Worker", "origins", "race", "workers"]

_SECONDS_OF_A_TURN = 0.06  # of CPU, for each contender in each round


class Worker:
    """A contender's process.

    Args:
        key: The contender.
        origin: The server.
        authority: The file of the authority that certifies it, if it has one.
        label: Distinguishes several processes of one contender; results have it before the name.
        environment: Environment variables of the process, in addition to the contender's.
    """

    def __init__(
        self,
        key: str,
        origin: Origin,
        authority: Path | None,
        *,
        label: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.key = f"{label} {key}".strip()
        self.name, self.style, self.wire = self.key.rsplit("/", 2)
        self.times = 1
        arguments = [key, str(origin.port)] + ([str(authority)] if origin.authority else [])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | load_all()[key].environment | dict(environment or {}),
        )

    def read(self) -> dict[str, float]:
        """Wait for the next report."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.key} has ended before its time")
        report: dict[str, float] = json.loads(line)
        return report

    def measure(self, ask: str, times: int = 1) -> dict[str, float]:
        """Have it read an answer so many times (at once, if it is one of many streams)."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"ask": ask, "times": times}) + "\n")
        self._process.stdin.flush()
        return self.read()

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        with self._process:
            pass


@contextlib.contextmanager
def origins() -> Iterator[tuple[Origin, Origin]]:
    """Run the server; give its plain and its TLS side."""
    command = [sys.executable, "-m", "tests.benchmarks.origin"]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with killed_at_end(started) as process:
        assert process.stdout is not None
        ready: dict[str, Any] = json.loads(process.stdout.readline())
        yield Origin(ready["plain"]), Origin(ready["tls"], ready["authority"])


@contextlib.contextmanager
def workers(keys: Sequence[str], origin: Origin) -> Iterator[list[Worker]]:
    """Start a process for each contender, and wait until they are ready."""
    unknown = [key for key in keys if key not in load_all()]
    if unknown:
        raise ValueError(f"no such contenders: {', '.join(unknown)}")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = folder / "authority.pem"
        authority.write_text(origin.authority, encoding="ascii")
        started = []
        for key in keys:
            worker = Worker(key, origin, authority)
            stack.callback(worker.close)
            started.append(worker)
        for worker in started:
            worker.read()
        yield started


class Result:
    """What a contender's rounds have come to.

    Attributes:
        key: The contender.
        first: The report of the round that does not count; of interest is its memory, which later ones reuse.
        rounds: One report for each round, in the order of the rounds.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.name, self.style, self.wire = key.rsplit("/", 2)
        self.first: dict[str, float] = {}
        self.rounds: list[dict[str, float]] = []

    def values(self, figure: str) -> list[float]:
        """Return a figure of each round; those of CPU in microseconds for one event."""
        if figure == "cpu":
            return [report["cpu"] / report["count"] * 1e6 for report in self.rounds]
        return [report[figure] for report in self.rounds]

    def median(self, figure: str) -> float:
        """Return its median."""
        return statistics.median(self.values(figure))

    def ratio(self, baseline: Result, figure: str) -> float:
        """Return the median of the rounds' ratios to another contender."""
        pairs = zip(self.values(figure), baseline.values(figure), strict=True)
        return statistics.median(mine / other for mine, other in pairs)


def race(
    racers: Sequence[Worker],
    ask: Callable[[str], str],
    rounds: int,
    *,
    times: Callable[[Worker], int] | None = None,
) -> dict[str, Result]:
    """Let the workers take turns, and check that all of one wire have read the same.

    Args:
        racers: Who takes part.
        ask: Makes of a wire what to ask the server for.
        rounds: How often each has its turn, the first one, which is thrown away, not counted.
        times: How many answers make a turn; as many as take some 60 ms of CPU if not given.
    """
    results = {worker.key: Result(worker.key) for worker in racers}
    for number in range(rounds + 1):
        for worker in racers:
            report = worker.measure(ask(worker.wire), worker.times if times is None else times(worker))
            if number:
                results[worker.key].rounds.append(report)
                continue
            results[worker.key].first = report
            if times is None:
                worker.times = max(1, round(_SECONDS_OF_A_TURN / max(report["cpu"], 0.001)))
    _check_sums(results, racers)
    return results


def _check_sums(results: dict[str, Result], racers: Sequence[Worker]) -> None:
    sums: dict[str, set[float]] = {}
    for worker in racers:
        for report in results[worker.key].rounds:
            assert report["count"], f"{worker.key} has read nothing"
            sums.setdefault(worker.wire, set()).add(report.get("size", 0) / report["count"])
    assert all(len(found) == 1 for found in sums.values()), f"contenders have read different texts: {sums}"
