"""How and when a client disconnected, and what it had not taken: the journal's word on it."""

from __future__ import annotations

import socket
import ssl
import sys
import threading

import pytest
import trustme

from runagent import RunAgentClient
from runagent._net.base import ConnectAttempt
from runagent_testing import FakeAgentServer, MemoryNetwork, ending, gate
from runagent_testing._server import connection as serving
from runagent_testing._server.tcpinfo import is_half_closed
from tests.runagent_testing.raw_client import PATIENCE, TEXT, connected, masked, post, stream

KNOWN = sys.platform == "linux"  # only Linux shows what was acknowledged, and who holds the other end


@pytest.mark.parametrize(("leave", "how"), [("close", "closed"), ("abort", "reset")])
def test_how_and_when_the_client_disconnected(server, leave, how):
    server.agent("a").always("x", gate("never"))
    with connected(server.url) as client:
        client.send(stream())
        client.until(b'"x"')
        client.until(b"\r\n")
        exchange = server.wait_request()
        assert ("still reading", None) == (exchange.client, exchange.disconnected_at)
        client.abort() if leave == "abort" else client.socket.close()
        assert exchange.wait_disconnected(PATIENCE)
        assert not exchange.wait_done(PATIENCE)  # the plan ends a moment later
    assert (how, "client disconnected") == (exchange.client, exchange.outcome)
    assert exchange.sent[0].seconds <= exchange.disconnected_at <= PATIENCE


def test_what_the_client_had_not_taken_is_counted(server):
    server.agent("a").always(*["x" * 1_000_000] * 40).returns("y" * 20_000_000)
    with connected(server.url) as client:
        client.send(post("/v1/agents/a/invoke"))
        client.until(b"}}")
        client.send(stream(accept=TEXT))
        client.until(b"\r\n\r\n")
        exchange = server.wait_request(2)
        assert exchange.wait_sent(1)
        client.abort()
        assert exchange.wait_disconnected(PATIENCE)
    written = sum(len(sent.data) for sent in exchange.sent)
    assert KNOWN == (exchange.unread_bytes is not None)
    assert not KNOWN or 0 < exchange.unread_bytes < written + 2_000_000


def test_a_client_that_has_read_all_leaves_nothing_unread(server):
    server.agent("a").always("x", ending("stall"))
    with connected(server.url) as client:
        client.send(post("/v1/agents/a/invoke"))
        client.until(b"}}")
        client.send(stream())
        client.until(b'"x"')
        client.until(b"\r\n")
    exchange = server.wait_request(2)
    assert exchange.wait_disconnected(PATIENCE)
    assert ("closed", 0 if KNOWN else None) == (exchange.client, exchange.unread_bytes)


@pytest.fixture(params=["127.0.0.1", "::1", "unix"])
def local(request, tmp_path):
    """A server on each kind of socket; of a client of the same machine the kernel knows all."""
    options = {"unix_path": tmp_path / "s"} if request.param == "unix" else {"host": request.param}
    with FakeAgentServer(**options) as server:
        yield server


@pytest.mark.parametrize(("leave", "how"), [("half_close", "half-closed"), ("close", "closed")])
def test_a_client_that_may_still_read_is_distinguished_from_one_that_is_gone(local, leave, how):
    local.agent("a").always("x", ending("stall"))
    with connected(local.url) as client:
        client.send(stream())
        client.until(b'"x"')
        client.until(b"\r\n")
        client.socket.shutdown(socket.SHUT_WR) if leave == "half_close" else client.socket.close()
        exchange = local.wait_request()
        assert exchange.wait_disconnected(PATIENCE)
        assert (how if KNOWN else "closed") == exchange.client
        if leave == "half_close":
            assert (b"", "fin") == client.rest()


def test_the_first_sign_of_a_disconnection_counts(server, monkeypatch):
    looked = threading.Semaphore(0)

    def look(connection):
        looked.release()
        return is_half_closed(connection)

    monkeypatch.setattr(serving, "is_half_closed", look)
    server.agent("a").always(*["x" * 1_000_000] * 40)
    with connected(server.url) as client:
        client.send(stream(accept=TEXT))
        client.until(b"\r\n\r\n")
        exchange = server.wait_request()
        assert not exchange.wait_done(0.05)  # held up
        client.socket.shutdown(socket.SHUT_WR)
        assert looked.acquire(timeout=PATIENCE)
        assert not exchange.wait_disconnected(0.05)  # it may still read what is on its way
        assert not KNOWN or looked.acquire(timeout=PATIENCE)  # the second look
        client.abort()
        assert exchange.wait_disconnected(PATIENCE)
    assert ("half-closed" if KNOWN else "closed") == exchange.client


def test_over_tls_the_number_of_unread_bytes_is_unknown():
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with FakeAgentServer(ssl_context=context) as server:
        server.agent("a").always("x", gate("never"))
        with connected(server.url) as client:
            client.socket = trusting.wrap_socket(client.socket, server_hostname="127.0.0.1")
            client.send(stream())
            client.until(b'"x"')
            client.socket.close()
        exchange = server.wait_request()
        assert exchange.wait_disconnected(PATIENCE)
    assert exchange.unread_bytes is None


def test_memory_knows_a_half_close_and_what_was_not_read():
    memory = MemoryNetwork()
    memory.agent("a").always("x" * 1000, gate("never"))
    network = memory.blocking
    for leave in ("close_write", "abort"):
        connection = network.connect(_address(memory), float("inf"), ConnectAttempt())
        connection.send(stream(accept=TEXT), float("inf"))
        connection.receive(100, float("inf"))
        getattr(connection, leave)()
    half, whole = memory.requests
    assert ("half-closed", "closed") == (half.client, whole.client)
    assert len(half.sent[0].data) - 100 == half.unread_bytes == whole.unread_bytes


def _address(memory):
    from runagent._address.route import Address
    from runagent._address.url import parse_base_url

    return Address(parse_base_url(memory.url).origin)


def test_a_websocket_client_ends_with_a_close(server):
    server.agent("a").always("x", ending("stall"))
    with connected(server.url) as client:
        client.open_websocket()
        assert server.wait_request().wait_sent(1)
        client.send(masked(0x8, b"\x03\xe8"))
        assert server.requests[0].wait_disconnected(PATIENCE)
    exchange = server.requests[0]
    assert ("closed", "GET") == (exchange.client, exchange.method)
    handshake, answer_to_close = exchange.unplanned
    assert handshake.data.startswith(b"HTTP/1.1 101 ")
    assert b"\x88\x02\x03\xe8" == answer_to_close.data
    assert exchange.sent[0] == handshake


def test_the_end_of_a_websocket_run_is_done_and_then_the_client_leaves(server):
    server.agent("a").always("x")
    with RunAgentClient("a", base_url=server.url, transport="websocket") as client:
        assert "x" == client.run_generic_stream("q").text()
    exchange = server.wait_request()
    assert exchange.wait_disconnected(PATIENCE)
    assert ("done", "closed") == (exchange.outcome, exchange.client)


def test_after_a_half_close_the_client_leaves_last(server):
    server.agent("a").always("x", ending("half-close"))
    with connected(server.url) as client:
        client.send(stream())
        client.rest()
        exchange = server.wait_request()
        assert exchange.wait_done(PATIENCE)
        assert not exchange.wait_disconnected(0)
    assert exchange.wait_disconnected(PATIENCE)
    assert ("done", "closed") == (exchange.outcome, exchange.client)


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_an_end_by_the_agent_is_no_disconnection_of_the_client(server, end):
    server.agent("a").always("x", ending(end))
    with connected(server.url) as client:
        client.send(stream())
        client.rest()
    exchange = server.wait_request()
    assert exchange.wait_done(PATIENCE)
    assert not exchange.wait_disconnected(PATIENCE)
    assert "still reading" == exchange.client
