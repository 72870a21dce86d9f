"""Proxies in every style: absolute form and CONNECT, credentials, the environment."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent import (
    AgentServerError,
    AuthenticationError,
    ConfigurationError,
    NetworkError,
    RunAgentError,
    RunTimeoutError,
)
from runagent_testing import FakeAgentServer
from tests.support.peer import Peer, PeerConnection, answers, http, sends, sse
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from tests.support.styles import Style

TLS = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture(scope="module")
def tls() -> TLS:
    """The server's and the client's TLS context."""
    ca = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.issue_cert("agent.test", "0.0.0.0").configure_cert(server)
    ca.configure_trust(client)
    return server, client


def port(server: FakeAgentServer) -> int:
    return int(server.url.rpartition(":")[2])


def stream(style: Style, url: str, *, times: Any = 1, **options: Any) -> str:
    async def scenario() -> str:
        client = style.client("a", base_url=url, **{"max_retries": 0, "api_key": "key"} | options)
        return "".join([str(await client.run_generic_stream("x").text()) for _ in range(times)])

    return str(style.run(scenario))


def failure(style: Style, url: str, **options: Any) -> RunAgentError:
    with pytest.raises(RunAgentError) as caught:
        stream(style, url, **options)
    return caught.value


@pytest.mark.parametrize("credentials", [None, "user:p@ss w\N{LATIN SMALL LETTER O WITH DIAERESIS}rd"])
def test_http_goes_through_in_absolute_form_and_a_websocket_in_a_tunnel(
    style: Style, transport: str, server: FakeAgentServer, credentials: str | None
) -> None:
    server.agent("a").always("x", {"y": 1})
    with Proxy({"agent.test:80": port(server)}, credentials=credentials) as proxy:
        user = "user:p%40ss%20w%C3%B6rd@" if credentials else ""
        url = f"http://{user}127.0.0.1:{proxy.port}"
        assert 'x{"y":1}' == stream(style, "http://agent.test", transport=transport, proxy=url)
        (request,) = proxy.requests
    if transport == "websocket":
        assert "CONNECT agent.test:80 HTTP/1.1" == request.line
        assert "authorization" not in request.headers
    else:
        assert "POST http://agent.test/v1/agents/a/stream HTTP/1.1" == request.line
    assert "agent.test" == server.requests[0].headers["host"]
    assert "proxy-authorization" not in server.requests[0].headers
    assert "Bearer key" == server.requests[0].raw_headers["authorization"]


@pytest.mark.parametrize("credentials", [None, "u:p"])
def test_tls_goes_through_a_tunnel(style: Style, transport: str, tls: TLS, credentials: str | None) -> None:
    with FakeAgentServer(ssl_context=tls[0]) as server:
        server.agent("a").always(*(f"{i} " for i in range(2000)))
        with Proxy({"agent.test:443": port(server)}, credentials=credentials) as proxy:
            url = f"http://{credentials or ''}{'@' if credentials else ''}127.0.0.1:{proxy.port}"
            options = {"transport": transport, "proxy": url, "ssl_context": tls[1]}
            assert "".join(f"{i} " for i in range(2000)) == stream(style, "https://agent.test", **options)
            assert ["CONNECT agent.test:443 HTTP/1.1"] == [request.line for request in proxy.requests]
            assert "authorization" not in proxy.requests[0].headers


def test_a_tunnel_is_kept(style: Style, tls: TLS) -> None:
    with FakeAgentServer(ssl_context=tls[0]) as server, Proxy({"agent.test:443": port(server)}) as proxy:
        server.agent("a").always("x")
        options = {"proxy": f"127.0.0.1:{proxy.port}", "ssl_context": tls[1], "times": 3}
        assert "xxx" == stream(style, "https://agent.test", **options)
        assert (1, 1) == (len(proxy.requests), server.connections)


@pytest.mark.parametrize("url", ["http://agent.test", "https://agent.test"])
@pytest.mark.parametrize("given", ["", "wrong:another-word@"])
def test_a_proxy_that_wants_another_password(
    style: Style, transport: str, tls: TLS, url: str, given: str
) -> None:
    with Proxy({}, credentials="user:password") as proxy:
        options = {"transport": transport, "ssl_context": tls[1], "max_retries": 3}
        error = failure(style, url, proxy=f"http://{given}127.0.0.1:{proxy.port}", **options)
        assert 1 == len(proxy.requests)
    assert (NetworkError, "PROXY_407") == (type(error), error.code)
    assert "user name and a password" in str(error)
    assert "wrong" not in str(error)
    assert "another-word" not in str(error)
    assert "retry_unsafe" not in str(error)


@pytest.mark.parametrize("status", [407, 401])
@pytest.mark.parametrize("url", ["http://agent.test", "https://agent.test"])
def test_a_proxy_that_does_not_wait_for_the_request_it_refuses(
    style: Style, tls: TLS, url: str, status: int
) -> None:
    def act(connection: PeerConnection) -> None:
        connection.socket.recv(50)
        connection.send(http(status, "x" * 100)[:-10])
        connection.reset()

    with Peer(act) as peer:
        error = failure(style, url, proxy=peer.url, ssl_context=tls[1])
        assert peer.url in str(error)
    plain_401 = status == 401 and url == "http://agent.test"  # which may be the agent's
    assert (AuthenticationError if plain_401 else NetworkError) is type(error)
    assert (None if plain_401 else f"PROXY_{status}") == error.code
    assert "password" in str(error)


def test_a_host_that_the_proxy_cannot_reach(style: Style, tls: TLS) -> None:
    with Proxy({}) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        error = failure(style, "https://agent.test", proxy=url, ssl_context=tls[1])
        assert (NetworkError, "PROXY_502") == (type(error), error.code)
        assert url in str(error)
        plain = failure(style, "http://agent.test", proxy=url)
        assert (AgentServerError, 502) == (type(plain), getattr(plain, "status", None))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"SSH-2.0-x\r\n", "SSH-2.0-x"),
        (b"", "broke off"),
        (b"HTTP/1.1 200 OK\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly", "nobody asked for"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nearly", "nobody asked for"),
        (http(403, "<html>no"), "403"),
        (http(302, location="http://login.test"), "302"),
    ],
)
def test_an_invalid_proxy(style: Style, tls: TLS, answer: bytes, message: str) -> None:
    with Peer(answers(answer)) as peer:
        error = failure(style, "https://agent.test", proxy=peer.url, ssl_context=tls[1])
    assert type(error) is NetworkError
    assert peer.url in str(error)
    assert message in str(error)


@pytest.mark.parametrize(
    "fields", [b"Content-Length: 0", b"Content-Length: 5", b"Transfer-Encoding: chunked"]
)
def test_a_tunnel_has_no_body_whatever_the_proxy_sends(style: Style, tls: TLS, fields: bytes) -> None:
    """RFC 9110 section 9.3.6."""

    def act(connection: PeerConnection) -> None:
        assert connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n")
        connection.socket = tls[0].wrap_socket(connection.socket, server_side=True)
        answers(sse(("chunk", {"content": "x"}), ("done", {})))(connection)
        connection.socket.close()

    with Peer(act) as peer:
        assert "x" == stream(style, "https://agent.test", proxy=peer.url, ssl_context=tls[1])


def test_a_proxy_that_is_silent_costs_the_connect_timeout(style: Style, tls: TLS) -> None:
    with Peer(sends()) as peer:
        error = failure(style, "https://agent.test", proxy=peer.url, ssl_context=tls[1], timeout=0.2)
    assert (RunTimeoutError, "connect") == (type(error), getattr(error, "phase", None))
    assert f"on the way to https://agent.test through the proxy {peer.url}" in str(error)


def test_a_missing_proxy_is_named(style: Style) -> None:
    with Peer() as peer:
        gone = peer.url
    error = failure(style, "http://agent.test", proxy=gone.replace("http://", "http://user:secret@"))
    assert (NetworkError, "REFUSED") == (type(error), error.code)
    assert f"could not connect to the proxy {gone} (from proxy= or the environment)" in str(error)
    assert "secret" not in str(error)


def test_a_wrong_certificate_behind_a_tunnel_is_the_agents_fault(style: Style, tls: TLS) -> None:
    with FakeAgentServer(ssl_context=tls[0]) as server, Proxy({"other.test:443": port(server)}) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        error = failure(style, "https://other.test", proxy=url, ssl_context=tls[1])
    assert (NetworkError, "CERTIFICATE") == (type(error), error.code)
    assert "https://other.test" in str(error)


def test_a_proxy_that_leaves_in_the_middle(style: Style, tls: TLS) -> None:
    def act(connection: PeerConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")

    with Peer(act) as peer:
        error = failure(style, "https://agent.test", proxy=peer.url, ssl_context=tls[1])
    assert type(error) is NetworkError
    assert error.code in ("TLS", "RESET")


# Which proxy


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1:1", "socks5://127.0.0.1:1", "socks5h://u:p@h:1", "http://h:1/path", "http://h:x"],
)
@pytest.mark.parametrize("place", ["argument", "environment"])
def test_other_proxies_are_refused(
    style: Style, monkeypatch: pytest.MonkeyPatch, url: str, place: str
) -> None:
    if place == "environment":
        monkeypatch.setenv("HTTP_PROXY", url)
    error = failure(style, "http://agent.test", **({"proxy": url} if place == "argument" else {}))
    assert (ConfigurationError, "INVALID_PROXY") == (type(error), error.code)
    assert ("HTTP_PROXY" if place == "environment" else "proxy") in str(error)
    assert "http://user:password@host:port" in str(error)


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("HTTP_PROXY", "http://agent.test"),
        ("http_proxy", "http://agent.test"),
        ("ALL_PROXY", "http://agent.test"),
        ("all_proxy", "ws://agent.test"),
        ("HTTPS_PROXY", "https://agent.test"),
        ("https_proxy", "wss://agent.test"),
        ("ALL_PROXY", "https://agent.test"),
    ],
)
def test_the_environments_proxy(
    style: Style, monkeypatch: pytest.MonkeyPatch, tls: TLS, variable: str, url: str
) -> None:
    with FakeAgentServer(ssl_context=tls[0] if url.startswith(("https", "wss")) else None) as server:
        server.agent("a").always("x")
        with Proxy({"agent.test:443": port(server), "agent.test:80": port(server)}) as proxy:
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
            assert "x" == stream(style, url, ssl_context=tls[1])
            assert 1 == len(proxy.requests)


# 0.0.0.0 is this machine as well, but no loopback address: it goes through the environment's proxies.
@pytest.mark.parametrize(
    ("variables", "scheme"),
    [
        ({"HTTPS_PROXY": "{proxy}"}, "http"),
        ({"HTTP_PROXY": "{proxy}"}, "https"),
        ({"ALL_PROXY": "{proxy}", "NO_PROXY": "0.0.0.0"}, "http"),
        ({"ALL_PROXY": "{proxy}", "no_proxy": "*"}, "https"),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "other.test, 0.0.0.0/8"}, "http"),
        ({"HTTP_PROXY": "{proxy}", "http_proxy": ""}, "http"),
        ({"HTTP_PROXY": "{proxy}", "REQUEST_METHOD": "GET"}, "http"),
    ],
)
def test_when_the_environments_proxy_is_passed_by(
    style: Style, monkeypatch: pytest.MonkeyPatch, tls: TLS, variables: dict[str, str], scheme: str
) -> None:
    with FakeAgentServer(ssl_context=tls[0] if scheme == "https" else None) as server, Proxy({}) as proxy:
        server.agent("a").always("x")
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(proxy=f"http://127.0.0.1:{proxy.port}"))
        assert "x" == stream(style, f"{scheme}://0.0.0.0:{port(server)}", ssl_context=tls[1])
        assert 0 == proxy.connections


def test_loopback_never_goes_through_the_environments_proxy(
    style: Style, transport: str, server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.agent("a").always("x")
    with Proxy({}) as proxy:
        for variable in ("HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            assert "x" == stream(style, url, transport=transport)
        assert 0 == proxy.connections


def test_an_explicit_proxy_serves_loopback_too(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always("x")
    with Proxy({f"127.0.0.1:{port(server)}": port(server)}) as proxy:
        assert "x" == stream(style, server.url, proxy=f"http://127.0.0.1:{proxy.port}")
        assert 1 == proxy.connections


def test_an_empty_proxy_switches_the_environments_off(
    style: Style, server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.agent("a").always("x")
    with Proxy({}) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert "x" == stream(style, f"http://0.0.0.0:{port(server)}", proxy="")
        assert 0 == proxy.connections


@pytest.mark.parametrize(
    ("fields", "connections"),
    [({}, 3), ({"connection": "keep-alive"}, 1), ({"proxy_connection": "Keep-Alive"}, 1)],
    ids=["silent", "connection", "proxy-connection"],
)
def test_a_connection_to_a_proxy_that_reads_requests_is_kept_if_it_announces_that(
    style: Style, fields: dict[str, Any], connections: int
) -> None:
    answer = sse(("chunk", {"content": "x"}), ("done", {}), **fields)
    with Peer(answers(answer, answer, answer)) as proxy:
        assert "xxx" == stream(style, "http://agent.test", proxy=proxy.url, times=3)
        assert connections == proxy.connections
