"""The server's life: start, TLS, Unix sockets, gates from any thread, the end."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from urllib.parse import unquote

import pytest
import requests
import trustme
from websockets.sync.client import connect

from runagent_testing import FakeAgentServer, ending, gate
from runagent_testing._server.listener import listen_tcp
from tests.runagent_testing.raw_client import (
    NDJSON,
    PATIENCE,
    SSE,
    STREAM_REQUEST,
    TEXT,
    RawClient,
    connected,
    masked,
    stream,
)

QUICK = 1.0  # seconds


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls_server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with FakeAgentServer(ssl_context=context) as server:
        yield server


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@contextlib.contextmanager
def connected_with_tls(server, context, seconds=PATIENCE):
    port = int(server.url.rpartition(":")[2])
    options = {"server_hostname": "127.0.0.1", "suppress_ragged_eofs": False}
    with (
        socket.create_connection(("127.0.0.1", port), timeout=seconds) as plain,
        context.wrap_socket(plain, **options, do_handshake_on_connect=False) as secure,
    ):
        secure.do_handshake()  # not by wrap_socket, which leaves its socket open at some resets
        yield RawClient(secure)


def test_the_url_names_the_port_and_is_unknown_before_the_start():
    server = FakeAgentServer()
    with pytest.raises(RuntimeError, match="has not started"):
        _ = server.url
    with server:
        host, _, port = server.url.rpartition(":")
        assert ("http://127.0.0.1", True) == (host, port.isdigit())


@pytest.mark.parametrize("host", ["localhost", "::1"])
def test_other_loopback_addresses(host):
    with FakeAgentServer(host=host) as server:
        server.agent("a").always("x")
        with connected(server.url) as client:
            client.send(stream(accept=TEXT))
            assert b"1\r\nx\r\n" in client.until(b"0\r\n\r\n")


def test_start_and_close_by_hand_and_once_more():
    server = FakeAgentServer()
    server.agent("a").always("x")
    for _ in range(2):
        assert server.start() is server
        with pytest.raises(RuntimeError, match="running already"):
            server.start()
        assert requests.post(f"{server.url}/v1/agents/a/stream", json={}, timeout=PATIENCE).ok
        server.close()
        server.close()
    assert 2 == server.connections


def test_a_port_in_use_is_an_error_and_leaves_nothing(server):
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        FakeAgentServer(port=port).start()


def test_a_useless_tls_context_is_an_error_at_the_start():
    with pytest.raises(TypeError):
        FakeAgentServer(ssl_context=True).start()  # type: ignore[arg-type]


def test_starting_and_closing_take_milliseconds():
    FakeAgentServer().start().close()  # what is imported on first use
    assert 0.1 > min(seconds_to_start() for _ in range(5))


def seconds_to_start():
    began = time.perf_counter()
    with FakeAgentServer():
        return time.perf_counter() - began


def test_a_closed_server_does_not_listen():
    with FakeAgentServer() as server:
        pass
    with pytest.raises(ConnectionRefusedError), connected(server.url):
        pass


@pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT, "websocket", "plain", "idle"])
def test_close_is_quick_with_stalled_connections(accept):
    with FakeAgentServer() as server, contextlib.ExitStack() as clients:
        server.agent("a").always("word", ending("stall")).returns(ending("stall"))
        for _ in range(20):
            client = clients.enter_context(connected(server.url))
            if accept == "websocket":
                client.open_websocket()
                client.until(b"word")
            elif accept == "plain":
                client.send(b"POST /v1/agents/a/invoke HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}")
            elif accept != "idle":
                client.send(stream(accept=accept))
                client.until(b"word")
        began = time.perf_counter()
        server.close()
        assert time.perf_counter() - began < QUICK
    assert {"server closed"} >= {exchange.outcome for exchange in server.requests}


def test_close_is_quick_while_a_client_reads_nothing():
    with FakeAgentServer() as server:
        server.agent("a").always("x" * 16_000_000)  # more than sockets hold
        with connected(server.url) as client:
            client.send(stream())
            client.until(b"\r\n\r\n")
            began = time.perf_counter()
            server.close()
            assert time.perf_counter() - began < QUICK
    assert "server closed" == server.requests[0].outcome


def test_close_is_quick_in_the_middle_of_a_request_body():
    with FakeAgentServer() as server, connected(server.url) as client:
        client.send(b"POST /v1/agents/a/invoke HTTP/1.1\r\ncontent-length: 100\r\n\r\n{")
        wait_for_connection(server)
        server.close()
    assert [] == server.requests


def test_close_is_quick_in_the_middle_of_a_tls_handshake(tls_server):
    with connected(tls_server.url):
        wait_for_connection(tls_server)
        began = time.perf_counter()
        tls_server.close()
        assert time.perf_counter() - began < QUICK


def wait_for_connection(server):
    deadline = time.monotonic() + PATIENCE
    while not server.connections and time.monotonic() < deadline:
        time.sleep(0.001)
    assert server.connections


def test_a_gate_is_opened_from_any_thread(server):
    door = gate("door")
    server.agent("a").always("before", door, "after")
    with connected(server.url) as client:
        client.send(stream(accept=TEXT))
        assert client.until(b"\r\nbefore\r\n")
        opener = threading.Thread(target=door.open)
        opener.start()
        assert client.until(b"0\r\n\r\n").endswith(b"after\r\n0\r\n\r\n")
        opener.join()
        client.send(stream(accept=TEXT))
        assert b"before\r\n5\r\nafter" in client.until(b"0\r\n\r\n")  # it stays open


def test_a_gate_of_a_closed_server_can_still_be_opened():
    door = gate("door")
    with FakeAgentServer() as server:
        server.agent("a").always("before", door)
        with connected(server.url) as client:
            client.send(stream())
            client.until(b"before")
    door.open()
    assert "running" != server.requests[0].outcome


def test_tls_carries_every_protocol(tls_server, trusting, authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls_server.agent("a").always("x").returns(1)
    assert tls_server.url.startswith("https://127.0.0.1:")
    with requests.Session() as session:
        session.trust_env = False  # a CA bundle named there would win
        session.verify = str(tmp_path / "ca.pem")
        asked = session.post(
            f"{tls_server.url}/v1/agents/a/stream", json={}, headers={"Accept": TEXT}, timeout=PATIENCE
        )
        assert "x" == asked.text
        assert (
            1
            == session.post(f"{tls_server.url}/v1/agents/a/invoke", json={}, timeout=PATIENCE).json()[
                "result"
            ]
        )
    url = tls_server.url.replace("https", "wss") + "/api/v1/agents/a/run-stream"
    with connect(url, ssl=trusting, proxy=None) as websocket:
        websocket.send(json.dumps(STREAM_REQUEST))
        assert "stream_started" in websocket.recv(timeout=PATIENCE)


@pytest.mark.parametrize("kind", ["cut", "half-close", "reset"])
def test_a_broken_ending_over_tls_sends_no_close_notify(tls_server, trusting, kind):
    tls_server.agent("a").always("word", ending(kind))
    with connected_with_tls(tls_server, trusting) as client:
        client.send(stream(accept=TEXT))
        client.until(b"word\r\n")
        # Past the TLS layer, which calls both a premature end: no close_notify, and how TCP ended.
        if kind != "reset":
            assert b"" == socket.socket.recv(client.socket, 65536)
        else:
            with pytest.raises(ConnectionResetError):
                socket.socket.recv(client.socket, 65536)


@pytest.mark.parametrize("fault", ["close", "reset", "silent"])
def test_a_spoilt_connection_never_reaches_the_handshake(tls_server, trusting, fault):
    tls_server.on_connect(fault)
    with pytest.raises((OSError, TimeoutError)), connected_with_tls(tls_server, trusting, seconds=0.1):
        pass
    tls_server.agent("a").always("word")
    with connected_with_tls(tls_server, trusting) as client:
        client.send(stream(accept=TEXT))
        client.until(b"word\r\n0\r\n\r\n")


def test_a_unix_socket_serves_and_is_removed(tmp_path):
    path = tmp_path / "agent.sock"
    with FakeAgentServer(unix_path=path) as server:
        server.agent("a").always("x")
        assert str(path) == unquote(server.url.removeprefix("http+unix://"))
        assert "/" not in server.url.removeprefix("http+unix://")
        with contextlib.closing(http.client.HTTPConnection("localhost", timeout=PATIENCE)) as client:
            client.sock = socket.socket(socket.AF_UNIX)
            client.sock.connect(str(path))
            for _ in range(3):
                client.request("POST", "/v1/agents/a/stream", "{}", {"Accept": TEXT})
                assert b"x" == client.getresponse().read()
    assert not path.exists()
    assert 1 == server.connections


def test_the_url_of_a_relative_unix_path_holds_in_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with FakeAgentServer(unix_path="agent.sock") as server:
        monkeypatch.chdir("/")
        assert str(tmp_path / "agent.sock") == unquote(server.url.removeprefix("http+unix://"))
        assert (tmp_path / "agent.sock").is_socket()
    assert not (tmp_path / "agent.sock").exists()


def test_a_unix_path_in_use_is_an_error_and_leaves_it_alone(tmp_path):
    path = tmp_path / "agent.sock"
    with FakeAgentServer(unix_path=path):
        with pytest.raises(OSError, match="in use"):
            FakeAgentServer(unix_path=path).start()
        assert path.exists()


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_broken_ending_on_a_unix_socket_is_an_end(tmp_path, kind):
    with FakeAgentServer(unix_path=tmp_path / "s") as server:
        server.agent("a").always("word", ending(kind))
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(PATIENCE)
            plain.connect(str(tmp_path / "s"))
            client = RawClient(plain)
            client.send(stream(accept=TEXT))
            assert (True, "fin") == ((rest := client.rest())[0].endswith(b"word\r\n"), rest[1])


def test_connections_are_numbered(server):
    server.agent("a").always("x")
    for _ in range(2):
        with connected(server.url) as client:
            for _ in range(2):
                client.send(stream())
                client.until(b"0\r\n\r\n")
    assert [1, 1, 2, 2] == [exchange.connection for exchange in server.requests]


def test_an_agent_is_made_once(server):
    assert server.agent("a") is server.agent("a")
    assert server.agent("a") is not server.agent("b")


def test_a_websocket_that_never_asks_uses_no_reply_up(server):
    server.agent("a").reply("kept").always("usual")
    with connected(server.url) as client:
        client.send(
            b"GET /api/v1/agents/a/run-stream HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        client.until(b"\r\n\r\n")
        client.send(masked(8, b"\x03\xe8"))
        client.rest()
    with connected(server.url) as client:
        client.send(stream(accept=TEXT))
        assert b"kept" in client.until(b"0\r\n\r\n")


def test_a_client_that_vanishes_is_noticed():
    """A connection inherits what its listener has, as long as nobody reads it, too."""
    (listener,) = listen_tcp("127.0.0.1", 0)
    with listener, socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert 1 == accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert 45 == accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
