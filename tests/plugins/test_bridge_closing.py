"""Asynchronous libraries whose run is closed, cancelled or over: nothing is left behind."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, Completed, StreamError
from runagent._bridge.session import LibraryConnection
from tests.support.libraries import Library, collect, endless, forever, pause
from tests.support.threads import wait_for_reader

if TYPE_CHECKING:
    from runagent.transports import AgentCall, Emit
    from tests.support.styles import Style


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
