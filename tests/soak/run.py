"""The long runs: chaos, load, floods and pauses, each in a separate process, as a table.

    make soak          or    python -m tests.soak.run [--seed N] [--only WORD] [--scale 0.1]

Exits with 1 if a row has failed. A failed chaos is repeated by its seed.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.soak.chaos import chaos
from tests.soak.floods import BOMBS, FLOODS, find_flood, flood_server
from tests.soak.insistence import PEERS, insist
from tests.soak.load import many_at_once, one_after_another
from tests.soak.measure import MIB
from tests.soak.memory import flood, pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STYLES = ("sync", "asyncio", "trio")
STREAMS = 2000
RUNS = 50_000
BROKEN = 200
AT_ONCE = {"sync": 250, "asyncio": 1000, "trio": 1000}
FLOOD = 32 * MIB
FRAMES = 4 * MIB  # of a WebSocket's flood, whose frames have a few bytes each
READ_AHEAD = MIB


def rows(seed: int, scale: float) -> Iterator[tuple[str, Callable[[], str]]]:
    """Give the names of all rows, and what makes each: a function whose result is what it saw."""

    def scaled(count: int) -> int:
        return max(int(count * scale), 1)

    for style, transport in itertools.product(STYLES, ("sse", "chunked")):
        name = f"chaos {style} {transport}: {scaled(STREAMS)} streams"
        yield name, functools.partial(_chaos, style, transport, scaled(STREAMS), seed)
    for style in STYLES:
        name = f"load {style}: {scaled(RUNS)} runs one after another"
        yield name, functools.partial(_one_after_another, style, scaled(RUNS))
    for style in STYLES:
        for transport in ("sse", "websocket"):
            name = f"load {style} {transport}: {scaled(AT_ONCE[style])} streams at once"
            yield name, functools.partial(_many_at_once, style, transport, scaled(AT_ONCE[style]))
    for style, kind in itertools.product(STYLES, PEERS):
        name = f"insist {style}: a peer that {kind}, {scaled(BROKEN)} runs"
        yield name, functools.partial(_insist, style, kind, scaled(BROKEN))
    floods = [*FLOODS, *(find_flood("a gzip bomb", transport) for transport in BOMBS)]
    for wanted in floods:
        size = scaled(FRAMES if wanted.transport == "websocket" else FLOOD)
        for style in STYLES:
            name = f"flood {style} {wanted.transport}: {wanted.kind}"
            yield name, functools.partial(_flood, style, wanted.transport, wanted.kind, size)
    for style in STYLES:
        for transport in ("sse", "chunked", "websocket"):
            for ahead in (0, READ_AHEAD):
                name = f"pause {style} {transport}: {ahead // MIB} MiB read ahead"
                yield name, functools.partial(_pause, style, transport, ahead)


def _chaos(style: str, transport: str, streams: int, seed: int) -> str:
    return str(chaos(style, transport, streams, seed))


def _one_after_another(style: str, runs: int) -> str:
    seen = one_after_another(style, runs)
    seen.check()
    return str(seen)


def _insist(style: str, kind: str, runs: int) -> str:
    return str(insist(style, kind, runs))


def _many_at_once(style: str, transport: str, streams: int) -> str:
    seen = many_at_once(style, transport, streams)
    seen.check()
    return str(seen)


def _flood(style: str, transport: str, kind: str, size: int) -> str:
    with flood_server() as server:
        return str(flood(server, style, transport, kind, size, exactly=False, timeout=300))


def _pause(style: str, transport: str, read_ahead: int) -> str:
    with flood_server() as server:
        return str(pause(server, style, transport, 256 * MIB, read_ahead=read_ahead, exactly=False))


def _run(pool: ProcessPoolExecutor, make: Callable[[], str]) -> tuple[str, bool, float]:
    begin = time.monotonic()
    try:
        saw, good = pool.submit(make).result(), True
    except Exception as exc:  # noqa: BLE001  # whatever it is, the other rows have their turn
        saw, good = " ".join([f"{type(exc).__name__}: {exc}", *getattr(exc, "__notes__", [])]), False
    return saw, good, time.monotonic() - begin


def main(arguments: list[str]) -> int:
    """Run all rows, or some; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.run", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the chaos")
    parser.add_argument("--only", default="", metavar="WORD", help="rows with this in their name")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes")
    options: Any = parser.parse_args(arguments)
    _say(f"seed {options.seed}\n")
    failed, begin = 0, time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        for name, make in rows(options.seed, options.scale):
            if options.only not in name:
                continue
            saw, good, seconds = _run(pool, make)
            failed += not good
            _say(f"{'pass' if good else 'FAIL'} {seconds:6.1f} s  {name:<56} {saw}\n")
    _say(f"{failed} failed; {(time.monotonic() - begin) / 60:.1f} minutes\n")
    return 1 if failed else 0


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
