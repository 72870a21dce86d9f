"""A peer that answers before it has read the whole request is heard: RFC 9112 §9.5."""

from __future__ import annotations

import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent import AgentError, AuthenticationError, NetworkError, RunAgentError, Timeouts
from runagent_testing import FakeAgentServer
from tests.support.peer import (
    PATIENCE,
    Peer,
    PeerConnection,
    answers,
    chunked,
    http,
    http_chunk,
    message,
    opens_websocket,
    reads_some_then,
    sse,
    websocket_frame,
)

if TYPE_CHECKING:
    from tests.support.styles import Style

TIMES = 50
LARGE = {"query": "x" * (4 << 20)}
HUGE = {"query": "x" * (16 << 20)}  # more than two kernels ever keep between them
IN_TIME = Timeouts(connect=5, first_event=5, idle=5)  # before the peer hangs up, also on a busy machine
Contexts = tuple[ssl.SSLContext | None, ssl.SSLContext | None]
TOO_LARGE = http(413, {"error": {"code": "TOO_LARGE", "message": "too large"}}, connection="close")


@pytest.fixture(scope="module")
def tls() -> Contexts:
    """The server's and the client's TLS context."""
    ca = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    ca.configure_trust(client)
    return server, client


@pytest.fixture(params=["http", "https"])
def contexts(request: pytest.FixtureRequest, tls: Contexts) -> Contexts:
    """TLS contexts, or none."""
    return tls if request.param == "https" else (None, None)


def failures(
    style: Style, peer: Peer, *, times: int, transport: str = "sse", **options: Any
) -> list[RunAgentError]:
    async def scenario() -> list[RunAgentError]:
        client = style.client("a", base_url=peer.url, transport=transport, max_retries=0, **options)
        caught = []
        for _ in range(times):
            with pytest.raises(RunAgentError) as info:
                await client.run_generic_stream(LARGE).text()
            caught.append(info.value)
        return caught

    found: list[RunAgentError] = style.run(scenario)
    return found


def hang_up(connection: PeerConnection) -> None:
    """Close: the kernel sends a reset, because most of the request has not been read."""


@pytest.mark.parametrize("leave", [hang_up, PeerConnection.reset])
def test_an_answer_before_a_reset_is_heard(style: Style, leave: Any) -> None:
    with Peer(reads_some_then(TOO_LARGE, leave)) as peer:
        errors = failures(style, peer, times=TIMES)
    assert [(AgentError, 413, "TOO_LARGE")] * TIMES == [
        (type(e), getattr(e, "status", None), e.code) for e in errors
    ]


def test_an_answer_before_a_reset_is_heard_through_tls(style: Style, tls: Contexts) -> None:
    server, client = tls
    with Peer(reads_some_then(TOO_LARGE, hang_up), ssl_context=server) as peer:
        errors = failures(style, peer, times=10, ssl_context=client)
    assert [413] * 10 == [getattr(error, "status", None) for error in errors]


def test_an_answer_of_a_peer_that_neither_reads_nor_closes_is_heard_in_time(
    style: Style, contexts: Contexts
) -> None:
    server, client = contexts
    gate = threading.Event()
    with Peer(reads_some_then(TOO_LARGE, lambda _: gate.wait(PATIENCE)), ssl_context=server) as peer:
        (error,) = failures(style, peer, times=1, ssl_context=client, timeout=IN_TIME)
        gate.set()
    assert (AgentError, 413) == (type(error), getattr(error, "status", None))


@pytest.mark.parametrize("run", ["run_generic_stream", "run_generic"])
def test_such_an_answer_is_heard_at_once(style: Style, run: str, transport: str, contexts: Contexts) -> None:
    """Not only when the time to send is over."""
    server, client = contexts
    over_websocket = (transport, run) == ("websocket", "run_generic_stream")
    gate = threading.Event()

    async def scenario() -> None:
        options = {"base_url": peer.url, "transport": transport, "ssl_context": client, "max_retries": 0}
        result = getattr(style.client("a", **options), run)(HUGE)
        with pytest.raises(RunAgentError) as caught:
            await (result.text() if run == "run_generic_stream" else result)
        gate.set()
        assert ("CLOSE_1009" if over_websocket else "TOO_LARGE") == caught.value.code

    def refuse(connection: PeerConnection) -> None:
        if over_websocket:
            opens_websocket(connection)
            connection.socket.recv(1000)
            connection.send(websocket_frame((1009).to_bytes(2) + b"too large", 8))
        else:
            reads_some_then(TOO_LARGE, lambda _: None)(connection)
        gate.wait(PATIENCE)

    with Peer(refuse, ssl_context=server) as peer:
        begin = time.monotonic()
        style.run(scenario)
    assert time.monotonic() - begin < PATIENCE


def test_a_refusal_is_read_to_its_end(style: Style, contexts: Contexts) -> None:
    """Its head is enough to send no more; its body may come a moment later."""
    server, client = contexts
    gate = threading.Event()
    head, end, body = TOO_LARGE.partition(b"\r\n\r\n")

    def refuse(connection: PeerConnection) -> None:
        connection.socket.recv(1000)
        connection.send(head + end)
        for byte in body:
            connection.send(bytes([byte]))
        gate.wait(PATIENCE)

    with Peer(refuse, ssl_context=server) as peer:
        (error,) = failures(style, peer, times=1, ssl_context=client)
        gate.set()
    assert "TOO_LARGE" == error.code


def begins(transport: str, connection: PeerConnection) -> int:
    """Send an interim answer and the first chunk; return what is known of the request's size."""
    if transport == "websocket":
        opens_websocket(connection)
        size = int.from_bytes(connection.read_exactly(10)[2:])  # of the one frame that is to come
        connection.send(websocket_frame(b"there?", 9) + message({"type": "data", "content": "early"}))
        return size
    first = b'event: chunk\ndata: {"content": "early"}\n\n'
    if transport == "chunked":
        first = b'{"type": "chunk", "content": "early"}\n'
    kind = {"sse": "text/event-stream", "chunked": "application/x-ndjson"}[transport]
    connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" + chunked(kind, first, end=False))
    return 0


def reads_and_ends(transport: str, connection: PeerConnection, size: int) -> int:
    """Read the request and end the answer; return the size of the request."""
    if transport == "websocket":
        assert size == len(connection.read_exactly(4 + size)) - 4
        assert b"there?" == connection.read_message()
        connection.send(message({"type": "status", "status": "stream_completed"}))
        connection.wait_gone()
        return size
    request = connection.read_request()
    assert request is not None
    last = b"event: done\ndata: {}\n\n" if transport == "sse" else b'{"type": "done"}\n'
    connection.send(http_chunk(last) + b"0\r\n\r\n")
    return len(request.body)


def test_what_does_not_refuse_a_request_does_not_end_it(
    style: Style, transport: str, contexts: Contexts
) -> None:
    """After an interim answer, a ping, the first chunk the rest of the request goes out."""
    server, client = contexts
    heard = threading.Event()
    sizes: list[int] = []

    def act(connection: PeerConnection) -> None:
        size = begins(transport, connection)
        assert heard.wait(PATIENCE)
        sizes.append(reads_and_ends(transport, connection, size))

    async def scenario() -> list[Any]:
        options = {"base_url": peer.url, "transport": transport, "ssl_context": client}
        found = []
        async for chunk in style.client("a", **options).run_generic_stream(HUGE):
            found.append(chunk)
            heard.set()
        return found

    with Peer(act, ssl_context=server) as peer:
        assert ["early"] == style.run(scenario)
    assert sizes[0] > len(HUGE["query"])


def test_the_beginning_of_such_an_answer_will_do(style: Style) -> None:
    """The rest is waited for until the time for the first event is over."""
    gate = threading.Event()
    head = b"HTTP/1.1 401 x\r\nContent-Length: 500\r\n\r\n{"
    with Peer(reads_some_then(head, lambda _: gate.wait(PATIENCE))) as peer:
        (error,) = failures(style, peer, times=1, timeout=Timeouts(first_event=1))
        gate.set()
    assert type(error) is AuthenticationError


def test_a_good_answer_before_the_request_is_read_is_heard(style: Style) -> None:
    stream = sse(("chunk", {"content": "early"}), ("done", {}))

    async def scenario() -> str:
        return str(await style.client("a", base_url=peer.url).run_generic_stream(LARGE).text())

    with Peer(reads_some_then(stream, lambda _: None)) as peer:
        assert "early" == style.run(scenario)


def test_a_hang_up_without_an_answer_is_a_network_error(style: Style) -> None:
    with Peer(reads_some_then(b"", lambda connection: connection.reset())) as peer:
        errors = failures(style, peer, times=10)
    assert [(NetworkError, "RESET")] * 10 == [(type(error), error.code) for error in errors]


def test_large_requests_arrive_whole(style: Style, transport: str, contexts: Contexts) -> None:
    server, client = contexts
    with FakeAgentServer(ssl_context=server) as agents:
        agents.agent("a").always("ok")

        async def scenario() -> str:
            options = {"base_url": agents.url, "transport": transport, "ssl_context": client}
            return str(await style.client("a", **options).run_generic_stream(LARGE).text())

        assert "ok" == style.run(scenario)
        assert LARGE == agents.requests[0].input


def test_a_connection_whose_request_is_stuck_serves_no_other_run(style: Style) -> None:
    """Otherwise the next request would be read as the rest of this one."""
    gate = threading.Event()
    stream = sse(("chunk", {"content": "early"}), ("done", {}))

    async def scenario() -> list[str]:
        client = style.client("a", base_url=peer.url, timeout=IN_TIME)
        texts = [await client.run_generic_stream(HUGE).text(), await client.run_generic_stream("x").text()]
        gate.set()
        return texts

    with Peer(reads_some_then(stream, lambda _: gate.wait(PATIENCE)), answers(stream)) as peer:
        assert ["early", "early"] == style.run(scenario)
        assert 2 == peer.connections
