"""Compare the clients with a bare-socket baseline, and with other clients in use today.

    make bench          all of it, some minutes; ARGS='--write docs' puts it into docs/performance.md
    make bench-quick    only the comparison with the baseline, in less than a minute

CPU is what each process has used itself, user and system; "x" is the ratio to the baseline in the same round.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.baselines import BASELINE, BASELINES, TASK
from tests.benchmarks.contenders import load_all
from tests.benchmarks.origin import EVENTS_OF_MANY, PACE
from tests.benchmarks.ours import NAME
from tests.benchmarks.race import Result, origins, race, workers
from tests.benchmarks.stages import stages
from tests.benchmarks.starts import first_chunks, imports
from tests.benchmarks.tables import Goal, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.contenders import Origin

__all__ = ["Report", "bursts", "main", "many", "measure", "paced", "starts"]

STYLES = ("sync", "asyncio", "trio")
MEASURED = ("sync", "asyncio", "uvloop", "trio")  # asyncio on uvloop has no goals
TITLES = {
    "sse": "SSE burst",
    "ndjson": "NDJSON burst",
    "published": "WebSocket burst, the published server's triple encoding",
    "plain": "WebSocket burst, plain content",
}
# By wire: how much of the baseline, and how many times less than the best peer.
BURST_GOALS = {"sse": (1.25, 2.5), "ndjson": (1.5, 5.0), "published": (1.5, 1.0), "plain": (2.0, 1.0)}
LESS_THAN = {"httpx2": 10.0, "openai": 60.0}  # for the SSE burst
PEERS = (
    "aiohttp",
    "aiohttp-sse-client",
    "anthropic",
    "httpx2",
    "openai",
    "picows",
    "requests",
    "trio-websocket",
    "urllib3",
    "uvloop",
)
_BEGIN, _END = "<!-- measured -->", "<!-- end of what was measured -->"
_SDKS = ("openai", "anthropic")  # their events differ, and cost so much that fewer of them will do


def _events(wire: str) -> int:
    return 1000 if wire in _SDKS else 10_000


def _keys(wires: Sequence[str], names: Sequence[str] = ()) -> list[str]:
    """List the contenders of some wires by style: the baseline and ourselves first, as neighbours."""
    found = [c for c in load_all().values() if c.wire in wires and (not names or c.name in names)]
    order = {BASELINE: 0, NAME: 1, TASK: 2}
    found.sort(key=lambda c: (MEASURED.index(c.style), order.get(c.name, 9)))
    return [c.key for c in found]


def bursts(
    origin: Origin, wire: str, rounds: int, *, peers: bool
) -> tuple[Table, list[Goal], dict[str, Result]]:
    """Race over one wire, everything sent at once."""
    wires = (wire, *_SDKS) if wire == "sse" and peers else (wire,)
    with workers(_keys(wires, () if peers else (BASELINE, TASK, NAME)), origin) as racers:
        results = race(racers, lambda wire: f"{wire}-burst-{_events(wire)}", rounds)
    table = Table(f"{TITLES[wire]}: CPU for one event", ("contender", "style", "us", "x baseline"))
    goals = []
    most, less = BURST_GOALS[wire]
    for style in MEASURED:
        baseline, ours = results[f"{BASELINE}/{style}/{wire}"], results[f"{NAME}/{style}/{wire}"]
        here = sorted((r for r in results.values() if r.style == style), key=lambda r: r.median("cpu"))
        table.rows += [(r.name, style, r.median("cpu"), r.ratio(baseline, "cpu")) for r in here]
        if style not in STYLES:
            continue
        goals.append(Goal(f"{TITLES[wire]}, {style}: of the baseline", ours.ratio(baseline, "cpu"), most))
        theirs = [r for r in here if r.name not in (*BASELINES, NAME)]
        if theirs:
            best = theirs[0]
            what = f"{TITLES[wire]}, {style}: less than the best peer ({best.name})"
            goals.append(Goal(what, best.ratio(ours, "cpu"), less, at_least=True))
        for peer in theirs:
            if wire == "sse" and peer.name in LESS_THAN:
                what = f"{TITLES[wire]}, {style}: less than {peer.name}"
                goals.append(Goal(what, peer.ratio(ours, "cpu"), LESS_THAN[peer.name], at_least=True))
    return table, goals, results


def paced(origin: Origin, rounds: int, *, events: int, peers: bool) -> tuple[Table, list[Goal]]:
    """Race over SSE with one event in each write, a thousand a second."""
    over = "TLS" if origin.authority else "TCP"
    names = (*BASELINES, NAME, *(() if origin.authority else ("httpx2", "aiohttp")))
    if not peers:
        names = (BASELINE, TASK, NAME)
    with workers(_keys(("sse",), names), origin) as racers:
        results = race(racers, lambda wire: f"{wire}-paced-{events}", rounds, times=lambda _: 1)
    columns = ("contender", "style", "CPU us", "x baseline", "latency p50 us", "x baseline")
    table = Table(f"SSE over {over}, one event in each write, {PACE} a second", columns)
    goals = []
    for style in MEASURED:
        baseline = results[f"{BASELINE if style in ('sync', 'trio') else TASK}/{style}/sse"]
        for result in (r for r in results.values() if r.style == style):
            table.rows.append(
                (
                    result.name,
                    style,
                    result.median("cpu"),
                    result.ratio(baseline, "cpu"),
                    result.median("latency"),
                    result.ratio(baseline, "latency"),
                )
            )
        if style not in STYLES:
            continue
        ours = results[f"{NAME}/{style}/sse"]
        goals.append(
            Goal(f"Paced over {over}, {style}: CPU of the baseline", ours.ratio(baseline, "cpu"), 1.15)
        )
        goals.append(
            Goal(
                f"Paced over {over}, {style}: latency of the baseline", ours.ratio(baseline, "latency"), 1.15
            )
        )
    return table, goals


def many(origin: Origin, rounds: int, *, streams: Sequence[int]) -> tuple[Table, list[Goal]]:
    """Race with many streams at once on one client, each of few events; the middle number has the goals."""
    usual = streams[len(streams) // 2]
    columns = ("contender", "style", "streams", "set-up us", "events' CPU us", "memory KiB", "growth KiB")
    table = Table(f"Many SSE streams at once, {EVENTS_OF_MANY} events each, 20 a second", columns)
    goals = []
    for style in MEASURED[1:]:
        keys = [key for key in _keys(("sse",), (*BASELINES, NAME, "aiohttp")) if f"/{style}/" in key]
        with workers(keys, origin) as racers:
            by_count = {
                count: race(
                    racers if count <= usual else [w for w in racers if w.name == NAME],
                    lambda wire, count=count: f"{wire}-many-{count}",  # type: ignore[misc]  # bound at once
                    rounds,
                    times=lambda _, count=count: count,  # type: ignore[misc]
                )
                for count in streams
            }
        for count, results in by_count.items():
            for result in results.values():
                table.rows.append(
                    (
                        result.name,
                        style,
                        str(count),
                        result.median("setup") / count * 1e6,
                        result.median("cpu"),
                        result.first["memory"] / count / 1024,
                        result.median("grown") / count / 1024,
                    )
                )
        if style not in STYLES:
            continue
        results = by_count[usual]
        baseline, ours = results[f"{BASELINE}/{style}/sse"], results[f"{NAME}/{style}/sse"]
        name = f"{usual} streams, {style}"
        goals.append(Goal(f"{name}: events' CPU of the baseline", ours.ratio(baseline, "cpu"), 1.3))
        goals.append(Goal(f"{name}: set-up of the baseline", ours.ratio(baseline, "setup"), 1.3))
        peer = results.get(f"aiohttp/{style}/sse")
        if peer is not None:
            goals.append(Goal(f"{name}: events' CPU of aiohttp's", ours.ratio(peer, "cpu"), 1.0))
            goals.append(Goal(f"{name}: set-up of aiohttp's", ours.ratio(peer, "setup"), 1.0))
        above = (ours.first["memory"] - baseline.first["memory"]) / usual / 1024
        goals.append(Goal(f"{name}: memory above the baseline's", above, 12.0, unit=" KiB"))
        least, most = (
            by_count[count][f"{NAME}/{style}/sse"].median("cpu") for count in (streams[0], streams[-1])
        )
        if len(streams) > 1:
            what = f"{streams[-1]} streams, {style}: an event's CPU of that with {streams[0]}"
            goals.append(Goal(what, most / least, 1.15))
    return table, goals


def starts(origin: Origin, rounds: int, *, peers: bool) -> tuple[Table, list[Goal]]:
    """Measure what comes before the first chunk."""
    table = Table("From the start of a process: CPU", ("program", "ms"))
    found = imports(rounds)
    table.rows += [(f"import {name}", value) for name, value in found.items()]
    bare, ours = found.values()
    goals = [Goal("import runagent: of a bare process", ours / bare, 1.5)]
    chunks = first_chunks(origin, rounds, peers=peers)
    table.rows += [(f"first chunk, {name}", value) for name, value in chunks.items()]
    if peers:
        goals += [
            Goal(f"First chunk, {name}: of httpx2's", value / chunks[_counterpart(name)], 0.5)
            for name, value in chunks.items()
            if name.startswith(NAME)
        ]
    return table, goals


def _counterpart(name: str) -> str:
    return "httpx2 websocket" if "websocket" in name else "httpx2 sse"


def about() -> str:
    """Describe the machine and versions of the measurement."""
    packages = (NAME, "httptools", "msgspec", "websockets", "trio", "orjson", *PEERS)
    versions = [f"{name} {version}" for name in packages if (version := _version(name))]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, {platform.system()}, {python}; {', '.join(versions)}.\n"


def _version(package: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None


class Report:
    """What has been measured, shown as it comes."""

    def __init__(self) -> None:
        self.tables: list[Table] = []
        self.goals: list[Goal] = []

    def add(self, table: Table, goals: Sequence[Goal] = ()) -> None:
        """Take a table, and the goals that it decides."""
        self.tables.append(table)
        self.goals += goals
        sys.stdout.write(f"{table}\n")
        sys.stdout.flush()

    def write(self, docs: Path) -> None:
        """Put everything into the page that shows it, and draw its charts."""
        # Only here: this module is also imported with the code of other commits, which lack what charts need.
        from tests.docs.pictures import charts

        page = docs / "performance.md"
        before, begin, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
        _, end, behind = rest.partition(_END)
        if not begin or not end:
            raise ValueError(f"{page} does not have the marks between which the tables go")
        tables = "\n".join(map(str, [Table.of_goals(self.goals), *self.tables]))
        text = f"{before}{_BEGIN}\n\n{about()}\n{tables}\n{_END}{behind}"
        page.write_text(text, encoding="utf-8")
        for name, draw in charts.measured(text).items():
            (docs / name).write_text(draw(), encoding="utf-8")


def measure(report: Report, wanted: Sequence[str], rounds: int, *, peers: bool) -> None:
    """Measure what is wanted."""
    with origins() as (plain, tls):
        for wire in TITLES if "burst" in wanted else ():
            table, goals, results = bursts(plain, wire, rounds, peers=peers)
            report.add(table, goals)
            if wire == "sse":
                report.add(stages(results[f"{NAME}/sync/sse"].median("cpu")))
        for origin in (plain, tls)[: 2 if peers else 1] if "paced" in wanted else ():
            report.add(*paced(origin, rounds if peers else 3, events=500 if peers else 250, peers=peers))
        if "many" in wanted:
            report.add(*many(plain, 3, streams=(100, 1000, 3000)))
        if "start" in wanted:
            report.add(*starts(plain, rounds, peers=peers))


def main() -> int:
    """Measure what is asked for and print the tables; 1 if a goal is not reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="ourselves against the baseline only")
    parser.add_argument("--only", choices=("burst", "paced", "many", "start"), action="append")
    parser.add_argument("--rounds", type=int, default=0, help="turns of each contender")
    parser.add_argument("--write", type=Path, metavar="DOCS", help="write into DOCS/performance.md")
    options = parser.parse_args()
    peers, rounds = not options.quick, options.rounds or (7 if options.quick else 21)
    report = Report()
    wanted = options.only or ["burst", "paced", "start", *(["many"] if peers else [])]
    measure(report, wanted, rounds, peers=peers)
    sys.stdout.write(f"{Table.of_goals(report.goals)}\n{about()}")
    if options.write:
        report.write(options.write)
    return 0 if all(goal.reached for goal in report.goals) else 1


if __name__ == "__main__":
    sys.exit(main())
