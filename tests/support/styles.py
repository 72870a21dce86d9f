"""One scenario, four ways to run it: a test is written once and holds for every concurrency style.

A scenario is an ``async def`` that gets a client. For ``sync`` the client is wrapped so that awaiting
it blocks, and the scenario is driven by hand; for the others it is the asynchronous client itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent_testing.conformance._harness.styles import SyncClient, drive
from tests.support.loops import BlindLoop, new_uvloop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

STYLES = ("sync", "asyncio", "uvloop", "trio")
TRANSPORTS = ("sse", "chunked", "websocket")


class Style:
    """How a test's scenario is run.

    Attributes:
        name: One of ``STYLES``, or "transports" for asyncio on a `BlindLoop`.
        debug: asyncio looks for bad habits, which takes its time.
    """

    def __init__(self, name: str, *, debug: bool = True) -> None:
        self.name = name
        self.debug = debug

    def client(self, *args: Any, **options: Any) -> Any:
        """Make a client; it has the methods of `AsyncRunAgentClient`."""
        if self.name == "sync":
            return SyncClient(RunAgentClient(*args, **options))
        return AsyncRunAgentClient(*args, **options)

    async def wait(self, event: threading.Event, seconds: float = 10) -> bool:
        """Wait for an event of another thread without holding up the event loop."""
        return bool(await self.in_thread(event.wait, seconds))

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Wait for a blocking function while the event loop, if there is one, goes on."""
        if self.name == "sync":
            return function(*args)
        if self.name == "trio":
            return await trio.to_thread.run_sync(function, *args)
        return await asyncio.to_thread(function, *args)

    async def beside(
        self, function: Callable[[], Awaitable[Any]], other: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Run a function while another one runs, as a task or in a thread; return the first one's result."""
        if self.name == "sync":
            thread = threading.Thread(target=drive, args=(other(),))
            thread.start()
            try:
                return await function()
            finally:
                thread.join()
        if self.name == "trio":
            with _alone():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(other)
                    return await function()
        task = asyncio.ensure_future(other())
        try:
            return await function()
        finally:
            await task

    async def settle(self) -> None:
        """Let what has been cancelled come to its end."""
        if self.name == "trio":
            await trio.testing.wait_all_tasks_blocked()
        elif self.name != "sync":
            for _ in range(3):
                await asyncio.sleep(0)

    def run(self, scenario: Callable[[], Awaitable[Any]]) -> Any:
        """Run a scenario to its end; tasks that it leaves behind fail the test."""
        if self.name == "sync":
            return drive(scenario())
        if self.name == "trio":
            return trio.run(without_trio_tasks_left, scenario)
        factory = _LOOPS.get(self.name)
        with asyncio.Runner(debug=self.debug and self.name == "asyncio", loop_factory=factory) as runner:
            return runner.run(without_asyncio_tasks_left(scenario))


_LOOPS: dict[str, Any] = {"uvloop": new_uvloop, "transports": BlindLoop}


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Take the one exception that happened out of its group."""
    try:
        yield
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def without_asyncio_tasks_left(scenario: Callable[[], Awaitable[Any]]) -> Any:
    """Run a scenario; a task that outlives it fails the test."""
    result = await scenario()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert left == set()
    return result


async def without_trio_tasks_left(scenario: Callable[[], Awaitable[Any]]) -> Any:
    """Run a scenario; a task that outlives it, system tasks included, fails the test."""
    before = _trio_tasks(trio.lowlevel.current_root_task())
    result = await scenario()
    await trio.testing.wait_all_tasks_blocked()
    assert _trio_tasks(trio.lowlevel.current_root_task()) - before == set()
    return result


def _trio_tasks(task: trio.lowlevel.Task | None) -> set[trio.lowlevel.Task]:
    """Collect the tasks below one, but those in which a memory network keeps its time."""
    nurseries = [] if task is None else task.child_nurseries
    tasks = {child for nursery in nurseries for child in nursery.child_tasks}
    found = tasks.union(*map(_trio_tasks, tasks))
    return {child for child in found if "runagent_testing" not in child.coro.cr_code.co_filename}
