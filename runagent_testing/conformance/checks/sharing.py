"""What is required of one transport that serves many runs at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from runagent.errors import RunAgentError
from runagent_testing.conformance.checks.common import demand
from runagent_testing.conformance.requirements import required
from runagent_testing.writes import rechunked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from runagent_testing.conformance.stage import Stage

_RUNS = 12


def _queue(stage: Stage) -> list[list[str]]:
    answers = [[f"{run}:{place} " for place in range(8)] for run in range(_RUNS)]
    for answer in answers:
        # Cut inside events, with time between the writes, so that runs really take turns.
        stage.agent.reply(*answer, writes=rechunked(int(answer[0].partition(":")[0])), apart=0.001)
    return answers


def _read(stream: Iterable[Any]) -> list[Any]:
    try:
        return list(stream)
    except RunAgentError as exc:
        return [repr(exc)]


def _compare(expected: list[list[str]], got: list[list[Any]]) -> None:
    texts = sorted("".join(map(str, answer)) for answer in got)
    mixed = [text for text in texts if text not in map("".join, expected)]
    demand(not mixed, f"runs at once were mixed up: {mixed[:2]!r}")
    demand(texts == sorted(map("".join, expected)), "of runs at once, not every answer arrived")


@required(
    "run.threads",
    "One client serves several threads at once; each run gets its own answer.",
    'docs/streaming.md, "Share a client"',
    styles=("sync",),
    players=("socket",),
)
async def check_threads(stage: Stage) -> None:
    answers = _queue(stage)
    together = threading.Barrier(4)
    async with stage.client() as client:
        runs: Any = client.client

        def several(_: int) -> list[list[Any]]:
            together.wait(5)
            return [_read(runs.run_generic_stream("x")) for _ in range(_RUNS // 4)]

        with ThreadPoolExecutor(4) as pool:
            got = [answer for own in pool.map(several, range(4)) for answer in own]
    _compare(answers, got)


@required(
    "run.tasks",
    "One client serves several tasks at once; each run gets its own answer.",
    'docs/streaming.md, "Share a client"',
    styles=("asyncio", "trio"),
)
async def check_tasks(stage: Stage) -> None:
    answers = _queue(stage)
    got: list[list[Any]] = []
    async with stage.client() as client:

        async def one() -> None:
            try:
                got.append([content async for content in client.run_generic_stream("x")])
            except RunAgentError as exc:
                got.append([repr(exc)])

        await _at_once(stage, [one] * _RUNS)
    _compare(answers, got)


async def _at_once(stage: Stage, functions: list[Callable[[], Awaitable[None]]]) -> None:
    if stage.style == "asyncio":
        await asyncio.gather(*(function() for function in functions))
        return
    import trio

    async with trio.open_nursery() as nursery:
        for function in functions:
            nursery.start_soon(function)
