"""http+unix: an agent behind a Unix socket."""

from __future__ import annotations

import os
import socket
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ConfigurationError, NetworkError, RunTimeoutError
from runagent._net import resolve
from runagent_testing import FakeAgentServer
from tests.support.peer import Peer, answers, sse

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.styles import Style


def stream(style: Style, url: str, *, times: int = 1, **options: Any) -> str:
    async def scenario() -> str:
        client = style.client("a", base_url=url, **options)
        return "".join([str(await client.run_generic_stream("x").text()) for _ in range(times)])

    return str(style.run(scenario))


def test_every_transport_goes_through_a_unix_socket(style: Style, transport: str, tmp_path: Path) -> None:
    with FakeAgentServer(unix_path=tmp_path / "a b%.sock") as server:
        server.agent("a").always("a", {"b": 1}, "x" * 100_000)
        assert 'a{"b":1}' + "x" * 100_000 == stream(style, server.url, transport=transport)


def test_the_host_is_localhost_and_the_prefix_is_kept(style: Style, tmp_path: Path) -> None:
    with Peer(answers(sse(("chunk", {"content": "x"}), ("done", {}))), unix_path=str(tmp_path / "s")) as peer:
        assert "x" == stream(style, f"{peer.url}/prefix/v1")
        (request,) = peer.requests
    assert ("/prefix/v1/agents/a/stream", "localhost") == (request.target, request.headers["host"])


def test_the_connection_is_kept(style: Style, tmp_path: Path) -> None:
    with FakeAgentServer(unix_path=tmp_path / "s") as server:
        server.agent("a").always("x")
        assert "xxx" == stream(style, server.url, times=3)
        assert 1 == server.connections


def test_no_proxy_is_asked(style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with FakeAgentServer(unix_path=tmp_path / "s") as server:
        server.agent("a").always("x")
        assert "x" == stream(style, server.url)
        assert "x" == stream(style, server.url, proxy="http://127.0.0.1:1")


@pytest.mark.parametrize("stale", [True, False])
def test_a_socket_without_a_server(style: Style, tmp_path: Path, stale: bool) -> None:
    path = tmp_path / "s"
    if stale:
        with Peer(unix_path=str(path)):
            pass
    assert stale == path.exists()
    with pytest.raises(NetworkError, match="could not connect to http") as caught:
        stream(style, f"http+unix://{str(path).replace('/', '%2F')}", max_retries=0)
    assert "REFUSED" == caught.value.code
    assert os.path.basename(path) in str(caught.value)  # noqa: PTH119


def test_a_full_queue_is_waited_for(style: Style, tmp_path: Path) -> None:
    """The kernel refuses to note the attempt, and reports the socket as writable all the same."""
    path = str(tmp_path / "s")

    def make_room() -> None:
        listener.accept()[0].close()
        with listener.accept()[0] as sock:
            sock.recv(10_000)
            sock.sendall(sse(("chunk", {"content": "x"}), ("done", {})))

    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        listener.settimeout(10)
        first.connect(path)
        url = f"http+unix://{path.replace('/', '%2F')}"
        with pytest.raises(RunTimeoutError, match="no connection within"):
            stream(style, url, max_retries=0, timeout=0.1)
        thread = threading.Thread(target=make_room)
        thread.start()
        try:
            assert "x" == stream(style, url, max_retries=0)
        finally:
            thread.join()


def test_a_path_that_no_unix_socket_can_have(style: Style, tmp_path: Path) -> None:
    """Linux takes 107 bytes; nothing else about the path is wrong."""
    folder = f"{tmp_path}/"
    longest = folder + "x" * (107 - len(folder))
    with Peer(answers(sse(("chunk", {"content": "x"}), ("done", {}))), unix_path=longest) as peer:
        assert "x" == stream(style, peer.url)
    with pytest.raises(ConfigurationError, match="must not be longer than 107 bytes") as caught:
        stream(style, peer.url + "x")
    assert "INVALID_BASE_URL" == caught.value.code


@pytest.fixture
def without_unix_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {name: getattr(socket, name) for name in dir(socket) if name != "AF_UNIX"}
    monkeypatch.setattr(resolve, "socket", SimpleNamespace(**others))


@pytest.mark.usefixtures("without_unix_sockets")
def test_a_system_without_unix_sockets_is_reported(style: Style) -> None:
    with pytest.raises(NetworkError, match="this system has no Unix sockets"):
        stream(style, "http+unix://%2Frun%2Fagent.sock", max_retries=0)


@pytest.mark.usefixtures("without_unix_sockets")
def test_a_system_without_unix_sockets_has_others(style: Style) -> None:
    with Peer(answers(sse(("chunk", {"content": "x"}), ("done", {})))) as peer:
        assert "x" == stream(style, peer.url)
