"""Time limits: each phase has its own, in every style, and names the phase."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from runagent import RunTimeoutError, StreamTimeoutError, Timeouts
from runagent._net.base import DeadlineExceededError
from runagent_testing import FakeAgentServer, delay, ending, gate, heartbeat, status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.styles import Style

LIMIT = 0.1
ENOUGH = 10.0


def limits(**limit: float | None) -> Timeouts:
    """Give plenty of time to all phases but those named."""
    return Timeouts(**{"connect": ENOUGH, "first_event": ENOUGH, "idle": ENOUGH, **limit})


def failure(style: Style, server_url: str, transport: str, timeout: Any) -> tuple[list[Any], RunTimeoutError]:
    """Read a stream to its timeout; return what came before, and the error."""

    async def scenario() -> tuple[list[Any], RunTimeoutError]:
        client = style.client("a", base_url=server_url, transport=transport, timeout=timeout, max_retries=0)
        received: list[Any] = []
        stream = client.run_generic_stream("q")
        start = time.monotonic()

        async def read() -> None:
            async for chunk in stream:
                received.append(chunk)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(RunTimeoutError) as caught:
            await read()
        assert LIMIT * 0.9 <= time.monotonic() - start < ENOUGH
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        return received, caught.value

    received, error = style.run(scenario)
    return received, error


@contextlib.contextmanager
def silent_listener() -> Iterator[int]:
    """Listen, and send nothing to any client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_connect(style: Style, transport: str) -> None:
    with silent_listener() as port:
        received, error = failure(style, f"https://127.0.0.1:{port}", transport, limits(connect=LIMIT))
    assert ([], RunTimeoutError, "connect") == (received, type(error), error.phase)


def test_first_event(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always(gate("never"), status(503))
    received, error = failure(style, server.url, transport, limits(first_event=LIMIT))
    assert ([], RunTimeoutError, "first_event") == (received, type(error), error.phase)


def test_idle(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", ending("stall"))
    received, error = failure(style, server.url, transport, limits(idle=LIMIT))
    assert (["x"], StreamTimeoutError, "idle") == (received, type(error), error.phase)
    assert 1 == getattr(error, "chunks_received", None)
    assert server.requests[0].wait_disconnected(5)


def test_a_number_limits_three_phases(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").reply(gate("never"), status(503)).reply("x", ending("stall"))
    with silent_listener() as port:
        _, connecting = failure(style, f"https://127.0.0.1:{port}", "sse", LIMIT)
    _, waiting = failure(style, server.url, "sse", LIMIT)
    _, idling = failure(style, server.url, "sse", LIMIT)
    assert ["connect", "first_event", "idle"] == [error.phase for error in (connecting, waiting, idling)]


def test_progress(style: Style, transport: str, server: FakeAgentServer) -> None:
    beat = (heartbeat(), delay(0.02))
    server.agent("a").always("x", *beat * 250, ending("stall"))
    received, error = failure(style, server.url, transport, limits(progress=LIMIT))
    assert (["x"], StreamTimeoutError, "progress") == (received, type(error), error.phase)
    assert server.requests[0].wait_disconnected(5)


def test_total(style: Style, transport: str, server: FakeAgentServer) -> None:
    tick = ("tick", delay(0.02))
    server.agent("a").always(*tick * 250, ending("stall"))
    received, error = failure(style, server.url, transport, limits(total=5 * LIMIT))
    assert ({"tick"}, StreamTimeoutError, "total") == (set(received), type(error), error.phase)
    assert len(received) == getattr(error, "chunks_received", None)
    assert server.requests[0].wait_disconnected(5)


def test_total_before_the_first_event(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always(gate("never"), status(503))
    received, error = failure(style, server.url, transport, limits(total=LIMIT))
    assert ([], RunTimeoutError, "total") == (received, type(error), error.phase)


def test_heartbeats_keep_a_stream_from_being_idle(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    beat = (heartbeat(), delay(0.02))
    server.agent("a").always("x", *beat * 16, "y")

    async def scenario() -> list[Any]:
        client = style.client("a", base_url=server.url, transport=transport, timeout=limits(idle=0.3))
        return [chunk async for chunk in client.run_generic_stream("q")]

    start = time.monotonic()
    assert ["x", "y"] == style.run(scenario)
    assert time.monotonic() - start > 0.3


def test_a_reader_who_takes_its_time_is_not_late(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    rest = gate("rest")
    server.agent("a").always("x", rest, "y")

    async def scenario() -> list[Any]:
        timeouts = limits(idle=LIMIT, progress=LIMIT)
        stream = style.client(
            "a", base_url=server.url, transport=transport, timeout=timeouts
        ).run_generic_stream("q")
        received = [await anext(stream)]
        assert not server.requests[0].wait_done(LIMIT * 1.5)  # the reader is busy, and the loop with it
        rest.open()
        return received + [chunk async for chunk in stream]

    assert ["x", "y"] == style.run(scenario)


@pytest.mark.parametrize("timeout", [LIMIT, limits(total=LIMIT)], ids=["number", "phase"])
def test_a_plain_run_has_so_much_time_in_all(style: Style, server: FakeAgentServer, timeout: Any) -> None:
    server.agent("a").returns(gate("never"), 42)

    async def scenario() -> Any:
        client = style.client("a", base_url=server.url)
        with pytest.raises(RunTimeoutError) as caught:
            await client.run_generic("q", timeout=timeout)
        return caught.value.phase

    assert "total" == style.run(scenario)
    assert server.requests[0].wait_disconnected(5)


def test_a_time_limit_is_a_builtin_timeout_error(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always("x", ending("stall"))

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, timeout=limits(idle=LIMIT), max_retries=0)
        with pytest.raises(TimeoutError, match=r"within 0\.1 s: limit 'idle'.*raise timeout= or"):
            await client.run_generic_stream("q").text()

    style.run(scenario)


@pytest.mark.parametrize("seconds", [3e6, 1e10, 1e300])  # each over a limit of some system call
def test_a_limit_may_be_longer_than_any_system_can_wait(
    style: Style, transport: str, server: FakeAgentServer, seconds: float
) -> None:
    server.agent("a").always("x", delay(0.01), "y")

    async def scenario() -> Any:
        client = style.client("a", base_url=server.url, transport=transport, timeout=seconds)
        return await client.run_generic_stream("x").text()

    assert "xy" == style.run(scenario)


class Early:
    """A network, and its one connection, on which nothing happens, and whose deadlines pass a little early.

    So do those of an event loop with a coarse clock, which may run a timer a tick before its time.
    """

    def __init__(self, *, connects: bool) -> None:
        self._connects = connects
        self._time = 100.0

    def now(self) -> float:
        return self._time

    def connect(self, address: Any, deadline: float, attempt: Any) -> Any:
        if not self._connects:
            self.receive(0, deadline)
        return self

    def send(self, data: bytes, deadline: float) -> None:
        pass

    def receive(self, max_bytes: int, deadline: float) -> bytes:
        self._time = deadline - 1e-9
        raise DeadlineExceededError

    def abort(self, farewell: bytes = b"") -> None:
        pass


class AsyncEarly:
    """The same for event loops."""

    def __init__(self, *, connects: bool) -> None:
        self._sync = Early(connects=connects)
        self.now, self.abort = self._sync.now, self._sync.abort

    async def connect(self, *args: Any) -> Any:
        self._sync.connect(*args)
        return self

    async def send(self, *args: Any) -> None:
        pass

    async def receive(self, *args: Any) -> bytes:
        return self._sync.receive(*args)


@pytest.mark.parametrize("connects", [False, True], ids=["connecting", "reading"])
@pytest.mark.parametrize("others", [None, ENOUGH])
def test_a_limit_that_is_met_a_moment_early_is_named(style: Style, connects: bool, others: Any) -> None:
    network = (Early if style.name == "sync" else AsyncEarly)(connects=connects)

    async def scenario() -> None:
        timeout = limits(connect=others, first_event=others, idle=others, total=LIMIT)
        client = style.client("a", base_url="http://agent.test", network=network, timeout=timeout)
        with pytest.raises(RunTimeoutError, match=r"within 0\.1 s: limit 'total'"):
            await client.run_generic_stream("q").text()

    style.run(scenario)
