"""What goes wrong in an asynchronous library, and its time limits, in every style."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AuthenticationError,
    Chunk,
    Completed,
    NetworkError,
    PluginError,
    RateLimitError,
    RunResult,
    RunTimeoutError,
    StreamError,
    StreamTimeoutError,
    StreamTruncatedError,
    Timeouts,
)
from runagent.transports import Capability, error_from_answer
from runagent_testing import MemoryNetwork
from tests.support.libraries import Library, collect, endless, forever, pause
from tests.support.styles import Style

if TYPE_CHECKING:
    from runagent.transports import AgentCall, Emit
    from tests.support.libraries import Script


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


def test_a_library_makes_a_refusal_as_every_transport_does(style: Style) -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        headers = {"retry-after": "7", "x-request-id": "r1"}
        body = b'{"error": {"code": "TOO_MANY", "message": "slow down", "details": {"limit": 3}}}'
        raise error_from_answer(429, headers, body, call.opened_at)

    _, error, _ = collect(style, Library(script), max_retries=0)
    assert RateLimitError is type(error)
    assert ("TOO_MANY", {"limit": 3}, "r1", 7.0) == (
        error.code,
        error.details,
        error.request_id,
        error.retry_after,
    )


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


def test_a_network_whose_time_is_virtual_does_not_suspend_the_limits() -> None:
    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        await emit(Chunk("x"))
        await pause(3)

    options = {"network": MemoryNetwork().blocking, "max_resumes": 0, "max_retries": 0}
    for limits in (Timeouts(idle=0.05), Timeouts(idle=None, total=0.05)):
        events, error, _ = collect(Style("sync"), Library(script), timeout=limits, **options)
        assert ([Chunk("x")], StreamTimeoutError) == (events, type(error))


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
