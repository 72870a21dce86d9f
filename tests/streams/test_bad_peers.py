"""What is wrong with the other side: a clear error each, in every style."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    NetworkError,
    ProtocolError,
    RunAgentError,
    StreamTruncatedError,
)
from runagent_testing import FakeAgentServer
from tests.support.failing import failure
from tests.support.peer import Peer, PeerConnection, answers, http, sends, sse, upgrade, websocket_frame

if TYPE_CHECKING:
    from tests.support.styles import Style


@pytest.fixture(params=["stream", "invoke"])
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


# What the service refuses


def test_an_unknown_agent(style: Style, transport: str, mode: str, server: FakeAgentServer) -> None:
    error = failure(style, "nobody", base_url=server.url, transport=transport, mode=mode)
    assert type(error) is AgentNotFoundError
    assert "nobody" in str(error)
    assert "check the agent id" in str(error)


def test_a_wrong_key(style: Style, transport: str, mode: str) -> None:
    with FakeAgentServer(api_key="right") as server:
        server.agent("a").always("x").returns("x")
        for key in ("wrong-key", None):
            error = failure(style, "a", base_url=server.url, transport=transport, mode=mode, api_key=key)
            assert (AuthenticationError, 401) == (type(error), error.status)
            assert "RUNAGENT_API_KEY" in str(error)
            assert "wrong-key" not in repr(error)


# A missing peer, or one that is not an agent


def refused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_port_without_a_listener(style: Style, transport: str, mode: str, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{refused_port()}"
    error = failure(style, "a", base_url=url, transport=transport, mode=mode)
    assert (NetworkError, "REFUSED") == (type(error), error.code)
    assert url in str(error)
    assert "is the server running" in str(error)


def test_a_host_that_does_not_exist(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*args: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = failure(style, "a", base_url="http://no-such-host.invalid", max_retries=3)
    assert (NetworkError, "DNS") == (type(error), error.code)
    assert "no-such-host.invalid" in str(error)


def test_https_to_a_plain_port(style: Style, transport: str, server: FakeAgentServer) -> None:
    url = server.url.replace("http://", "https://")
    error = failure(style, "a", base_url=url, transport=transport)
    assert (NetworkError, "TLS") == (type(error), error.code)
    assert "begin with http://" in str(error)


def test_http_to_a_tls_port(style: Style, transport: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FakeAgentServer(ssl_context=context) as server:
        url = server.url.replace("https://", "http://")
        error = failure(style, "a", base_url=url, transport=transport)
    assert type(error) in (NetworkError, ProtocolError)
    assert "scheme" in str(error)
    assert "base_url" in str(error)


HTML = "<html><head><title>It works!</title></head></html>"


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (http(200, HTML, content_type="text/html"), ProtocolError, "It works!"),
        (http(404, HTML, content_type="text/html"), AgentNotFoundError, "It works!"),
        (http(405, HTML), AgentError, "base_url"),
        (http(502, HTML), AgentServerError, "try again later"),
        (b"SSH-2.0-OpenSSH_9.6p1\r\n", ProtocolError, "SSH-2.0-OpenSSH_9.6p1"),
        (b"220 smtp.test ESMTP\r\n", ProtocolError, "220 smtp.test ESMTP"),
        (b"\x00\x01\x02\x1b[31m", ProtocolError, r"\x1b[31m"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", ProtocolError, "base_url"),
    ],
)
def test_a_server_that_is_no_agent(
    style: Style, transport: str, answer: bytes, kind: type, message: str
) -> None:
    with Peer(sends(answer)) as peer:
        error = failure(style, "a", base_url=peer.url, transport=transport)
    assert type(error) is kind
    assert message in str(error)
    assert "base_url" in str(error) or kind is AgentServerError
    assert 600 > len(str(error))
    assert str(error).isprintable()


def test_a_peer_that_closes_at_once(style: Style, transport: str, mode: str) -> None:
    with Peer(lambda connection: connection.read_request()) as peer:
        error = failure(style, "a", base_url=peer.url, transport=transport, mode=mode, max_retries=3)
        assert (NetworkError, "NO_ANSWER") == (type(error), error.code)
        assert "retry_unsafe" in str(error)
        assert 1 == peer.connections


def test_a_peer_that_resets(style: Style, transport: str, mode: str) -> None:
    def act(connection: PeerConnection) -> None:
        connection.read_request()
        connection.reset()

    with Peer(act) as peer:
        error = failure(style, "a", base_url=peer.url, transport=transport, mode=mode, max_retries=3)
        assert (NetworkError, "RESET") == (type(error), error.code)
        assert isinstance(error.__cause__, ConnectionResetError)
        assert 1 == peer.connections


@pytest.mark.parametrize("beginning", [b"H", b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("leave", [lambda _: None, PeerConnection.reset], ids=["FIN", "RST"])
def test_an_answer_that_ends_inside_its_head_is_truncated(
    style: Style, transport: str, mode: str, beginning: bytes, leave: Any
) -> None:
    def act(connection: PeerConnection) -> None:
        connection.read_request()
        connection.send(beginning)
        leave(connection)

    with Peer(act) as peer:
        error = failure(style, "a", base_url=peer.url, transport=transport, mode=mode, max_retries=3)
        assert type(error) is StreamTruncatedError
        assert 1 == peer.connections


CHUNK = ("chunk", {"content": "good"})


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (sse(CHUNK, b"event: chunk\ndata: {oops\n\n"), ProtocolError),
        (sse(CHUNK), StreamTruncatedError),
        (sse(CHUNK, end=False), StreamTruncatedError),
        (sse(CHUNK, ("done", {}), b"event: chunk\ndata: {oops\n\n"), None),
        (
            sse(
                b": beat\n\n",
                ("odd", {}),
                b'data: {"content": "good"}\n\n',
                ("start", {}),
                ("start", {}),
                ("done", {"usage": []}),
            ),
            None,
        ),
        (sse(CHUNK, end=False) + b"zz\r\n", ProtocolError),
    ],
)
def test_odd_streams_end_to_end(style: Style, stream: bytes, kind: type | None) -> None:
    async def scenario() -> tuple[list[str], Any]:
        chunks: list[str] = []
        run = style.client("a", base_url=peer.url).run_generic_stream("x")
        try:
            async for chunk in run:
                chunks.append(chunk)  # noqa: PERF401  # what came before the error counts
        except RunAgentError as exc:
            return chunks, exc
        return chunks, None

    with Peer(answers(stream)) as peer:
        chunks, error = style.run(scenario)
    assert (["good"], kind) == (chunks, None if error is None else type(error))


def test_a_websocket_that_breaks_its_protocol(style: Style) -> None:
    with Peer(upgrade(websocket_frame(b'{"type": "data", "content": "\xff"}'))) as peer:
        error = failure(style, "a", base_url=peer.url, transport="websocket")
    assert type(error) is ProtocolError
    assert "UTF-8" in str(error)


def test_an_answer_that_stalls_after_a_refusals_head_is_that_refusal(style: Style) -> None:
    with Peer(sends(b"HTTP/1.1 401 x\r\nContent-Length: 100\r\n\r\nhalf")) as peer:
        error = failure(style, "a", base_url=peer.url, timeout=0.2)
    assert type(error) is AuthenticationError
