"""Many runs on one client, so many at once, in each style."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import trio

from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["crowd"]


def crowd(name: str, jobs: int, at_once: int, work: Callable[[int], Awaitable[None]]) -> Callable[[], Any]:
    """Make a scenario that does jobs 0, 1, … by so many threads or tasks; for `Style.run`."""
    numbers = iter(range(jobs))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    async def scenario() -> None:
        await _together(name, at_once, worker)

    return scenario


async def _together(name: str, at_once: int, worker: Callable[[], Awaitable[None]]) -> None:
    if name == "trio":
        async with trio.open_nursery() as nursery:
            for _ in range(at_once):
                nursery.start_soon(worker)
    elif name == "sync":
        with ThreadPoolExecutor(at_once) as pool:
            for done in [pool.submit(Style("sync").run, worker) for _ in range(at_once)]:
                done.result()
    else:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(_task(worker))


async def _task(worker: Callable[[], Awaitable[None]]) -> None:
    await worker()
