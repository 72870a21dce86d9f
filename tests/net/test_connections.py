"""What pumps may rely on in a connection of any style, below all protocols; see `Connection`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

from runagent._net.base import DeadlineExceededError, quick_connection
from tests.support.cancelling import cancelled_at
from tests.support.connections import ALL, FOREVER, connected
from tests.support.styles import STYLES, Style

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = bytes(range(256)) * 4 * 1024 * 16  # more than the kernel and we keep for anybody


@pytest.fixture(params=[*STYLES, "transports"])
def style(request: pytest.FixtureRequest) -> Style:
    """Each style, and asyncio once more on a loop that does not watch sockets."""
    return Style(request.param)


@pytest.fixture(params=[*STYLES[1:], "transports"])
def async_style(request: pytest.FixtureRequest) -> Style:
    """Each of them that can be cancelled."""
    return Style(request.param)


@pytest.fixture(params=[False, True], ids=["receive", "begin_receive"])
def quick(request: pytest.FixtureRequest) -> bool:
    """Both ways to read, of those connections that have two."""
    given: bool = request.param
    return given


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where connections lead."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


async def read_all(connection: Any) -> bytes:
    """Read to the end."""
    pieces = []
    while piece := await connection.receive(ALL, FOREVER):
        pieces.append(piece)
    return b"".join(pieces)


def test_bytes_come_in_order_and_no_more_than_wanted(style: Style, listener: socket.socket) -> None:
    async def scenario() -> None:
        async with connected(style, listener) as (connection, peer, _):
            peer.sendall(b"12345")
            assert [b"12", b"34", b"5"] == [await connection.receive(2, FOREVER) for _ in range(3)]
            for number in range(50):
                peer.sendall(b"%d" % number)
                assert b"%d" % number == await connection.receive(ALL, FOREVER)
            peer.sendall(b"end")
            peer.close()
            assert b"end" == await read_all(connection)
            assert [b"", b""] == [await connection.receive(ALL, FOREVER) for _ in range(2)]

    style.run(scenario)


def test_a_look_without_a_wait(style: Style, listener: socket.socket) -> None:
    async def scenario() -> None:
        async with connected(style, listener) as (connection, peer, now):
            assert connection.poll(ALL) is None
            for text in (b"a", b"b"):
                peer.sendall(text)
                assert text == await connection.receive(ALL, FOREVER)
                assert connection.poll(ALL) is None
            peer.sendall(b"12345")
            assert b"1" == await connection.receive(1, FOREVER)
            assert [b"23", b"45", None] == [connection.poll(2) for _ in range(3)]
            peer.close()
            with contextlib.suppress(DeadlineExceededError):
                assert b"" == await connection.receive(ALL, now() + 5)
            assert b"" == connection.poll(ALL)

    style.run(scenario)


def test_a_deadline_loses_nothing(style: Style, listener: socket.socket, quick: bool) -> None:
    async def scenario() -> None:
        async with connected(style, listener, quick=quick) as (connection, peer, now):
            for _ in range(3):
                for seconds in (100, 0.02, 0.05, -1):
                    peer.sendall(b"x")
                    assert b"x" == await connection.receive(ALL, now() + seconds)
                    deadline = now() + min(seconds, 0.01)
                    with pytest.raises(DeadlineExceededError):
                        await connection.receive(ALL, deadline)
                    assert now() >= deadline

    style.run(scenario)


def test_a_cancelled_read_loses_nothing(async_style: Style, listener: socket.socket, quick: bool) -> None:
    async def scenario() -> None:
        async with connected(async_style, listener, quick=quick) as (connection, peer, _):
            received = []

            async def read() -> None:
                received.append(await connection.receive(ALL, FOREVER))

            for number in range(10):
                assert await cancelled_at(1, read, async_style.name)
                peer.sendall(b"%d" % number)
                if async_style.name != "trio":  # which does not cancel what has been woken
                    assert await cancelled_at(1, read, async_style.name, "woken")
                await read()
            assert [b"%d" % number for number in range(10)] == received

    async_style.run(scenario)


def test_what_is_never_read_stays_with_the_peer(
    async_style: Style, listener: socket.socket, quick: bool
) -> None:
    """And costs nothing while nobody reads it."""

    async def scenario() -> None:
        async with connected(async_style, listener, quick=quick) as (connection, peer, _):
            peer.sendall(b"x")
            assert b"x" == await connection.receive(ALL, FOREVER)
            peer.setblocking(False)
            sent = 0
            for _ in range(20):
                with contextlib.suppress(BlockingIOError):
                    while sent < len(LARGE):
                        sent += peer.send(LARGE[sent:])
                await async_style.in_thread(time.sleep, 0.01)
            assert sent < len(LARGE)
            begun = time.process_time()
            await async_style.in_thread(time.sleep, 0.3)
            assert time.process_time() - begun < 0.15
            received = b""
            while len(received) < sent:
                received += await connection.receive(ALL, FOREVER)
            assert LARGE[:sent] == received

    async_style.run(scenario)


def test_an_end_that_is_never_read_costs_nothing(
    async_style: Style, listener: socket.socket, quick: bool
) -> None:
    async def scenario() -> None:
        async with connected(async_style, listener, quick=quick) as (connection, peer, _):
            peer.sendall(b"x")
            assert b"x" == await connection.receive(ALL, FOREVER)
            peer.close()
            begun = time.process_time()
            await async_style.in_thread(time.sleep, 0.3)
            assert time.process_time() - begun < 0.15
            assert b"" == await connection.receive(ALL, FOREVER)

    async_style.run(scenario)


def test_all_is_sent_to_a_slow_peer(async_style: Style, listener: socket.socket) -> None:
    async def scenario() -> bytes:
        async with connected(async_style, listener) as (connection, peer, now):

            def read() -> bytes:
                pieces = []
                while piece := peer.recv(ALL):
                    pieces.append(piece)
                    time.sleep(0.0005)
                return b"".join(pieces)

            async def send() -> None:
                await connection.send(LARGE, now() + 30)
                connection.close_write()

            received: list[bytes] = []

            async def collect() -> None:
                received.append(await async_style.in_thread(read))

            await async_style.beside(collect, send)
            return received[0]

    assert LARGE == async_style.run(scenario)


def test_a_peer_that_takes_nothing(style: Style, listener: socket.socket) -> None:
    async def scenario() -> None:
        async with connected(style, listener) as (connection, peer, now):
            with pytest.raises(DeadlineExceededError):
                await connection.send(LARGE, now() + 0.05)
            peer.sendall(b"why not")
            assert b"why not" == await connection.receive(ALL, now() + 5)

    style.run(scenario)


def test_a_peer_that_speaks_while_it_takes_nothing_is_heard(
    style: Style, listener: socket.socket, quick: bool
) -> None:
    async def scenario() -> bytes:
        async with connected(style, listener, quick=quick) as (connection, peer, now):
            peer.sendall(b"wait")
            assert await connection.send(LARGE, now() + 20)
            assert b"wait" == await connection.receive(ALL, now() + 20)
            peer.sendall(b"a moment")
            assert await connection.send(b"behind it", now() + 20)
            assert b"a moment" == connection.poll(ALL)
            peer.shutdown(socket.SHUT_WR)  # the last word is no word
            received: list[bytes] = []

            async def read() -> None:
                received.append(await style.in_thread(lambda: b"".join(iter(lambda: peer.recv(ALL), b""))))

            async def send() -> None:
                assert not await connection.send(b"", now() + 20)
                connection.close_write()

            await style.beside(send, read)
            return received[0]

    assert LARGE + b"behind it" == style.run(scenario)


def test_what_a_peer_sent_before_it_left_counts(style: Style, listener: socket.socket, quick: bool) -> None:
    async def scenario() -> None:
        async with connected(style, listener, quick=quick) as (connection, peer, now):
            peer.sendall(b"I am leaving")
            peer.close()
            heard = []

            async def send() -> None:
                stuck = await connection.send(LARGE, now() + 5)
                while stuck:
                    heard.append(await connection.receive(ALL, now() + 5))
                    stuck = await connection.send(b"", now() + 5)

            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                await send()
            assert b"I am leaving" == (heard[0] if heard else await connection.receive(ALL, now() + 5))
            with contextlib.suppress(OSError):
                assert b"" == await connection.receive(ALL, now() + 5)

    style.run(scenario)


def test_a_chunk_that_comes_with_a_reset(style: Style, listener: socket.socket, quick: bool) -> None:
    """libuv reports both at once, and watches the socket no longer."""

    async def scenario() -> None:
        async with connected(style, listener, quick=quick) as (connection, peer, now):
            with pytest.raises(DeadlineExceededError):  # from now on it is watched
                await connection.receive(ALL, now() + 0.01)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.sendall(b"last")
            peer.close()
            assert b"last" == await connection.receive(ALL, now() + 10)
            begin = now()
            with pytest.raises(OSError, match="reset"):
                await connection.receive(ALL, begin + 10)
            assert now() - begin < 5

    style.run(scenario)


def test_the_reason_of_a_close_is_reported(style: Style, listener: socket.socket) -> None:
    async def scenario() -> bytes:
        async with connected(style, listener) as (connection, peer, _):
            connection.abort(b"bye")
            connection.abort(b"bye")
            await style.settle()
            return b"".join(iter(lambda: peer.recv(ALL), b""))

    assert b"bye" == style.run(scenario)


def test_who_waits_learns_that_it_was_closed(async_style: Style, listener: socket.socket) -> None:
    async def scenario() -> None:
        async with connected(async_style, listener) as (connection, peer, now):
            peer.sendall(b"x")
            assert b"x" == await connection.receive(ALL, FOREVER)

            async def read() -> None:
                with contextlib.suppress(OSError):
                    assert b"" == await connection.receive(ALL, now() + 20)

            async def close() -> None:
                await async_style.in_thread(time.sleep, 0.02)
                await async_style.in_thread(connection.abort)

            await async_style.beside(read, close)
            await async_style.settle()
            with contextlib.suppress(OSError):
                assert b"" == await connection.receive(ALL, now() + 20)
            with pytest.raises(OSError, match=r"closed|Bad file"):
                await connection.send(b"x", now() + 20)

    async_style.run(scenario)


def test_who_sends_learns_that_it_was_closed(async_style: Style, listener: socket.socket) -> None:
    async def scenario() -> None:
        async with connected(async_style, listener) as (connection, peer, now):

            async def send() -> None:
                with pytest.raises(OSError, match="closed while it was being written"):
                    await connection.send(LARGE, now() + 20)

            async def close() -> None:
                await async_style.in_thread(peer.recv, 1)  # from now on it waits: there is no room for all
                await async_style.settle()
                connection.abort()

            await async_style.beside(send, close)

    async_style.run(scenario)


@pytest.mark.parametrize("name", ["asyncio", "transports"])
@pytest.mark.parametrize("deadline", [FOREVER, 5])
def test_a_wait_in_another_loop_is_refused(name: str, deadline: float, listener: socket.socket) -> None:
    """Before it touches what belongs to the thread of the first one; the loop's debug mode notices that."""
    style, other = Style(name), asyncio.new_event_loop()

    async def wait_elsewhere(connection: Any, end: float) -> None:
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await connection.begin_receive(end)
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await connection.receive(ALL, end)

    async def scenario() -> None:
        async with connected(style, listener) as (connection, _, now):
            end = now() + deadline
            await asyncio.to_thread(other.run_until_complete, wait_elsewhere(connection, end))
            with pytest.raises(DeadlineExceededError):  # from now on it is watched
                await connection.receive(ALL, now() + 0.01)
            await asyncio.to_thread(other.run_until_complete, wait_elsewhere(connection, end))

    with contextlib.closing(other):
        style.run(scenario)


class Wrapper:
    """Wraps a connection, as a network of a third party may, and has its own way to receive."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        return b"wrapped"


@pytest.mark.parametrize("name", ["asyncio", "uvloop", "transports"])
def test_a_connection_that_wraps_a_quick_one_is_not_quick(name: str, listener: socket.socket) -> None:
    style = Style(name)

    async def scenario() -> None:
        async with connected(style, listener) as (connection, *_):
            assert quick_connection(connection) is connection
            assert quick_connection(Wrapper(connection)) is None

    style.run(scenario)
