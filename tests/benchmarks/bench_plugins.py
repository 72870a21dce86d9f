"""What the transports of plugins cost, compared with the transport ``sse`` and with official clients.

``make bench-plugins`` races, over a burst of each protocol, our transport against the protocol's official
client, and against our ``sse`` with the same texts. The figures are medians of ratios of CPU time, of turns
that are interleaved.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tests.benchmarks.bench import about
from tests.benchmarks.contenders import load_all
from tests.benchmarks.ours import NAME
from tests.benchmarks.plugins import NAME as PLUGIN
from tests.benchmarks.plugins import PLUGINS
from tests.benchmarks.race import origins, race, workers
from tests.benchmarks.tables import Goal, Table

if TYPE_CHECKING:
    from tests.benchmarks.contenders import Origin
    from tests.benchmarks.race import Result

__all__ = ["compare"]

EVENTS = 1000
MOST, LESS = 4.0, 10.0  # of our sse; and how many times less than the official client


def compare(
    origin: Origin, plugin: str, style: str, rounds: int, *, peers: bool, events: int = EVENTS
) -> tuple[Result, Result, Result | None]:
    """Race one plugin in one style: the figures of our ``sse``, of the plugin and of the official client."""
    sse, ours = f"{NAME}/{style}/sse", f"{PLUGIN}/{style}/{plugin}"
    official = f"{plugin}/{style}/{plugin}"
    keys = [sse, ours, *([official] if peers and official in load_all() else [])]
    with workers(keys, origin) as racers:
        results = race(racers, lambda wire: f"{wire}-burst-{events}", rounds)
    return results[sse], results[ours], results.get(official)


def main() -> int:
    """Measure and print the tables; 1 if a goal is not reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    options = parser.parse_args()
    columns = ("plugin", "style", "us", "x our sse", "official client, x ours")
    table, goals = Table("Plugins: CPU for one event of a burst", columns), []
    with origins() as (plain, _):
        for plugin, style in ((plugin, style) for plugin in PLUGINS for style in ("sync", "asyncio")):
            sse, ours, official = compare(plain, plugin, style, options.rounds, peers=True)
            more = "" if official is None else official.ratio(ours, "cpu")
            table.rows.append((plugin, style, ours.median("cpu"), ours.ratio(sse, "cpu"), more))
            goals.append(Goal(f"{plugin}, {style}: of our sse", ours.ratio(sse, "cpu"), MOST))
            if official is not None:
                what = f"{plugin}, {style}: less than the official client"
                goals.append(Goal(what, official.ratio(ours, "cpu"), LESS, at_least=True))
    sys.stdout.write(f"{table}\n{Table.of_goals(goals)}\n{about()}")
    return 0 if all(goal.reached for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
