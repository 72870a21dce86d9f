"""Neither a key nor a password is in any error, nor in a variable of the frames that its traceback shows."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import socket
import ssl
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trustme

from runagent import RunAgentClient, RunAgentError, Timeouts
from runagent_testing import FakeAgentServer, ending
from tests.support.failing import failure
from tests.support.peer import Peer, PeerConnection, answers, chunked, http, sends, sse
from tests.support.proxy import Proxy
from tests.support.secrets import places_of
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-very-secret-0123456789"
LARGE = {"text": "x" * 30_000_000}


@pytest.fixture(params=["sync", "asyncio", "trio"])
def style(request: pytest.FixtureRequest) -> Style:
    """Each concurrency style in turn; that of uvloop is asyncio's."""
    return Style(request.param)


def error_of(style: Style, **options: Any) -> Any:
    given: dict[str, Any] = {"api_key": KEY, "timeout": 2}
    return failure(style, "a", **given | options)


@pytest.mark.parametrize("mode", ["stream", "invoke"])
@pytest.mark.parametrize(
    "answer",
    [
        http(401, {"error": {"message": f"no {KEY}", "details": {"a": [f"x {KEY}"]}, "request_id": KEY}}),
        http(401, f"<html>unknown key {KEY}</html>"),
        http(503, {"error": {"message": f"busy, {KEY}"}}, retry_after="0"),
        http(422, {"detail": [{"loc": ["header", "authorization"], "msg": f"bad {KEY}", "input": KEY}]}),
        http(307, "", location=f"http://elsewhere.example/?key={KEY}"),
        http(200, f"you sent Authorization: Bearer {KEY}", content_type="text/html"),
        http(200, {"success": False, "error": {"message": f"{KEY} failed"}}),
        f"NOT HTTP, but you sent {KEY}\r\n\r\n".encode(),
        sse(("chunk", {"content": "x"}), ("error", {"error": f"{KEY} is over its limit", "details": KEY})),
        sse(("chunk", {"no": KEY})),
        sse(f"event: chunk\ndata: oops {KEY}\n\n".encode()),
        sse(b"id: 1\n", f"event: chunk\nid: {KEY}\ndata: {{}}\n\n".encode()),
        chunked("text/event-stream", b"data: x", end=False),
        b"HTTP/1.1 200 OK\r\n",
        b"",
    ],
    ids=lambda answer: answer[:12].decode() if isinstance(answer, bytes) else str(answer),
)  # fmt: skip
def test_what_the_peer_sends(style: Style, mode: str, answer: bytes) -> None:
    with Peer(answers(answer)) as peer:
        error = error_of(style, base_url=peer.url, mode=mode, max_retries=1, retry_delay=0)
    assert places_of(KEY, error) == []


def test_a_key_among_the_headers_of_a_call(style: Style) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}

    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, max_retries=0)
        for run in (client.run_generic, client.run_generic_with_metadata):
            with pytest.raises(RunAgentError) as caught:
                await run("x", headers=headers)
            assert places_of(KEY, caught.value) == []

    refusal = http(401, f"what is {KEY}?")
    with Peer(answers(refusal, refusal)) as peer:
        style.run(scenario)


def test_a_websocket_that_is_refused_or_closed(style: Style) -> None:
    with Peer(answers(http(403, f"no {KEY}"))) as peer:
        assert places_of(KEY, error_of(style, base_url=peer.url, transport="websocket")) == []


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_missing_peer(style: Style, transport: str) -> None:
    for url in ("http://127.0.0.1:1", "http://nobody.invalid"):
        assert places_of(KEY, error_of(style, base_url=url, transport=transport, max_retries=0)) == []


@pytest.mark.parametrize("leave", [PeerConnection.reset, lambda _: None], ids=["RST", "FIN"])
def test_a_peer_that_leaves_in_the_middle_of_the_request(style: Style, leave: Any) -> None:
    def act(connection: PeerConnection) -> None:
        connection.socket.recv(1000)
        leave(connection)

    with Peer(act) as peer:
        error = error_of(style, base_url=peer.url, input_data=LARGE)
    assert isinstance(error.__cause__, OSError)
    assert places_of(KEY, error) == []


@pytest.mark.parametrize("phase", ["first_event", "idle", "total"])
def test_a_peer_that_does_not_go_on(style: Style, phase: str) -> None:
    acts = {
        "first_event": sends(),
        "idle": sends(chunked("text/event-stream", b"event: start\ndata: {}\n\n", end=False)),
        "total": sends(),
    }
    with Peer(acts[phase]) as peer:
        error = error_of(style, base_url=peer.url, timeout=Timeouts(**{phase: 0.1}))
        assert places_of(KEY, error) == []


def test_tls_that_fails(style: Style) -> None:
    authority, other = trustme.CA(), trustme.CA()
    server, client = (ssl.SSLContext(p) for p in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    authority.issue_cert("127.0.0.1").configure_cert(server)
    other.configure_trust(client)
    with Peer(sends(), ssl_context=server) as peer:
        assert places_of(KEY, error_of(style, base_url=peer.url, ssl_context=client)) == []
    with Peer(sends(b"plain")) as peer:
        error = error_of(style, base_url=f"https://127.0.0.1:{peer.port}", ssl_context=client)
        assert places_of(KEY, error) == []


PASSWORD = "hunter-twenty-two"


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_proxy_that_refuses(style: Style, transport: str) -> None:
    with Proxy({}, credentials="somebody:else") as proxy:
        url = f"http://u:{PASSWORD}@127.0.0.1:{proxy.port}"
        error = error_of(style, base_url="http://agent.test", transport=transport, proxy=url)
    basic = "dTpodW50ZXItdHdlbnR5LXR3bw"
    assert [places_of(secret, error) for secret in (KEY, PASSWORD, basic)] == [[], [], []]


def test_a_proxy_that_leaves(style: Style) -> None:
    with Peer(PeerConnection.reset) as proxy:
        for url in ("http://agent.test", "https://agent.test"):
            error = error_of(style, base_url=url, proxy=f"http://u:{PASSWORD}@127.0.0.1:{proxy.port}")
            assert places_of(KEY, error) + places_of(PASSWORD, error) == []


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": f"{KEY}\n"},
        {"api_key": f"Bearer {KEY}"},
        {"api_key": [KEY]},
        {"api_key": lambda: f"{KEY} "},
        {"base_url": f"https://user:{KEY}@agent.example"},
        {"base_url": f"https://agent.example/?key={KEY}"},
        {"timeout": -1},
        {"transport": "sees"},
        {"transport_options": {"max_head_bytes": 0}},
        {"transport_options": {"max_hat_bytes": 1}},
        {"transport_options": {"stream_path": "nowhere"}},
        {"headers": {"X": "a\nb"}},
        {"headers": {"X": f"{KEY}\n"}},
        {"headers": {f"Authorization: Bearer {KEY}": "x"}},
        {"headers": {"Host": KEY}},
        {"proxy": f"socks5://u:{KEY}@proxy.example"},
        {"proxy": f"http://u:{KEY}@proxy.example:x"},
        {"proxy": f"http://u:p/{KEY}@proxy.example"},
        {"client_cert": ("nowhere.pem", "nowhere.key", KEY)},
        {"local": True},
        {"host": "x"},
        {"input_data": {"x": {1, 2}}},
    ],
    ids=lambda options: "-".join(options),
)  # fmt: skip
def test_what_is_configured_wrongly(style: Style, options: dict[str, Any]) -> None:
    error = error_of(style, **{"base_url": "https://agent.example"} | options)
    assert places_of(KEY, error) == []


@pytest.mark.parametrize("wrong", ["RUNAGENT_TIMEOUT", "RUNAGENT_API_KEY", "RUNAGENT_PROXY"])
def test_what_is_wrong_in_the_environment(style: Style, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_API_KEY", KEY)
    monkeypatch.setenv(wrong, f" {KEY} {KEY}" if wrong == "RUNAGENT_API_KEY" else f"ftp://u:{KEY}@x")
    error = error_of(style, api_key=None, timeout=None)
    if wrong != "RUNAGENT_TIMEOUT":  # whose value is quoted: it is no place for a secret
        assert places_of(KEY, error) == []


def test_what_is_wrong_in_the_file(style: Style, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.touch(0o600)
    monkeypatch.setenv("RUNAGENT_CONFIG", str(file))
    for text in (
        f'{{"api_key": "{KEY}", "timeout": -1}}',
        f'{{"api_key": "{KEY}", "odd": 1}}',
        f'{{"api_key": "{KEY}"',
    ):
        file.write_text(text)
        assert places_of(KEY, error_of(style, api_key=None)) == []


def test_a_run_that_is_closed_while_it_sends() -> None:
    """KeyboardInterrupt, for example, passes through the frames that hold what is being sent."""

    class Interrupted(BaseException):
        pass

    class Sock(socket.socket):
        def send(self, *_: Any) -> int:
            raise Interrupted

    with Peer(sends()) as peer, pytest.MonkeyPatch.context() as patch:
        patch.setattr("runagent._net.resolve.socket.socket", Sock)
        with pytest.raises(Interrupted) as caught:
            RunAgentClient("a", base_url=peer.url, api_key=KEY).run_generic_stream("x").text()
    assert places_of(KEY, caught.value) == []


@pytest.fixture
def peer_that_does_not_read() -> Iterator[Peer]:
    """A peer that takes no more of a request than its buffers do."""
    over = threading.Event()
    with Peer(lambda _: over.wait(10)) as peer:
        yield peer
        over.set()


def test_a_request_that_is_not_taken_in_time(style: Style, peer_that_does_not_read: Peer) -> None:
    timeout = Timeouts(first_event=0.1)
    error = error_of(style, base_url=peer_that_does_not_read.url, input_data=LARGE, timeout=timeout)
    assert places_of(KEY, error) == []


async def _cancelled(style: Style, read: Any) -> BaseException:
    """Cancel a read and return what has passed through it."""
    seen: list[BaseException] = []

    async def watched() -> None:
        try:
            await read()
        except BaseException as exc:
            seen.append(exc)
            raise

    if style.name == "trio":
        with trio.move_on_after(0.1):
            await watched()
    else:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(watched(), 0.1)
    return seen[0]


@pytest.mark.parametrize("style", ["asyncio", "trio"], indirect=True)
def test_a_request_that_is_cancelled_while_it_is_sent(style: Style, peer_that_does_not_read: Peer) -> None:
    async def scenario() -> BaseException:
        client = style.client("a", base_url=peer_that_does_not_read.url, api_key=KEY)
        return await _cancelled(style, client.run_generic_stream(LARGE).text)

    error = style.run(scenario)
    assert not isinstance(error, Exception)
    assert places_of(KEY, error) == []


@pytest.mark.parametrize("refusal", ["NO {}\r\n\r\n", "HTTP/1.1 200 OK\r\nX: \0{}\r\n\r\n"])
def test_a_proxy_that_repeats_what_authorizes_us(style: Style, refusal: str) -> None:
    basic = base64.b64encode(f"u:{PASSWORD}".encode()).decode()
    with Peer(answers(refusal.format(basic).encode())) as proxy:
        url = f"http://u:{PASSWORD}@127.0.0.1:{proxy.port}"
        error = error_of(style, base_url="https://agent.test", proxy=url)
    assert "opens no tunnel" in str(error)
    assert places_of(basic, error) == []


# What an error leaves behind


@pytest.mark.parametrize(
    ("options", "mode", "given"),
    [
        ({"max_retries": -1}, "stream", "x"),
        ({}, "stream", {"x": {1}}),
        ({"agent_id": "nobody"}, "stream", "x"),
        ({"agent_id": "nobody"}, "invoke", "x"),
        ({"agent_id": "cut"}, "stream", "x"),
        ({"agent_id": "cut", "transport": "websocket"}, "stream", "x"),
        ({"base_url": "http://127.0.0.1:1"}, "stream", "x"),
        ({"base_url": "http://127.0.0.1:1"}, "invoke", "x"),
        ({"agent_id": "silent", "timeout": 0.05}, "stream", "x"),
    ],
)
def test_a_handled_error_is_collected(
    style: Style, server: FakeAgentServer, options: dict[str, Any], mode: str, given: Any
) -> None:
    """It would keep the frames that it came through, and all that is in their variables."""
    server.agent("cut").always("x", ending("cut"))
    server.agent("silent").always(ending("stall"))
    alive: list[weakref.ref[RunAgentError]] = []

    async def scenario() -> bool:
        client = style.client(**{"agent_id": "a", "base_url": server.url, "max_retries": 0} | options)
        try:
            await (client.run_generic(given) if mode == "invoke" else client.run_generic_stream(given).text())
        except RunAgentError as exc:
            alive.append(weakref.ref(exc))
        return alive[0]() is None

    gc.disable()
    try:
        assert style.run(scenario)
    finally:
        gc.enable()
