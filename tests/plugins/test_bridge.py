"""Transports that are asynchronous libraries: a good run is the same in every style."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import Chunk, Completed, RunResult, Started
from runagent._bridge import session
from runagent._bridge.session import WINDOW
from runagent._net.tasks import current_library
from runagent.transports import Capability
from tests.support.libraries import Library, collect, story

if TYPE_CHECKING:
    from runagent.transports import Address, AgentCall, Emit, ResumePoint
    from tests.support.styles import Style


def test_a_run_in_every_style(style: Style) -> None:
    library = Library(story)
    events, error, report = collect(style, library)
    assert error is None
    assert [Started(), *(Chunk(word) for word in ("Once", " upon", " a", " time")), Completed()] == events
    assert ("library", 4, 0, ["returned"]) == (
        report.transport,
        report.chunks,
        report.bytes_received,
        library.left,
    )


def test_a_library_runs_in_the_loop_of_an_asynchronous_client(style: Style) -> None:
    library = Library(story)
    collect(style, library)
    assert (threading.current_thread() in library.threads) == (style.name != "sync")


@pytest.mark.parametrize("runs_on", ["asyncio", "trio"])
def test_a_loop_that_the_library_does_not_know_is_bridged(style: Style, runs_on: str) -> None:
    seen = []

    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        seen.append(current_library())
        await story(library, call, emit)

    events, error, _ = collect(style, Library(script, runs_on=frozenset({runs_on})))
    assert ([runs_on], None, 6) == (seen, error, len(events))


def test_a_plain_run(style: Style) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(RunResult({"mode": call.mode, **call.input}))

    async def scenario() -> Any:
        library = Library(script, Capability.INVOKE)
        client = style.client("a", base_url="http://127.0.0.1:1", transport=library)
        return await client.run_generic({"query": "x"})

    assert {"mode": "invoke", "query": "x"} == style.run(scenario)


def test_the_library_gets_address_and_call(style: Style) -> None:
    seen: list[Any] = []

    class Curious(Library):
        async def run(
            self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit
        ) -> None:
            seen.append((str(address.origin), str(address.proxy), call.api_key, call.agent_id))
            await super().run(call, address, resume, emit)

    collect(style, Curious(story), api_key="key", proxy="http://proxy:3128")
    assert [("http://127.0.0.1:1", "proxy:3128", "key", "a")] == [
        (origin, proxy.removeprefix("http://"), key, agent) for origin, proxy, key, agent in seen
    ]


@pytest.mark.parametrize("runs_on", ["asyncio", "trio"])
def test_the_library_sees_the_context_of_the_reader(style: Style, runs_on: str) -> None:
    seen = []

    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        seen.append(span.get())
        await emit(Completed())

    span = contextvars.ContextVar("span", default="none")
    span.set("of the reader")
    collect(style, Library(script, runs_on=frozenset({runs_on})))
    assert ["of the reader"] == seen


def test_a_burst_is_handed_over_whole_and_in_order(style: Style) -> None:
    count = 10 * WINDOW + 1

    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        for number in range(count):
            await emit(Chunk(number))
        await emit(Completed())

    events, error, _ = collect(style, Library(script))
    assert [*range(count)] == [event.content for event in events[:-1]]
    assert error is None


def test_a_reader_that_is_busy_makes_the_library_wait(style: Style) -> None:
    waits = threading.Event()
    emitted = []

    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        for number in range(3 * WINDOW):
            if number == WINDOW:
                waits.set()
            await emit(Chunk(number))
            emitted.append(number)
        await emit(Completed())

    async def scenario() -> int:
        client = style.client("a", base_url="http://127.0.0.1:1", transport=Library(script))
        stream = client.run_generic_stream("x")
        async with stream:
            await anext(stream)
            for _ in range(50):
                await style.settle()
            ahead = len(emitted)
            rest = [chunk async for chunk in stream]
        assert 3 * WINDOW - 1 == len(rest)
        return ahead

    assert style.run(scenario) <= 2 * WINDOW


def test_a_library_that_fills_the_window_while_its_reader_takes_goes_on(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, waits = threading.Event(), threading.Event()

    class Paused(deque[Any]):
        """Stops its reader, once, after it has counted one event less than the window."""

        def __len__(self) -> int:
            count = super().__len__()
            if count == WINDOW - 1 and threading.current_thread() is reader and not counted.is_set():
                counted.set()
                assert waits.wait(10)
            return count

    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(*[Chunk("x")] * (WINDOW - 1))
        if current_library() == "trio":
            await trio.to_thread.run_sync(counted.wait, 10)
            trio.lowlevel.current_trio_token().run_sync_soon(waits.set)  # once this task waits for room
        else:
            await asyncio.to_thread(counted.wait, 10)
            asyncio.get_running_loop().call_soon(waits.set)
        await emit(Chunk("x"))
        await emit(Completed())

    reader = threading.current_thread()
    monkeypatch.setattr(session, "deque", Paused)
    elsewhere = "asyncio" if style.name == "trio" else "trio"
    events, error, _ = collect(style, Library(script, runs_on=frozenset({elsewhere})), timeout=5)
    assert (WINDOW + 1, None) == (len(events), error)


def test_task_groups_are_safe_in_a_run(style: Style) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        if current_library() == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(emit, Chunk("from a task"))
        else:
            async with asyncio.TaskGroup() as group:
                group.create_task(emit(Chunk("from a task")))
        await emit(Completed())

    events, error, _ = collect(style, Library(script))
    assert ([Chunk("from a task"), Completed()], None) == (events, error)


def test_many_runs_at_once() -> None:
    from runagent import AsyncRunAgentClient

    async def one(client: Any, texts: list[str]) -> None:
        texts.append(await client.run_generic_stream("x").text())

    async def scenario() -> list[str]:
        client = AsyncRunAgentClient("a", transport=Library(story))
        texts: list[str] = []
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(one, client, texts)
        return texts

    assert ["Once upon a time"] * 100 == trio.run(scenario)
