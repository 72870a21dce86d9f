"""Compare the fake agent server with that of another commit: its start, its work for an event, a test's cost.

    make bench-fake-against REF=0ad90a59

Processes of both take turns. A row has the medians of their CPU (of the memory for a stream) and the median
of the ratios of all rounds; it passes up to 1.05.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runagent_testing import FakeAgentServer
from tests.benchmarks.against import MOST, ROOT, Row, environment_with, table, unpack
from tests.benchmarks.bench_fake import AGENTS, TRANSPORTS, hold_streams, rate
from tests.benchmarks.plugin_costs import seconds_of_tests
from tests.benchmarks.served import served
from tests.benchmarks.tables import Goal

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Scale", "compare", "main", "measure"]

PACKAGES = ("runagent", "runagent_testing")
PATIENCE = 300.0  # seconds for one round of one side


class Scale(NamedTuple):
    """How much one round measures.

    Attributes:
        starts: Servers that are started and closed.
        seconds: For each rate.
        streams: That are open at once.
    """

    starts: int = 200
    seconds: float = 0.3
    streams: int = 500


def measure(scale: Scale) -> dict[str, float]:
    """Return the cost of each task of a server in this process, by the name of its row."""
    costs = {"start and close: us": _start(scale.starts)}
    with served() as server:
        # First, as memory that was used before would be used again, and count for nothing.
        costs["memory for an open stream: KiB"] = hold_streams(server, scale.streams).memory / 1024
        for agent, what in AGENTS.items():
            for transport, name in TRANSPORTS.items():
                found = rate(server, agent, transport, scale.seconds)
                costs[f"an event, {name}, {what}: us"] = 1e6 / found.per_cpu_second
    return costs


def _a_test(packages: Path) -> float:
    """Return the CPU microseconds of a test with the fixture, beyond those of an empty one."""
    with tempfile.TemporaryDirectory() as folder:
        tests = seconds_of_tests(Path(folder), packages, "process_time")
    return (tests["test_fake_agent"] - tests["test_empty"]) * 1e6


def _start(times: int) -> float:
    """Return the median CPU microseconds of a start and a close, after a first one that imports."""
    FakeAgentServer().start().close()
    spent = []
    for _ in range(times):
        began = time.process_time()
        FakeAgentServer().start().close()
        spent.append(time.process_time() - began)
    return statistics.median(spent) * 1e6


def _measured(packages: Path, scale: Scale) -> dict[str, float]:
    # Compiled code is kept, or one side would be compiled in each round.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.fake_against", "--measure", str(packages), *map(str, scale)],
        cwd=ROOT,
        env=kept | environment_with(packages),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"a measured process failed:\n{ran.stderr}")
    costs: dict[str, float] = json.loads(ran.stdout)
    return costs


def compare(other: Path, rounds: int, scale: Scale) -> list[Row]:
    """Compare this checkout's packages with those in another folder; every other round goes backwards."""
    sides: list[tuple[Path, list[dict[str, float]]]] = [(ROOT, []), (other, [])]
    for number in range(rounds):
        for folder, found in sides if number % 2 else reversed(sides):
            found.append(_measured(folder, scale))
    (_, this), (_, that) = sides
    return [Row(name, [costs[name] for costs in this], [costs[name] for costs in that]) for name in this[0]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print the table; 1 if a row is over the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ref", help="a commit, as git names it")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each")
    parser.add_argument("--most", type=float, default=MOST, help=f"the largest ratio that passes ({MOST})")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        unpack(options.ref, Path(folder), PACKAGES)
        rows = compare(Path(folder), options.rounds, Scale())
    goals = [Goal(row.what, row.ratio, options.most) for row in rows]
    sys.stdout.write(f"{table(rows, options.ref, goals)}\n")
    return 0 if all(goal.reached for goal in goals) else 1


def _measure_here(packages: str, starts: str, seconds: str, streams: str) -> None:
    costs = measure(Scale(int(starts), float(seconds), int(streams)))
    costs["a test with the fixture: us"] = _a_test(Path(packages))
    sys.stdout.write(json.dumps(costs))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        _measure_here(*sys.argv[2:])
    else:
        sys.exit(main())
