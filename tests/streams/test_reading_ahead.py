"""A reader that pauses: nothing is lost, the end shows what happened, and reading ahead keeps a run alive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from runagent import Chunk, Completed, StreamTruncatedError
from runagent._bridge.session import WINDOW
from runagent._run import endings
from runagent._run.readahead import ReadAhead
from runagent._run.until import CONNECTED
from runagent_testing import ending
from tests.support.libraries import Library

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent.transports import AgentCall, Emit
    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style

CHUNKS = [f"chunk {i}" for i in range(50)]
COMPLETED = json.dumps({"type": "status", "status": "stream_completed"})


class PingingServer:
    """A WebSocket server that nobody here wrote, and that gives a client up which answers no ping.

    Attributes:
        pinged: The client has answered pings while its reader slept.
        gave_up: The server has closed the connection.
        taken: To be set once the reader has its first chunk. The others come only then, because what one
            read brings together is handed out, not read ahead.
    """

    def __init__(self, *, ping_interval: float | None, ping_timeout: float | None) -> None:
        self.pinged, self.gave_up, self.taken, self._started = (threading.Event() for _ in range(4))
        self._pings = {"ping_interval": ping_interval, "ping_timeout": ping_timeout}
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))

    def __enter__(self) -> PingingServer:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *details: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(self._answer, "127.0.0.1", 0, close_timeout=0.1, **self._pings) as server:  # type: ignore[arg-type]
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._started.set()
            await self._stop.wait()

    async def _answer(self, socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await socket.recv()
            for chunk in CHUNKS:
                await socket.send(json.dumps({"type": "data", "content": chunk}))
                await asyncio.to_thread(self.taken.wait, 10)
            if self._pings["ping_interval"] is None:
                for _ in range(3):
                    await (await socket.ping())
                self.pinged.set()
                await socket.send(COMPLETED)
            await socket.wait_closed()
        self.gave_up.set()


async def collect(stream: Any, chunks: list[Any]) -> None:
    async for chunk in stream:
        chunks.append(chunk)  # noqa: PERF401  # what came before an error has to stay


@pytest.mark.parametrize("options", [{}, {"read_ahead_bytes": 100}], ids=["", "past what is read ahead"])
def test_all_that_arrived_is_delivered_and_the_error_mentions_the_pause(
    style: Style, monkeypatch: pytest.MonkeyPatch, options: dict[str, int]
) -> None:
    monkeypatch.setattr(endings, "LONG_PAUSE_SECONDS", 0.05)

    async def scenario(server: PingingServer) -> list[Any]:
        url = f"ws://127.0.0.1:{server.port}"
        client = style.client("a", base_url=url, transport="websocket", transport_options=options)
        stream = client.run_generic_stream("x")
        chunks = [await anext(stream)]
        server.taken.set()
        assert await style.wait(server.gave_up)
        with pytest.raises(StreamTruncatedError, match=r"the stream had not been read for \d+ s"):
            await collect(stream, chunks)
        return chunks

    with PingingServer(ping_interval=0.05, ping_timeout=0.1) as server:
        assert style.run(lambda: scenario(server)) == CHUNKS


def test_reading_ahead_answers_pings_while_the_reader_sleeps(style: Style) -> None:
    async def scenario(server: PingingServer) -> list[Any]:
        options = {"read_ahead_bytes": 1_000_000}
        url = f"ws://127.0.0.1:{server.port}"
        client = style.client("a", base_url=url, transport="websocket", transport_options=options)
        stream = client.run_generic_stream("x")
        chunks = [await anext(stream)]
        server.taken.set()
        assert await style.wait(server.pinged)
        return [*chunks, *[chunk async for chunk in stream]]

    with PingingServer(ping_interval=None, ping_timeout=None) as server:
        assert style.run(lambda: scenario(server)) == CHUNKS


def test_reading_ahead_changes_nothing_else(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always(*CHUNKS).reply("x", "y", ending("cut"), indexed=False)

    async def scenario() -> list[Any]:
        options = {"read_ahead_bytes": 100}
        client = style.client("a", base_url=server.url, transport=transport, transport_options=options)
        broken = client.run_generic_stream("x")
        got: list[Any] = []
        with pytest.raises(StreamTruncatedError):
            await collect(broken, got)
        async with client.run_generic_stream("x") as stream:
            return [*got, *[chunk async for chunk in stream]]

    assert style.run(scenario) == ["x", "y", *CHUNKS]


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_closing_ends_what_reads_ahead(
    style: Style, transport: str, server: FakeAgentServer, leave: str
) -> None:
    server.agent("a").always("x", ending("stall"))

    async def scenario() -> None:
        options = {"read_ahead_bytes": 100}
        client = style.client("a", base_url=server.url, transport=transport, transport_options=options)
        stream = client.run_generic_stream("x")
        assert await anext(stream) == "x"
        if leave == "close":
            await stream.aclose()
        del stream
        await style.settle()

    style.run(scenario)
    assert server.requests[0].wait_disconnected(5)


@pytest.mark.parametrize("content", ["x" * 1000, ["x" * 100] * 10], ids=["text", "JSON"])
def test_a_library_is_read_ahead_of_only_as_far_as_the_limit_allows(style: Style, content: Any) -> None:
    count, emitted = 50 * WINDOW, 0

    async def script(library: Library, call: AgentCall, emit: Emit) -> None:
        nonlocal emitted
        for _ in range(count):
            await emit(Chunk(content))
            emitted += 1
        await emit(Completed())

    async def scenario() -> int:
        library = Library(script)
        options = {"read_ahead_bytes": 10_000}
        client = style.client(
            "a", base_url="http://127.0.0.1:1", transport=library, transport_options=options
        )
        stream = client.run_generic_stream("x")
        assert content == await anext(stream)
        assert not await style.wait(library.gone, 0.2)
        ahead = emitted
        assert count - 1 == len([chunk async for chunk in stream])
        return ahead

    assert style.run(scenario) <= 4 * WINDOW


@pytest.fixture
def new_pump() -> Iterator[Any]:
    """Make a pump whose batches have these bytes, and the events that each of them has been asked for."""
    with contextlib.ExitStack() as sources:
        yield lambda sizes, limit: _counting_pump(sizes, limit, sources)


def _counting_pump(
    sizes: list[int], limit: int, sources: contextlib.ExitStack
) -> tuple[Any, list[threading.Event]]:
    asked = [threading.Event() for _ in sizes]
    report = SimpleNamespace(bytes_received=0)
    notes = SimpleNamespace(accepted=False)
    calls = iter(zip(asked, sizes, strict=True))

    def next_batch() -> list[Any] | None:
        event, size = next(calls, (None, 0))
        if event is None:
            return None
        event.set()
        report.bytes_received += size
        return [Chunk("ten letters")]

    pump: Any = SimpleNamespace(
        run=SimpleNamespace(report=report, notes=notes, place=None, cancelled=False),
        _now=lambda: 0.0,
        next_batch=next_batch,
        check_process=lambda: None,
        close=lambda: None,
    )
    pump.source = ReadAhead(pump, limit)
    assert pump.source.next_batch(until=CONNECTED) == []
    sources.callback(pump.source.close)
    return pump, asked


# The second one is a compressed answer: one read brings bytes for many batches.
@pytest.mark.parametrize(
    ("sizes", "limit", "ahead"),
    [([10] * 10, 25, 3), ([20, 0, 0, 0, 0], 45, 2)],
    ids=["reads", "turns of one read"],
)
def test_no_more_is_read_ahead_than_the_limit_allows(
    new_pump: Any, sizes: list[int], limit: int, ahead: int
) -> None:
    pump, asked = new_pump(sizes, limit)
    assert asked[ahead - 1].wait(5)
    assert not asked[ahead].wait(0.05)
    assert pump.source.next_batch() == [Chunk("ten letters")]
    assert asked[ahead].wait(5)
    assert not asked[ahead + 1].wait(0.05)
