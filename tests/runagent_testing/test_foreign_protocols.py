"""Clients that begin with HTTP/2 or TLS, or with plain HTTP where TLS is served, are in the journal."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest
import trustme

from runagent_testing import FakeAgentServer
from tests.runagent_testing.players import client_of
from tests.runagent_testing.program import until
from tests.runagent_testing.raw_client import PATIENCE, connected, post, stream

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # and empty SETTINGS
H2C = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAAAAIAAAAB"}


def client_hello():
    hello = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
    return hello.read()


@pytest.mark.parametrize(
    ("sent", "name", "hint"),
    [(PREFACE, "HTTP/2", "switch HTTP/2 off"), (client_hello(), "TLS", "use http:// in the client's URL")],
    ids=["HTTP/2", "TLS"],
)
def test_a_client_of_another_protocol_is_unmatched_with_the_reason(sent, name, hint, host):
    with client_of(host) as client:
        client.send(sent)
        assert client.rest()[0].split()[1] == b"400"
    (exchange,) = host.unmatched
    assert (f"{name} * (unknown)", "server closed") == (exchange.title, exchange.outcome)
    assert hint in (exchange.unmatched or "")
    with pytest.raises(AssertionError, match=rf"unmatched request {name} \* \(unknown\): the client began"):
        host.check()
    host.check(allow_unmatched=True)
    assert [] == host.requests


def test_a_preface_that_comes_in_pieces_is_one(server):
    with connected(server.url) as client:
        for at in range(len(PREFACE)):
            with contextlib.suppress(OSError):  # answered before its end
                client.send(PREFACE[at : at + 1])
        with contextlib.suppress(OSError):
            client.rest()
    (exchange,) = server.unmatched
    assert exchange.method == "HTTP/2"


def test_other_bytes_that_are_no_request_are_only_logged(host, caplog):
    with client_of(host) as client:
        client.send(b"nonsense\r\n\r\n")
        client.rest()
    assert [] == host.unmatched


@pytest.fixture
def certificate():
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return context, trusting


def test_plain_http_to_a_server_of_tls_is_unmatched(certificate):
    with FakeAgentServer(ssl_context=certificate[0]) as server:
        with connected(server.url.replace("https", "http")) as client:
            client.send(stream())
            client.rest()
        until(lambda: server.unmatched)
        (exchange,) = server.unmatched
        assert "this server speaks TLS: use https://" in (exchange.unmatched or "")
        with pytest.raises(AssertionError, match=r"unmatched request HTTP \* \(unknown\)"):
            server.check()


def test_http_2_inside_of_tls_is_unmatched(certificate):
    with FakeAgentServer(ssl_context=certificate[0]) as server:
        port = int(server.url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
            certificate[1].wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(PREFACE)
            assert client.recv(100).startswith(b"HTTP/1.0 400 ")
        assert ["HTTP/2"] == [exchange.method for exchange in server.unmatched]


def test_a_failed_handshake_is_not_in_the_journal(certificate):
    with FakeAgentServer(ssl_context=certificate[0]) as server:
        port = int(server.url.rpartition(":")[2])
        context = ssl.create_default_context()  # which does not trust it
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(plain, server_hostname="127.0.0.1")
        server.check()


@pytest.mark.parametrize("path", ["/v1/agents/a/stream", "/v1/agents/a/invoke"])
def test_an_offer_to_upgrade_to_http_2_is_ignored(path, host):
    host.agent("a").always("x").returns("x")
    asked = {"query": "a long question" * 100}
    with client_of(host) as client:
        for _ in range(2):  # the connection goes on
            client.send(post(path, asked, accept="text/event-stream", **H2C))
            head = client.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            client.until(b"0\r\n\r\n" if path.endswith("stream") else b"}}")
    assert [asked, asked] == [exchange.input for exchange in host.requests]
    assert {"h2c"} == {exchange.headers["upgrade"] for exchange in host.requests}
    assert {1} == {exchange.connection for exchange in host.requests}
    host.check()


def test_an_offer_to_upgrade_without_a_body_is_ignored(host):
    fields = "".join(f"{name}: {value}\r\n" for name, value in H2C.items())
    with client_of(host) as client:
        for _ in range(2):
            client.send(f"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
            assert client.until(b"}").startswith(b"HTTP/1.1 200 ")
