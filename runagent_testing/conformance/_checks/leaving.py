"""What is required when a stream is closed early, or a read of it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from runagent_testing._script.steps import delay, ending, gate
from runagent_testing.conformance._checks.common import demand, expect_contents, first_chunk
from runagent_testing.conformance._checks.streams import expect_good
from runagent_testing.conformance._harness.logs import logged
from runagent_testing.conformance._harness.requirements import required

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent_testing.conformance._harness.stage import Stage

ASYNC = ("asyncio", "trio")


async def _by_break(stream: Any) -> None:
    async for _ in stream:
        break
    await stream.aclose()


async def _by_close(stream: Any) -> None:
    await first_chunk(stream)
    await stream.aclose()


async def _by_an_error_in_the_block(stream: Any) -> None:
    try:
        async with stream:
            raise KeyError(await first_chunk(stream))
    except KeyError:
        return


async def _before_the_first_chunk(stream: Any) -> None:
    async with stream:
        return


_WAYS: tuple[Callable[[Any], Awaitable[None]], ...] = (
    _by_break,
    _by_close,
    _by_an_error_in_the_block,
    _before_the_first_chunk,
)


@required(
    "run.left-early",
    "A stream that is closed early releases its connection at once: the agent sees the client disconnect.",
    'docs/streaming.md, "Leave early"',
)
async def check_leaving(stage: Stage) -> None:
    """A reader that leaves wants the agent to stop, and pays for what it does not.

    To mend it: raise nothing in `close`; a library closes its connection when its task is cancelled.
    """
    async with stage.client() as client:
        for number, leave in enumerate(_WAYS, 1):
            stage.agent.always("a", ending("stall"))
            with logged() as log:
                await leave(client.run_generic_stream("x"))
            raised = [line for line in log if f"the transport {stage.subject.name!r} raised in" in line]
            demand(not raised, f"left {leave.__name__[1:]}: {raised[:1]}")
            exchange = await _request(stage, number)
            if exchange is not None:
                demand(await stage.has_left(exchange), f"left {leave.__name__[1:]}: {exchange!r}")
        stage.agent.always("a")
        expect_good(stage, await stage.show(client.run_generic_stream("x")), ["a"], "the next run")


async def _request(stage: Stage, number: int) -> Any:
    """Return a request, or None if the client disconnected before the agent had understood it."""
    if stage.virtual:
        await stage.settle()
        return stage.host.requests[number - 1] if len(stage.host.requests) >= number else None
    try:
        return await stage.aside(stage.host.wait_request, number, 0.1)
    except TimeoutError:
        return None


@required(
    "run.cancelled-read",
    "A cancelled read loses nothing: the next read continues at the same chunk.",
    'docs/streaming.md, "Cancellation"',
    styles=ASYNC,
)
async def check_cancelled_reads(stage: Stage) -> None:
    """A timeout around one read must not cost a piece of the answer.

    To mend it: keep all state in the session; this requirement is met by the client alone, so report a
    failure.

    Example:
        async with asyncio.timeout(1):
            chunk = await anext(stream)  # after a TimeoutError the next read goes on
    """
    texts = [f"{place} " for place in range(5)]
    unit = 1.0 if stage.virtual else 0.01  # seconds
    steps = [step for text in texts for step in (text, delay(5 * unit))]
    stage.agent.always(*steps, writes="per-step")
    got: list[Any] = []
    async with stage.client() as client, client.run_generic_stream("x") as stream:
        cancelled = 0
        while True:
            try:
                got.append(await _within(stage, 2 * unit, stream))
            except TimeoutError:
                cancelled += 1
            except StopAsyncIteration:
                break
    expect_contents(stage.subject, got, texts, f"with {cancelled} reads cancelled")
    demand(cancelled > 0 or not stage.virtual, "the kit was unable to cancel a read")


async def _within(stage: Stage, seconds: float, stream: Any) -> Any:
    if stage.style == "asyncio":
        async with asyncio.timeout(seconds):
            return await anext(stream)
    import trio

    with trio.move_on_after(seconds) as scope:
        return await anext(stream)
    if scope.cancelled_caught:
        raise TimeoutError
    raise AssertionError


@required(
    "run.cancelled-task",
    "Cancelling the task that reads a stream releases its connection.",
    'docs/streaming.md, "Leave early"',
    styles=ASYNC,
)
async def check_cancelled_task(stage: Stage) -> None:
    """Cancelling a task is how programs stop a run.

    To mend it: let CancelledError through, and close the connection in `finally`, without waiting for the
    peer.
    """
    middle = gate("middle")
    stage.agent.always("a", middle, "b")
    async with stage.client() as client:
        read: list[Any] = []

        async def reader(begun: Callable[[], object]) -> None:
            try:
                async with client.run_generic_stream("x") as stream:
                    read.append(await first_chunk(stream))
                    begun()
                    read.append(await first_chunk(stream))
            finally:
                begun()  # even if nothing came: the canceller waits for it

        await _cancel_once_begun(stage, reader)
        demand(bool(stage.host.requests), "the agent got no request")
        exchange = stage.host.requests[0]
        demand(
            await stage.has_left(exchange),
            f"the task was cancelled, but the client did not disconnect: {exchange!r}",
        )
    demand("b" not in read, "a chunk came through a closed gate")


async def _cancel_once_begun(stage: Stage, reader: Callable[[Callable[[], object]], Any]) -> None:
    if stage.style == "asyncio":
        begun = asyncio.Event()
        task = asyncio.create_task(reader(begun.set))
        await begun.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return
    import trio

    reading = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader, reading.set)
        await reading.wait()
        nursery.cancel_scope.cancel()
