"""The pool of idle connections, with a clock of the test."""

from __future__ import annotations

from runagent._address.route import Address
from runagent._address.url import parse_base_url
from runagent._limits import Limits
from runagent._net.pool import Pool


class Connection:
    """A connection that only notes its end, and the session that used it."""

    keeps_connection = reusable = True

    def __init__(self) -> None:
        self.aborted = False

    def poll(self, max_bytes: int) -> bytes | None:
        return None

    def abort(self, farewell: bytes = b"") -> None:
        self.aborted = True

    def receive_data(self, data: bytes) -> object:
        return None


def address(host: str) -> Address:
    return Address(parse_base_url(f"http://{host}", "test").origin, None, False, None, None)


def test_each_idle_connection_is_closed_once_its_own_time_is_over() -> None:
    now = 0.0
    pool: Pool[Connection] = Pool(lambda: now)
    waits = {"a": 10, "b": 5, "c": 20}
    connections = {name: Connection() for name in waits}
    for name, connection in connections.items():
        pool.put(address(name), connection, connection, Limits(max_idle_seconds=waits[name]))
    ended = []
    for now in (5.0, 5.5, 10.5, 19.0, 20.5):  # noqa: B007  # the clock reads it
        assert pool.take(address("d")) is None
        ended.append("".join(name for name, connection in connections.items() if connection.aborted))
    assert ["", "b", "ab", "ab", "abc"] == ended


def test_a_connection_that_was_taken_and_put_back_waits_its_whole_time_again() -> None:
    now = 0.0
    pool: Pool[Connection] = Pool(lambda: now)
    connection, limits = Connection(), Limits(max_idle_seconds=5)
    pool.put(address("a"), connection, connection, limits)
    now = 4.0
    assert pool.take(address("a")) is not None
    pool.put(address("a"), connection, connection, limits)
    now = 8.0
    idle = pool.take(address("a"))
    assert idle is not None
    assert not connection.aborted
