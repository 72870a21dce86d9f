"""ALPN: HTTP/1.1 is offered, even by a user's context, and another protocol is named."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from runagent import NetworkError
from tests.support.peer import Peer, PeerConnection, answers
from tests.support.proxy import Proxy
from tests.support.tls import STREAM, stream

if TYPE_CHECKING:
    import trustme

    from tests.support.styles import Style


class Server(Peer):
    """Speaks HTTP/1.1 over TLS and notes what was negotiated."""

    def __init__(self, ca: trustme.CA, *protocols: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1", "localhost", "agent.test").configure_cert(context)
        if protocols:
            context.set_alpn_protocols(protocols)
        self.negotiated: list[str | None] = []
        super().__init__(self._answer, ssl_context=context)

    def _answer(self, connection: PeerConnection) -> None:
        assert isinstance(connection.socket, ssl.SSLSocket)
        self.negotiated.append(connection.socket.selected_alpn_protocol())
        answers(STREAM)(connection)


def own_context(ca: trustme.CA, *protocols: str, kind: Any = ssl.SSLContext) -> ssl.SSLContext:
    context: ssl.SSLContext = kind(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    if protocols:
        ssl.SSLContext.set_alpn_protocols(context, protocols)
    return context


def offer_of(context: ssl.SSLContext, ca: trustme.CA) -> str | None:
    """Return what a server that speaks everything chooses of what a context offers."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(server)
    server.set_alpn_protocols(["h2", "other", "http/1.1"])
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = context.wrap_bio(down, up, server_hostname="localhost")
    server_end = server.wrap_bio(up, down, server_side=True)
    for end in (client_end, server_end, client_end):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client_end.selected_alpn_protocol()


def test_a_default_context_offers_it(style: Style, ca: trustme.CA, system_trust: None) -> None:
    with Server(ca, "h2", "http/1.1") as server:
        assert "x" == stream(style, server.url)
    assert ["http/1.1"] == server.negotiated


@pytest.mark.parametrize("offered", [(), ("h2",), ("h2", "http/1.1"), ("other",), ("http/1.1",)])
def test_a_context_of_the_callers_offers_it_and_stays_as_it_is(
    style: Style, ca: trustme.CA, offered: tuple[str, ...]
) -> None:
    context = own_context(ca, *offered)
    before = offer_of(context, ca)
    with Server(ca, "h2", "http/1.1") as server:
        assert "xx" == "".join(stream(style, server.url, ssl_context=context) for _ in range(2))
    assert ["http/1.1"] * 2 == server.negotiated
    assert (before, offered[0] if offered else None) == (offer_of(context, ca), before)


def test_it_is_offered_through_a_proxy(style: Style, ca: trustme.CA) -> None:
    with Server(ca, "h2", "http/1.1") as server, Proxy({"agent.test:443": server.port}) as proxy:
        context = own_context(ca, "h2")
        assert "x" == stream(style, "https://agent.test", ssl_context=context, proxy=proxy.url)
    assert ["http/1.1"] == server.negotiated


def test_a_server_that_knows_no_alpn_is_no_trouble(style: Style, ca: trustme.CA) -> None:
    with Server(ca) as server:
        assert "x" == stream(style, server.url, ssl_context=own_context(ca, "h2"))
    assert [None] == server.negotiated


class Stubborn(ssl.SSLContext):
    """Offers what it was made to offer, even if something else is requested."""

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """Do nothing."""


def test_another_protocol_is_named(style: Style, transport: str, ca: trustme.CA) -> None:
    context = own_context(ca, "h2", kind=Stubborn)
    with (
        Server(ca, "h2") as server,
        pytest.raises(NetworkError, match="negotiated the protocol 'h2'") as caught,
    ):
        stream(style, server.url, transport=transport, ssl_context=context)
    assert "ALPN" == caught.value.code
    assert [] == server.requests
