"""Transports that are asynchronous libraries: the same in every style, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import (
    AuthenticationError,
    Chunk,
    Completed,
    NetworkError,
    PluginError,
    RunResult,
    RunTimeoutError,
    Started,
    StreamError,
    StreamTimeoutError,
    StreamTruncatedError,
    Timeouts,
)
from runagent._bridge.session import WINDOW, LibraryConnection
from runagent._net.tasks import current_library
from runagent.transports import Capability
from tests.support.threads import wait_for_reader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent.transports import Address, AgentCall, Emit, ResumePoint
    from tests.support.styles import Style

    Script = Callable[["Library", AgentCall, Emit], Awaitable[None]]

BOTH = frozenset({"asyncio", "trio"})


async def pause(seconds: float) -> None:
    await (trio.sleep if current_library() == "trio" else asyncio.sleep)(seconds)


async def forever() -> None:
    await pause(3600)


class Library:
    """An `AsyncTransport` that does what a test wants.

    Attributes:
        left: How each run has ended: returned, cancelled, or the error's name.
        threads: The thread of each run.
    """

    name = "library"
    api_version = 1

    def __init__(self, script: Script, *capabilities: Capability, runs_on: frozenset[str] = BOTH) -> None:
        self.capabilities = frozenset(capabilities)
        self.runs_on = runs_on
        self.left: list[str] = []
        self.threads: list[threading.Thread] = []
        self.resumed: list[ResumePoint | None] = []
        self.gone = threading.Event()
        self._script = script

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        self.threads.append(threading.current_thread())
        self.resumed.append(resume)
        try:
            await self._script(self, call, emit)
        except BaseException as exc:
            self.left.append(type(exc).__name__)
            raise
        else:
            self.left.append("returned")
        finally:
            self.gone.set()


async def story(library: Library, call: AgentCall, emit: Emit) -> None:
    await emit(Started())
    for word in ("Once", " upon", " a", " time"):
        await emit(Chunk(word))
        await pause(0)
    await emit(Completed())


def collect(style: Style, library: Library, **options: Any) -> tuple[list[Any], Any, Any]:
    """Run a stream to its end; return events, error and report."""

    async def scenario() -> tuple[list[Any], Any, Any]:
        client = style.client("a", base_url="http://127.0.0.1:1", transport=library, **options)
        stream = client.run_generic_stream({"query": "x"})
        events: list[Any] = []
        error = None
        try:
            async for event in stream.events():
                events.append(event)  # noqa: PERF401  # what came before an error has to stay
        except Exception as exc:  # noqa: BLE001  # whatever it is, the test looks at it
            error = exc
        assert await style.wait(library.gone)
        await style.settle()
        return events, error, stream.report

    result: tuple[list[Any], Any, Any] = style.run(scenario)
    return result


# A good run


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


# Leaving


async def endless(library: Library, call: AgentCall, emit: Emit) -> None:
    await emit(Chunk("first"))
    await forever()


def leave_by_closing(stream: Any) -> Any:
    return stream.aclose()


async def leave_by_dropping(stream: Any) -> None:
    del stream


@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_dropping])
def test_closing_early_cancels_the_library(style: Style, leave: Any) -> None:
    library = Library(endless)

    async def scenario() -> bool:
        client = style.client("a", base_url="http://127.0.0.1:1", transport=library)
        streams = [client.run_generic_stream("x")]
        assert "first" == await anext(streams[0])
        await leave(streams.pop())
        return await style.wait(library.gone)

    assert style.run(scenario)
    assert library.left in (["CancelledError"], ["Cancelled"])


def test_a_cancelled_read_loses_nothing() -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(Chunk("first"))
        await wake.wait()
        await emit(Chunk("second"), Completed())

    async def scenario() -> list[Any]:
        from runagent import AsyncRunAgentClient

        stream = AsyncRunAgentClient("a", transport=Library(script)).run_generic_stream("x")
        got = [await anext(stream)]
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.001)
        wake.set()
        return [*got, *[chunk async for chunk in stream]]

    wake = asyncio.Event()
    assert ["first", "second"] == asyncio.run(scenario())


def test_closing_from_another_thread_wakes_the_reader() -> None:
    from runagent import RunAgentClient

    library = Library(endless)
    stream = RunAgentClient("a", transport=library).run_generic_stream("x")
    assert "first" == next(stream)

    def close() -> None:
        wait_for_reader(LibraryConnection.receive.__code__)
        stream.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(StreamError, match="closed while it was being read"):
        next(stream)
    closer.join()
    assert library.gone.wait(10)


def test_what_is_left_to_do_after_the_end_may_be_done(style: Style) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(Completed())
        await pause(0.01)
        await emit()

    library = Library(script)
    events, error, _ = collect(style, library)
    assert ([Completed()], None, ["returned"]) == (events, error, library.left)


def test_tidying_up_has_an_end(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runagent._bridge.session._TIDY_SECONDS", 0.01)

    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(Completed())
        await forever()

    library = Library(script)
    events, error, _ = collect(style, library)
    assert ([Completed()], None) == (events, error)
    assert library.left in (["CancelledError"], ["Cancelled"])


# What goes wrong


def raising(error: BaseException, *events: Any) -> Script:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(*events)
        raise error

    return script


@pytest.mark.parametrize(
    ("error", "events", "kind", "text"),
    [
        (AuthenticationError("no key"), (), AuthenticationError, "no key"),
        (StreamError("gave up"), (Chunk("x"),), StreamError, "gave up"),
        (ConnectionRefusedError(), (), NetworkError, "could not connect"),
        (ConnectionResetError(104, "reset by peer"), (Chunk("x"),), StreamTruncatedError, "reset by peer"),
        (ZeroDivisionError("a bug"), (Chunk("x"),), PluginError, "'library' failed: ZeroDivisionError"),
        (ExceptionGroup("g", [AuthenticationError("no key")]), (), AuthenticationError, "no key"),
        (ExceptionGroup("g", [KeyError(), ValueError()]), (), PluginError, "ExceptionGroup"),
    ],
    ids=["refusal", "failure", "no connection", "broken", "bug", "group of one", "group"],
)
def test_errors_are_built_in(
    style: Style, error: Exception, events: tuple[Any, ...], kind: type, text: str
) -> None:
    seen, raised, _ = collect(style, Library(raising(error, *events)))
    assert list(events) == seen
    assert kind is type(raised)
    assert text in str(raised)
    if isinstance(raised, PluginError):
        assert (raised.plugin, type(raised.__cause__)) == ("library", type(error))


def test_an_end_without_the_last_event_is_a_cut(style: Style) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(Chunk("x"))

    events, error, _ = collect(style, Library(script))
    assert [Chunk("x")] == events
    assert StreamTruncatedError is type(error)


def test_what_is_no_event_is_refused(style: Style) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit("text")  # type: ignore[arg-type]

    _, error, _ = collect(style, Library(script))
    assert PluginError is type(error)
    assert "ToolCall, not the text 'text'" in str(error)


def test_the_wrong_last_event_is_no_good_end(style: Style) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(RunResult("x"))

    _, error, _ = collect(style, Library(script))
    assert PluginError is type(error)


def test_time_limits_are_kept(style: Style) -> None:
    async def silent(library: Library, call: AgentCall, emit: Emit) -> None:
        await forever()

    for script, kind, limits in (
        (silent, RunTimeoutError, Timeouts(first_event=0.05)),
        (endless, StreamTimeoutError, Timeouts(idle=0.05)),
    ):
        library = Library(script)
        _, error, _ = collect(style, library, timeout=limits)
        assert kind is type(error)
        assert 0.05 == getattr(limits, str(error.phase))
        assert library.left in (["CancelledError"], ["Cancelled"])


def test_a_heartbeat_is_no_silence_but_no_progress(style: Style) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(Chunk("x"))
        while True:
            await pause(0.01)
            await emit()

    _, error, _ = collect(style, Library(script), timeout=Timeouts(idle=30, progress=0.1))
    assert "progress" == error.phase


def test_a_broken_stream_is_resumed_with_proof(style: Style) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        if len(library.resumed) == 1:
            await emit(Chunk("a", 0), Chunk("b", 1))
            raise ConnectionResetError
        point = library.resumed[-1]
        assert point is not None
        await emit(Chunk("c", point.next_index), Completed())

    library = Library(script, Capability.RESUME)
    events, error, report = collect(style, library, retry_delay=0)
    assert ["a", "b", "c"] == [event.content for event in events[:-1]]
    assert (None, 2) == (error, len(report.attempts))


def test_a_gap_between_chunks_is_reported(style: Style) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(Chunk("a", 0), Chunk("c", 2), Completed())

    events, error, _ = collect(style, Library(script))
    assert [Chunk("a", 0)] == events
    assert "chunk 1 is missing" in str(error)


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
