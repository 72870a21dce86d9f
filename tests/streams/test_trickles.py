"""Time limits over TLS and behind proxies, against peers that send nothing or send it byte by byte."""

from __future__ import annotations

import contextlib
import itertools
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent import RunTimeoutError, Timeouts
from tests.support.peer import Peer, PeerConnection, chunked
from tests.support.proxy import Proxy
from tests.support.styles import Style
from tests.support.tls import client_context, server_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 0.1
ENOUGH = 10.0
EVENT = chunked("text/event-stream", b'event: chunk\ndata: {"content": "x"}\n\n', end=False)


@pytest.fixture(params=["sync", "asyncio", "trio"])
def style(request: pytest.FixtureRequest) -> Style:
    """Each concurrency style in turn; that of uvloop is asyncio's."""
    return Style(request.param)


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's."""
    authority = trustme.CA()
    return server_context(authority, "agent.test", "127.0.0.1"), client_context(authority)


def trickle(connection: PeerConnection, data: bytes) -> None:
    """Send a byte every now and then, for ever, until the client disconnects."""
    with contextlib.suppress(OSError):
        while True:
            for byte in data:
                connection.send(bytes([byte]))
                time.sleep(LIMIT / 10)  # the pace of the peer, not a wait for something


def phase_of(style: Style, timeouts: Timeouts, *, input_data: Any = "x", **options: Any) -> str | None:
    """Run an agent into a limit and return which one it was; nothing else may come of it."""

    async def scenario() -> str | None:
        client = style.client("a", timeout=timeouts, max_retries=0, resume=False, **options)
        with pytest.raises(RunTimeoutError) as caught:
            await client.run_generic_stream(input_data).text()
        return caught.value.phase

    start = time.monotonic()
    phase: str | None = style.run(scenario)
    assert LIMIT * 0.9 <= time.monotonic() - start < ENOUGH
    return phase


def timeouts(**limit: float) -> Timeouts:
    return Timeouts(**{"connect": ENOUGH, "first_event": ENOUGH, "idle": ENOUGH} | limit)


def sends_then(data: bytes, more: bytes = b"") -> Callable[[PeerConnection], None]:
    """Answer a request with the beginning of an answer, and then with silence or in trickles."""

    def act(connection: PeerConnection) -> None:
        connection.read_request()
        connection.send(data)
        if more:
            trickle(connection, more)
        connection.wait_gone()

    return act


@pytest.mark.parametrize("way", ["tls", "proxy", "tunnel"])
@pytest.mark.parametrize(
    ("phase", "act"),
    [
        ("first_event", sends_then(b"")),
        ("first_event", sends_then(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
        ("idle", sends_then(EVENT)),
        ("progress", sends_then(EVENT, b"3\r\n:a\n\r\n")),
        ("total", sends_then(EVENT, b"3\r\n:a\n\r\n")),
    ],
    ids=["silent head", "trickling head", "silence", "trickling heartbeats", "all in all"],
)
def test_each_limit_on_each_way(
    style: Style, way: str, phase: str, act: Any, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    secure = way != "proxy"
    with Peer(act, ssl_context=contexts[0] if secure else None) as peer:
        options: dict[str, Any] = {"base_url": peer.url, "ssl_context": contexts[1] if secure else None}
        with contextlib.ExitStack() as stack:
            if way != "tls":
                where = "agent.test:443" if secure else "agent.test:80"
                proxy = stack.enter_context(Proxy({where: peer.port}))
                options["proxy"] = f"http://127.0.0.1:{proxy.port}"
                options["base_url"] = "https://agent.test" if secure else "http://agent.test"
            assert phase_of(style, timeouts(**{phase: LIMIT}), **options) == phase


@pytest.mark.parametrize(
    ("url", "pieces"),
    [
        ("https://agent.test", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000),
        ("https://127.0.0.1:{port}", b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(1000)),
    ],
    ids=["proxy", "TLS"],
)
def test_a_connection_that_is_made_in_trickles(style: Style, url: str, pieces: bytes) -> None:
    def act(connection: PeerConnection) -> None:
        connection.socket.recv(1)
        trickle(connection, pieces)

    with Peer(act) as peer:
        options = {"base_url": url.format(port=peer.port), "ssl_context": ssl.create_default_context()}
        if "{port}" not in url:
            options["proxy"] = peer.url
        assert phase_of(style, timeouts(connect=LIMIT), **options) == "connect"


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a peer waits for before it reads a request; it opens at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


LARGE = {"text": "x" * 16_000_000}


@pytest.mark.parametrize("phase", ["first_event", "total"])
def test_a_large_input_that_is_never_read(style: Style, phase: str, gate: threading.Event) -> None:
    with Peer(lambda _: gate.wait(ENOUGH)) as peer:
        options = {"base_url": peer.url, "input_data": LARGE}
        assert phase_of(style, timeouts(**{phase: LIMIT}), **options) == phase
        gate.set()


def test_sending_and_waiting_share_the_time_until_the_first_event(
    style: Style, gate: threading.Event
) -> None:
    """A service that reads a large input just in time has only the rest of the limit for its answer."""
    limit, taken_after = 1.0, 0.7

    def act(connection: PeerConnection) -> None:
        gate.wait(taken_after)
        connection.wait_gone()

    def seconds() -> float:
        options = {"base_url": peer.url, "input_data": LARGE}
        start = time.monotonic()
        assert phase_of(style, timeouts(first_event=limit), **options) == "first_event"
        return time.monotonic() - start

    with Peer(act) as peer:
        # With the whole limit for the answer it would be 1.7 s; a busy machine gets more than one try.
        assert any(seconds() < 1.4 for _ in range(3))


def test_time_limits_do_not_follow_a_clock_that_is_set(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    now, hours = time.time, itertools.cycle([-5.0, 0.0, 7.0])
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * next(hours))
    with Peer(sends_then(EVENT)) as peer:
        for phase in ("idle", "total"):
            assert phase_of(style, timeouts(**{phase: LIMIT}), base_url=peer.url) == phase
