"""A connection of trio, below the pumps: when its reads wait, when they are late, who watches over them."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, TypeAlias

import pytest
import trio
from trio.lowlevel import current_statistics
from trio.testing import MockClock, wait_all_tasks_blocked

from runagent._net.base import DeadlineExceededError
from runagent._net.trio import TrioConnection, Watchdog
from tests.support.cancelling import cancelled_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOREVER = float("inf")


class CountingSocket(socket.socket):
    """Counts what it is asked for."""

    reads = 0

    def recv(self, *args: int) -> bytes:
        self.reads += 1
        return super().recv(*args)


Pairs: TypeAlias = "Callable[[], tuple[TrioConnection, CountingSocket, socket.socket]]"


@pytest.fixture
def connect() -> Iterator[Pairs]:
    """Make connections, all watched over by one watchdog; gives what is below and its peer as well."""
    with contextlib.ExitStack() as stack:
        watchdog = Watchdog()

        def pair() -> tuple[TrioConnection, CountingSocket, socket.socket]:
            near, far = socket.socketpair()
            below = CountingSocket(near.family, near.type, near.proto, near.detach())
            below.setblocking(False)
            connection = TrioConnection(below, watchdog)
            stack.callback(connection.abort)
            return connection, below, stack.enter_context(far)

        yield pair


async def late(connection: TrioConnection, deadline: float) -> float:
    """Read until it is late, and return when that was."""
    with pytest.raises(DeadlineExceededError):
        await connection.receive(100, deadline)
    return trio.current_time()


# When a read waits


@pytest.mark.trio
async def test_what_comes_piece_by_piece_is_read_without_trying_in_vain(connect: Pairs) -> None:
    connection, below, peer = connect()
    pieces = [b"1", b"22", b"333", b"4444", b""]

    async def write() -> None:
        for piece in pieces:
            await wait_all_tasks_blocked()
            if piece:
                peer.send(piece)
        peer.shutdown(socket.SHUT_WR)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        assert pieces == [await connection.receive(100, FOREVER) for _ in pieces]
    assert len(pieces) + 1 == below.reads  # the first one cannot know


@pytest.mark.trio
async def test_what_has_come_already_is_read_without_waiting(connect: Pairs) -> None:
    connection, _, peer = connect()
    peer.send(b"12345")
    with trio.CancelScope() as scope:
        scope.cancel()
        assert [b"12", b"34"] == [await connection.receive(2, FOREVER) for _ in range(2)]
    assert not scope.cancelled_caught


@pytest.mark.trio
async def test_a_reader_without_patience_gets_what_has_arrived(connect: Pairs) -> None:
    connection, _, peer = connect()
    received = []
    for number in b"0123456789":
        peer.send(bytes([number]))
        for _ in range(2):
            with trio.move_on_after(0):
                received.append(await connection.receive(100, FOREVER))
                break
    assert [b"%c" % number for number in b"0123456789"] == received


@pytest.mark.trio
async def test_a_cancelled_read_loses_nothing(connect: Pairs) -> None:
    connection, _, peer = connect()
    for piece in (b"a", b"b", b"c"):
        for _ in range(2):
            assert await cancelled_at(1, lambda: connection.receive(100, FOREVER), "trio")
        peer.send(piece)
        assert piece == await connection.receive(100, FOREVER)


# When it is late


@pytest.mark.trio
async def test_every_read_has_its_own_deadline(connect: Pairs, autojump_clock: MockClock) -> None:
    begun = trio.current_time()
    ends = {}

    async def read(seconds: float) -> None:
        connection, *_ = connect()
        ends[seconds] = await late(connection, begun + seconds) - begun

    async with trio.open_nursery() as nursery:
        for seconds in (50, 10, 30, 10.5, 0, 20):
            nursery.start_soon(read, seconds)
            await wait_all_tasks_blocked()
    assert {s: pytest.approx(s) for s in (0, 10, 10.5, 20, 30, 50)} == ends


@pytest.mark.trio
async def test_a_read_is_late_by_its_deadline_and_not_by_those_before(
    connect: Pairs, autojump_clock: MockClock
) -> None:
    connection, _, peer = connect()
    for deadline in (2, 7, 3, FOREVER, 5):
        peer.send(b"x")
        assert b"x" == await connection.receive(100, trio.current_time() + deadline)
        await trio.sleep(1)
    for seconds in (9, 4, 30):
        begun = trio.current_time()
        assert begun + seconds == pytest.approx(await late(connection, begun + seconds))


@pytest.mark.trio
async def test_a_deadline_that_is_over_gives_what_has_arrived(connect: Pairs) -> None:
    connection, _, peer = connect()
    for _ in range(3):
        peer.send(b"x")
        assert b"x" == await connection.receive(100, trio.current_time() - 1)
        await late(connection, trio.current_time() - 1)


# Who watches over them


@pytest.mark.trio
async def test_one_task_watches_over_all_connections_and_ends_with_them(
    connect: Pairs, autojump_clock: MockClock
) -> None:
    before = current_statistics().tasks_living
    connections = [connect()[0] for _ in range(20)]
    async with trio.open_nursery() as nursery:
        for number, connection in enumerate(connections):
            nursery.start_soon(late, connection, trio.current_time() + 10 + number % 7)
        await wait_all_tasks_blocked()
        assert before + 20 + 1 == current_statistics().tasks_living
    assert before == current_statistics().tasks_living  # nobody waits any more
    await late(connections[0], trio.current_time() + 1)
    assert before == current_statistics().tasks_living


@pytest.mark.trio
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in another thread"])
async def test_the_task_ends_with_the_last_connection(connect: Pairs, *, elsewhere: bool) -> None:
    before = current_statistics().tasks_living
    connections = []
    for _ in range(3):
        connection, _, peer = connect()
        peer.send(b"x")
        assert b"x" == await connection.receive(100, trio.current_time() + 1)
        with trio.move_on_after(0):
            await connection.receive(100, trio.current_time() + 10_000)
        connections.append(connection)
    for left, connection in zip((1, 1, 0), connections, strict=True):
        await wait_all_tasks_blocked()
        if elsewhere:
            await trio.to_thread.run_sync(connection.abort)
        else:
            connection.abort()
        await wait_all_tasks_blocked()
        assert before + left == current_statistics().tasks_living


@pytest.mark.trio
async def test_a_read_right_after_the_last_connection_is_watched_over(
    connect: Pairs, autojump_clock: MockClock
) -> None:
    for _ in range(3):
        connection, *_ = connect()
        with trio.move_on_after(1):
            await connection.receive(100, trio.current_time() + 100)
        connection.abort()
        connection, *_ = connect()
        begun = trio.current_time()
        assert begun + 50 == pytest.approx(await late(connection, begun + 50))
        connection.abort()


# Closed meanwhile


@pytest.mark.trio
async def test_a_closed_connection_cannot_be_read(connect: Pairs) -> None:
    connection, _, peer = connect()
    peer.send(b"x")
    assert b"x" == await connection.receive(100, FOREVER)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            with pytest.raises(OSError, match="closed while"):
                await connection.receive(100, FOREVER)

        await wait_all_tasks_blocked()
        connection.abort()
    with pytest.raises(OSError, match="Bad file"):
        await connection.receive(100, FOREVER)


async def learns_that_it_was_closed(connection: TrioConnection) -> None:
    """Send more than there is room for."""
    with pytest.raises(OSError, match=r"closed while|Bad file"):
        await connection.send(bytes(1 << 24), FOREVER)


@pytest.mark.trio
@pytest.mark.parametrize("turns", range(5))
async def test_a_send_that_has_just_begun_learns_that_it_was_closed(connect: Pairs, turns: int) -> None:
    connection, *_ = connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(learns_that_it_was_closed, connection)
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        connection.abort()


@pytest.mark.trio
@pytest.mark.parametrize("times", range(12))  # which task of a turn of the loop comes first is random
async def test_a_closing_in_the_turn_in_which_there_is_room_again_is_noticed(
    connect: Pairs, times: int
) -> None:
    connection, _, peer = connect()
    peer.setblocking(False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(learns_that_it_was_closed, connection)
        await wait_all_tasks_blocked()
        with contextlib.suppress(BlockingIOError):
            while peer.recv(1 << 20):
                pass
        await trio.lowlevel.checkpoint()
        connection.abort()
