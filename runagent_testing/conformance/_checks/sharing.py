"""What is required of one transport that serves many runs at once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from runagent._errors import RunAgentError
from runagent_testing._internal.clock import now
from runagent_testing._script.steps import ending, status
from runagent_testing._script.writes import rechunked
from runagent_testing.conformance._checks.common import demand, first_chunk
from runagent_testing.conformance._checks.streams import expect_good
from runagent_testing.conformance._harness.requirements import required

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from runagent_testing.conformance._harness.stage import Stage

_RUNS = 12
_POOLS = ("asyncio_", "Trio thread")


def _queue(stage: Stage) -> list[list[str]]:
    answers = [[f"{run}:{place} " for place in range(8)] for run in range(_RUNS)]
    for answer in answers:
        # Cut inside events, with time between the writes, so that runs really take turns.
        stage.agent.reply(*answer, writes=rechunked(int(answer[0].partition(":")[0])), write_gap=0.001)
    return answers


def _read(stream: Iterable[Any]) -> list[Any]:
    try:
        return list(stream)
    except RunAgentError as exc:
        return [repr(exc)]


def _compare(expected: list[list[str]], got: list[list[Any]]) -> None:
    texts = sorted("".join(map(str, answer)) for answer in got)
    mixed = [text for text in texts if text not in map("".join, expected)]
    demand(not mixed, f"simultaneous runs were mixed up: {mixed[:2]!r}")
    demand(texts == sorted(map("".join, expected)), "some answers to simultaneous runs did not arrive")


@required(
    "run.threads",
    "One client serves several threads at once, and each run gets its own answer.",
    'docs/sharing.md, "What may be shared"',
    styles=("sync",),
    players=("socket",),
)
async def check_threads(stage: Stage) -> None:
    """A client is shared by the threads of a program.

    To mend it: keep nothing of a run on the transport, the class or the module.
    """
    answers = _queue(stage)
    together = threading.Barrier(4)
    async with stage.client() as client:
        runs: Any = client.client

        def several(_: int) -> list[list[Any]]:
            together.wait(30)
            return [_read(runs.run_generic_stream("x")) for _ in range(_RUNS // 4)]

        with ThreadPoolExecutor(4) as pool:
            got = [answer for own in pool.map(several, range(4)) for answer in own]
    _compare(answers, got)


@required(
    "run.tasks",
    "One client serves several tasks at once, and each run gets its own answer.",
    'docs/sharing.md, "What may be shared"',
    styles=("asyncio", "trio"),
)
async def check_tasks(stage: Stage) -> None:
    """A client is shared by the tasks of a program.

    To mend it: keep nothing of a run on the transport, the class or the module.
    """
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


@required(
    "run.loops",
    "One client serves one event loop after another.",
    'docs/sharing.md, "What may be shared"',
    styles=("asyncio", "trio"),
)
def check_loops(stage: Stage) -> None:
    """Tests and scripts run one event loop after another with one client.

    To mend it: keep no loop, lock, connection pool or client of a library on the transport; make them in
    `run`.
    """
    client = stage.client()

    async def once(stage: Stage) -> None:
        expect_good(
            stage, await stage.show(client.run_generic_stream("x")), ["a", "b"], "in one of three loops"
        )

    stage.agent.always("a", "b")
    for _ in range(3):
        stage.perform(once)


@required(
    "run.leaves-nothing",
    "Runs that complete, fail or are closed early leave no thread, open socket or unclosed object behind.",
    'docs/transport-api.md, "A library with its own connections"; docs/streaming.md, "Leave early"',
    players=("socket",),
)
def check_leftovers(stage: Stage) -> None:
    """A socket or thread that stays behind is a leak in each long-running program.

    To mend it: close in `finally` or `async with` what a run has opened, also if it fails or is
    cancelled.
    """
    gc.collect()
    before = frozenset(threading.enumerate())
    with _garbage_noted() as found:
        stage.perform(_end_in_every_way)
        threads = _threads_left(before)
        gc.collect()
    demand(not threads, f"threads still run: {threads!r}")
    demand(not found, f"left unclosed: {'; '.join(found)}")


@contextlib.contextmanager
def _garbage_noted() -> Iterator[list[str]]:
    """Record the warnings of objects that are collected unclosed."""
    found: list[str] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda raised: found.append(f"{raised.exc_value!r} in {raised.object!r}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            yield found
    finally:
        sys.unraisablehook = hook
    found += [str(warning.message) for warning in caught if issubclass(warning.category, ResourceWarning)]


async def _end_in_every_way(stage: Stage) -> None:
    async with stage.client() as client:
        stage.agent.always("a", "b")
        expect_good(stage, await stage.show(client.run_generic_stream("x")), ["a", "b"], "a good run")
        for steps in (("a", ending("cut")), (status(500),)):
            stage.agent.always(*steps)
            shown = await stage.show(client.run_generic_stream("x"))
            demand(shown.error is not None, f"a bad run: {shown.summarize()}")
        stage.agent.always("a", ending("stall"))
        async with client.run_generic_stream("x") as stream:
            await first_chunk(stream)


def _threads_left(before: frozenset[threading.Thread]) -> list[threading.Thread]:
    """Return the threads that still run after five seconds; those of event loops' pools stay on purpose."""
    deadline = now() + 5
    while now() < deadline:
        left = [t for t in threading.enumerate() if t not in before and not t.name.startswith(_POOLS)]
        if not left:
            return []
        time.sleep(0.01)
    return left
