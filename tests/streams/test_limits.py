"""Every limit at its value and one past it, by the name that a user sets it with."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ConfigurationError, ProtocolError, StreamLimitError
from runagent._address.route import Address
from runagent._address.url import parse_base_url
from runagent._limits import Limits, read_limits
from runagent._net.pool import Pool
from tests.support.peer import Peer, PeerConnection, http, ndjson, sse, websocket_frame
from tests.support.sessions import Seen, feed, handshake_answer, open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style

DONE = b'{"type":"done"}\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"


def line(size: int) -> bytes:
    """Write a chunk message of so many bytes, its line end not counted."""
    empty = b'{"type":"chunk","content":""}'
    return empty[:-2] + b"x" * (size - len(empty)) + b'"}\n'


def head(size: int) -> bytes:
    """Write an answer whose head, the empty line included, has so many bytes."""
    start = HEAD + b"Content-Length: %d\r\nX: " % len(DONE)
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n" + DONE


def event(size: int) -> bytes:
    """Write an SSE chunk whose data lines have so many bytes."""
    content = b'data: {"content":""}'
    return b"event: chunk\n" + content[:-2] + b"x" * (size - len(content)) + b'"}\n\n'


def message(size: int) -> bytes:
    """Write a WebSocket message of so many bytes."""
    return websocket_frame(b'{"type":"data","content":"' + b"x" * (size - 28) + b'"}')


CASES: dict[str, tuple[str, int, Callable[[int], Any]]] = {
    "max_head_bytes": ("chunked", 400, head),
    "max_event_bytes": ("chunked", 100, lambda size: ndjson(line(size), DONE)),
    "max_event_bytes of SSE": ("sse", 100, lambda size: sse(event(size), ("done", {}))),
    "max_event_bytes of a WebSocket": (
        "websocket", 100,
        lambda size: lambda request: handshake_answer(
            request, message(size), websocket_frame(b'{"type":"status","status":"stream_completed"}')
        ),
    ),
    "max_result_bytes": ("invoke", 100, lambda size: http(200, b'{"result":"' + b"x" * (size - 13) + b'"}',
    content_type="application/json")),
    "max_interim_responses": ("chunked", 5, lambda count: b"HTTP/1.1 103 x\r\n\r\n" * count + ndjson(DONE)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [1, 1 << 30], ids=["byte by byte", "whole"])
def test_a_limit(name: str, step: int) -> None:
    transport, limit, answer = CASES[name]
    option = name.partition(" ")[0]

    def receive(size: int) -> Seen:
        how: dict[str, Any] = (
            {"transport": "sse", "mode": "invoke"} if transport == "invoke" else {"transport": transport}
        )
        return feed(open_session(**how, limits={option: limit}), answer(size), step=step)

    assert receive(limit).error is None
    error = receive(limit + 1).error
    assert type(error) is StreamLimitError
    assert (error.limit_name, error.limit) == (option, limit)


def test_the_ratio_of_decompression() -> None:
    plain = DONE + bytes(3_000_000).replace(b"\0", b" ")
    coded = gzip.compress(plain, 9)
    answer = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(coded) + coded
    within = -(-len(plain) // len(coded))
    options: dict[str, Any] = {"transport": "chunked"}
    assert feed(open_session(**options, limits={"max_decompression_ratio": within}), answer).error is None
    text = answer.replace(b"application/x-ndjson", b"text/plain")
    seen = feed(open_session(**options, limits={"max_decompression_ratio": within - 1}), text)
    assert type(seen.error) is StreamLimitError
    assert seen.error.limit_name == "max_decompression_ratio"


def test_the_redirects_in_a_row(style: Style) -> None:
    def act(connection: PeerConnection) -> None:
        while connection.read_request():
            left = asked - len(connection.peer.requests) + 1
            connection.send(http(307, location=f"/{left}") if left else sse(("done", {})))

    async def scenario() -> str:
        client = style.client("a", base_url=peer.url, transport_options={"max_redirects": 3})
        return str(await client.run_generic_stream("x").text())

    for asked in (3, 4):
        with Peer(act) as peer:
            if asked == 3:
                assert style.run(scenario) == ""
            else:
                with pytest.raises(ProtocolError, match="max_redirects"):
                    style.run(scenario)


def test_an_error_body_is_read_up_to_its_limit() -> None:
    for size in (100, 101):
        seen = feed(open_session("sse", limits={"max_error_bytes": 100}), http(500, b"x" * size))
        assert str(seen.error).count("x") == 100


# Idle connections


class Idle:
    """A connection of which nothing comes, and the session that used it."""

    keeps_connection = reusable = True
    aborted = False

    def poll(self, max_bytes: int) -> None:
        return None

    def receive_data(self, data: bytes) -> None:
        raise AssertionError("nothing comes")

    def abort(self, farewell: bytes = b"") -> None:
        self.aborted = True


ADDRESS = Address(parse_base_url("http://agent.test").origin)


def test_so_many_idle_connections_are_kept() -> None:
    pool, idle = Pool[Idle](lambda: 0.0), [Idle(), Idle(), Idle()]
    for connection in idle:
        pool.put(ADDRESS, connection, connection, Limits(max_idle_connections=2))
    assert [connection.aborted for connection in idle] == [False, False, True]
    pool.close()
    assert [connection.aborted for connection in idle] == [True, True, True]


def test_an_idle_connection_is_kept_for_so_long() -> None:
    now = 0.0
    for now, kept in ((60.0, True), (60.001, False)):
        time = iter([0.0, 0.0, now])
        pool, connection = Pool[Idle](lambda time=time: next(time)), Idle()  # type: ignore[misc]
        pool.put(ADDRESS, connection, connection, Limits())
        assert (pool.take(ADDRESS) is not None) is kept
        assert connection.aborted is not kept


def test_the_limit_of_idle_connections_is_an_option(style: Style) -> None:
    async def scenario() -> int:
        async with style.client(
            "a", base_url=peer.url, transport_options={"max_idle_connections": 1}
        ) as client:
            for _ in range(2):
                one, other = client.run_generic_stream("x"), client.run_generic_stream("x")
                async with one, other:  # both are connected before either is read
                    await one.text()
                    await other.text()
        return peer.connections

    def act(connection: PeerConnection) -> None:
        while connection.read_request():
            connection.send(sse(("done", {})))

    with Peer(act) as peer:
        assert style.run(scenario) == 3  # two at first, then one kept and one new


@pytest.mark.parametrize("name", Limits.__struct_fields__)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "1", None, 10**400])
def test_a_limit_is_a_whole_number_above_zero(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read_limits({name: value})
    assert getattr(read_limits({name: 1}), name) == 1
