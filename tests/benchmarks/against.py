"""Compare the package with that of another commit: the first chunk of a process, short runs and bursts.

    make bench-against REF=a544426                    all of it, some minutes
    make bench-against REF=main ARGS="--only first"   the start alone

Processes of both take turns against one server, with the same interpreter and the same dependencies. A row
has the medians of their CPU and the median of the ratios of all rounds; it passes up to 1.05.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.bench import STYLES, TITLES
from tests.benchmarks.ours import NAME
from tests.benchmarks.race import Worker, origins, race
from tests.benchmarks.starts import own_first_chunks, take_turns
from tests.benchmarks.tables import Goal, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.contenders import Origin

__all__ = ["Row", "compare_first_chunks", "compare_runs", "environment_with", "main", "table", "unpack"]

ROOT = Path(__file__).resolve().parents[2]
MOST = 1.05
SHORT_RUN, BURST = 9, 10_000  # chunks


class Row(NamedTuple):
    """The CPU of one task in each round: with the package here, and with that of the other commit."""

    what: str
    this: Sequence[float]
    that: Sequence[float]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(this / that for this, that in zip(self.this, self.that, strict=True))


def unpack(ref: str, folder: Path, packages: Sequence[str] = ("runagent",)) -> None:
    """Write packages of a commit into a folder.

    Raises:
        SystemExit: There is no such commit.
    """
    command = ["git", "archive", "--format=tar", ref, "--", *packages]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if made.returncode:
        sys.exit(f"git has no package of {ref!r}: {made.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")


def environment_with(package: Path) -> dict[str, str]:
    """Return the variables with which a process imports the package in a folder, and these benchmarks."""
    return {"PYTHONPATH": f"{package}:{ROOT}", "PYTHONSAFEPATH": "1"}


def compare_first_chunks(origin: Origin, other: Path, rounds: int) -> list[Row]:
    """Compare the start of a process up to its first chunk, in ms, with the package in another folder."""
    ours = own_first_chunks(origin)
    folders = {"this": ROOT, "that": other}
    times = take_turns(
        {
            f"{side} {name}": (ours[name], environment_with(folders[side]))
            for name in ours
            for side in folders
        },
        rounds,
    )
    return [Row(f"first chunk, {name}: ms", times[f"this {name}"], times[f"that {name}"]) for name in ours]


def compare_runs(
    origin: Origin, other: Path, wire: str, chunks: int, rounds: int, styles: Sequence[str] = STYLES
) -> list[Row]:
    """Compare runs in a warm process, style by style: a whole short run, or a chunk of a burst, in us."""
    short = chunks <= SHORT_RUN
    title = f"{wire}, a run of {chunks} chunks" if short else TITLES[wire]
    rows = []
    for style in styles:
        with contextlib.ExitStack() as stack:
            racers = []
            for side, folder in (("this", ROOT), ("that", other)):
                key = f"{NAME}/{style}/{wire}"
                racer = Worker(key, origin, None, label=side, environment=environment_with(folder))
                stack.callback(racer.close)
                racers.append(racer)
            for racer in racers:
                racer.read()
            results = race(racers, lambda wire: f"{wire}-burst-{chunks}", rounds)
        scale = chunks if short else 1
        this, that = ([cpu * scale for cpu in result.values("cpu")] for result in results.values())
        rows.append(Row(f"{title}, {style}: us", this, that))
    return rows


def table(rows: Sequence[Row], ref: str, goals: Sequence[Goal]) -> Table:
    """Return a table of the medians and ratios, one line for each row."""
    made = Table(f"This checkout compared with {ref}: CPU", ("what", "this", ref, "ratio", "goal", "verdict"))
    for row, goal in zip(rows, goals, strict=True):
        made.rows.append(
            (row.what, statistics.median(row.this), statistics.median(row.that), *goal.cells[1:])
        )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print the table; 1 if a row is over the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ref", help="a commit, as git names it")
    parser.add_argument("--only", choices=("first", "short", "burst"), action="append")
    parser.add_argument("--wire", choices=tuple(TITLES), action="append", help="of short runs and bursts")
    parser.add_argument("--style", choices=STYLES, action="append", help="of short runs and bursts")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each")
    parser.add_argument("--most", type=float, default=MOST, help=f"the largest ratio that passes ({MOST})")
    options = parser.parse_args(arguments)
    wanted = options.only or ["first", "short", "burst"]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, origins() as (origin, _):
        other = Path(folder)
        unpack(options.ref, other)
        if "first" in wanted:
            rows += compare_first_chunks(origin, other, options.rounds)
        for name, chunks in (("short", SHORT_RUN), ("burst", BURST)):
            for wire in (options.wire or TITLES) if name in wanted else ():
                styles = options.style or STYLES
                rows += compare_runs(origin, other, wire, chunks, options.rounds, styles)
    goals = [Goal(row.what, row.ratio, options.most) for row in rows]
    sys.stdout.write(f"{table(rows, options.ref, goals)}\n")
    return 0 if all(goal.reached for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
