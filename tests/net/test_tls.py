"""TLS in every style: streams as good as without it, and servers that do not speak it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ConfigurationError, NetworkError, RunTimeoutError, StreamTruncatedError
from runagent_testing import FakeAgentServer, ending
from tests.support.failing import failure
from tests.support.peer import Peer, PeerConnection, answers, sends
from tests.support.tls import client_context, server_context, stream

if TYPE_CHECKING:
    import trustme

    from tests.support.styles import Style


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_own_context(style: Style, transport: str, ca: trustme.CA, version: ssl.TLSVersion) -> None:
    context = client_context(ca)
    context.minimum_version = context.maximum_version = version
    with FakeAgentServer(ssl_context=server_context(ca)) as server:
        server.agent("a").always("x", {"y": 1})
        for url in (
            server.url,
            server.url.replace("https", "wss"),
            server.url.replace("127.0.0.1", "localhost"),
        ):
            assert 'x{"y":1}' == stream(style, url, transport=transport, ssl_context=context)


@pytest.mark.parametrize(
    "given", [False, True, "ca.pem", ssl.SSLContext, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)]
)
def test_an_invalid_context(style: Style, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"ssl_context: expected an ssl\.SSLContext for clients"):
        style.client("a", base_url="https://127.0.0.1:1", ssl_context=given)


# Streams


def test_large_streams(style: Style, transport: str, ca: trustme.CA) -> None:
    chunks = [*(f"{i} " for i in range(3000)), "\N{GRINNING FACE}" * 500_000, "end"]
    with FakeAgentServer(ssl_context=server_context(ca)) as server:
        server.agent("a").always(*chunks)
        options = {"transport": transport, "ssl_context": client_context(ca)}
        assert "".join(chunks) == stream(style, server.url, **options)


def test_the_connection_is_kept(style: Style, ca: trustme.CA) -> None:
    with FakeAgentServer(ssl_context=server_context(ca)) as server:
        server.agent("a").always("x")
        assert "x" * 20 == stream(style, server.url, times=20, ssl_context=client_context(ca))
        assert 1 == server.connections


@pytest.mark.parametrize("how", ["cut", "reset", "no-done"])
def test_a_cut_is_a_cut(style: Style, transport: str, ca: trustme.CA, how: Any) -> None:
    with FakeAgentServer(ssl_context=server_context(ca)) as server:
        server.agent("a").always({"no": "text"}, ending(how))
        error = failure(
            style, "a", base_url=server.url, transport=transport, ssl_context=client_context(ca), resume=False
        )
    assert type(error) is StreamTruncatedError


def test_text_ended_by_a_goodbye_is_not_proven_and_one_cut_off_is_no_better(
    style: Style, ca: trustme.CA
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nabc"

    async def scenario() -> Any:
        client = style.client("a", base_url=peer.url, transport="chunked", ssl_context=client_context(ca))
        return [event async for event in client.run_generic_stream("x").events()][-1]

    def polite(connection: PeerConnection) -> None:
        answers(head)(connection)
        connection.socket.unwrap()  # type: ignore[attr-defined]

    for act in (polite, answers(head)):
        with Peer(act, ssl_context=server_context(ca)) as peer:
            assert not style.run(scenario).proven


# The other side


def test_a_plain_server(style: Style, ca: trustme.CA) -> None:
    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"\x00" * 20):
        with Peer(sends(answer)) as peer:
            error = failure(
                style, "a", base_url=peer.url.replace("http", "https"), ssl_context=client_context(ca)
            )
        assert (NetworkError, "TLS") == (type(error), error.code)


@pytest.mark.parametrize("leave", [lambda connection: connection.socket.recv(10_000), PeerConnection.reset])
def test_a_server_that_leaves_during_the_handshake(style: Style, ca: trustme.CA, leave: Any) -> None:
    with Peer(leave) as peer:
        error = failure(
            style, "a", base_url=peer.url.replace("http", "https"), ssl_context=client_context(ca)
        )
    assert type(error) is NetworkError
    assert error.code in ("TLS", "RESET")


def test_a_silent_server_costs_the_connect_timeout(style: Style, ca: trustme.CA) -> None:
    with Peer(lambda connection: connection.wait_gone()) as peer:
        error = failure(
            style,
            "a",
            base_url=peer.url.replace("http", "https"),
            ssl_context=client_context(ca),
            timeout=0.2,
        )
    assert (RunTimeoutError, "connect") == (type(error), getattr(error, "phase", None))
