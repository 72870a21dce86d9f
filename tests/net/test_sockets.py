"""The client's sockets: options, several addresses at once, and a port that leads back to the client."""

from __future__ import annotations

import ast
import contextlib
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import runagent
from runagent import (
    AgentError,
    ConfigurationError,
    NetworkError,
    RunAgentClient,
    RunTimeoutError,
    StreamError,
)
from runagent._net import aio_dial, blocking_dial, sockets, trio_dial
from runagent._net.resolve import candidates_from
from runagent_testing import FakeAgentServer
from tests.support.cancelling import cancelled_at
from tests.support.peer import Peer, answers, sse
from tests.support.proxy import Proxy
from tests.support.styles import STYLES, Style
from tests.support.watched_sockets import DEAD, DEFAULTS, LONG, OTHER_DEAD, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM = sse(("chunk", {"content": "x"}), ("done", {}))


@pytest.fixture(params=[*STYLES, "transports"])
def style(request: pytest.FixtureRequest) -> Style:
    """Each style, and asyncio once more on a loop that does not watch sockets."""
    return Style(request.param)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watch the sockets of the client; two addresses swallow what is sent to them."""
    queue = socket.create_server(("127.0.0.1", 0), backlog=0)
    # Linux drops a SYN that finds no place in the queue.
    with queue, socket.create_connection(queue.getsockname()):
        watch = Watch(queue)
        names = {name: getattr(socket, name) for name in dir(socket)} | {"socket": watch.make}
        monkeypatch.setattr(sockets, "socket", SimpleNamespace(**names))
        monkeypatch.setattr(socket, "getaddrinfo", watch.look_up)
        yield watch


async def text(style: Style, url: str, **options: Any) -> str:
    client = style.client("a", base_url=url, **{"max_retries": 0} | options)
    return str(await client.run_generic_stream("x").text())


# Options


@contextlib.contextmanager
def straight() -> Iterator[tuple[str, dict[str, Any]]]:
    with FakeAgentServer() as server:
        server.agent("a").always("x")
        yield server.url, {}


@contextlib.contextmanager
def by_name() -> Iterator[tuple[str, dict[str, Any]]]:
    with straight() as (url, _):
        yield url.replace("127.0.0.1", "localhost"), {}


@contextlib.contextmanager
def through_a_proxy() -> Iterator[tuple[str, dict[str, Any]]]:
    with straight() as (url, _), Proxy({"agent.test:80": int(url.rpartition(":")[2])}) as proxy:
        yield "http://agent.test", {"proxy": proxy.url}


@pytest.mark.parametrize("way", [straight, by_name, through_a_proxy])
def test_a_peer_that_vanishes_is_noticed(style: Style, transport: str, way: Any, watch: Watch) -> None:
    async def scenario() -> None:
        await text(style, url, transport=transport, **options)
        with contextlib.suppress(AgentError):  # the agent has no answer to a plain run
            await style.client("a", base_url=url, transport=transport, **options).run_generic("x")

    with way() as (url, options):
        style.run(scenario)
    assert watch.options
    assert [DEFAULTS] * len(watch.options) == watch.options


def test_given_options_replace_the_defaults(style: Style, watch: Watch) -> None:
    given = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000), [socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 7]]

    async def scenario() -> None:
        assert "x" == await text(style, url, socket_options=given)
        assert "x" == await text(style, url, socket_options=())

    with straight() as (url, _):
        style.run(scenario)
    first, *_, last = watch.options
    assert (0, 7, 0) == (first["SO_KEEPALIVE"], first["TCP_KEEPIDLE"], first["TCP_NODELAY"])
    assert (0, 7200, 0) == (last["SO_KEEPALIVE"], last["TCP_KEEPIDLE"], last["TCP_USER_TIMEOUT"])


def test_a_unix_socket_takes_what_it_knows_of_them(style: Style, tmp_path: Path, watch: Watch) -> None:
    given = [(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]

    async def scenario() -> None:
        for options in ({}, {"socket_options": given}):
            assert "x" == await text(style, server.url, **options)

    with FakeAgentServer(unix_path=tmp_path / "s") as server:
        server.agent("a").always("x")
        style.run(scenario)
    assert 2 == len(watch.sockets)


@pytest.mark.parametrize("given", [(6, 9999, 1), (1, 9, 1 << 70)])
def test_an_option_that_the_system_refuses(style: Style, given: Any, watch: Watch) -> None:
    async def scenario() -> None:
        with pytest.raises(ConfigurationError, match="socket_options: the system refuses") as caught:
            await text(style, "http://agent.test", socket_options=[given], max_retries=3)
        assert "INVALID_SOCKET_OPTION" == caught.value.code

    watch.names = [("127.0.0.1", 1), ("127.0.0.2", 1)]
    style.run(scenario)
    assert (1, 0) == (len(watch.sockets), watch.left_open)


@pytest.mark.parametrize("given", [5, "text", [1], [(1, 2)], [(1, 2, "x")], [(1, None, 2)]])
def test_invalid_options(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"socket_options: expected \(level, option, value\)"):
        RunAgentClient("a", socket_options=given)


def test_a_system_that_lacks_options_goes_without(
    style: Style, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_USER_TIMEOUT"):
        monkeypatch.delattr(vars(sockets)["socket"], name)
    with straight() as (url, _):
        assert "x" == style.run(lambda: text(style, url))
    assert (1, 7200, 3) == tuple(watch.options[0][n] for n in ("SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_KEEPCNT"))


def test_every_socket_of_the_client_is_made_in_one_place() -> None:
    """What is made elsewhere would have none of the options, and might be connected to itself."""
    makers = {
        "socket",
        "socketpair",
        "fromfd",
        "create_connection",
        "open_connection",
        "open_unix_connection",
    }
    makers |= {"create_unix_connection", "open_tcp_stream", "open_unix_socket", "HTTPConnection"}
    root = Path(runagent.__file__).parents[1]
    sources = [*root.glob("runagent/**/*.py"), *root.glob("plugins/*/runagent_*/**/*.py")]
    found = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in makers
        and not any(keyword.arg == "sock" for keyword in node.keywords)
    ]
    assert ["runagent/_net/sockets.py"] == [place.partition(":")[0] for place in found], found


# Several addresses


def test_a_dead_address_costs_a_moment(style: Style, transport: str, watch: Watch) -> None:
    async def scenario() -> str:
        return await text(style, "http://agent.test", transport=transport, timeout=LONG)

    with FakeAgentServer() as server:
        server.agent("a").always("x")
        watch.names = [DEAD, OTHER_DEAD, ("127.0.0.1", int(server.url.rpartition(":")[2]))]
        begin = time.monotonic()
        assert "x" == style.run(scenario)
    assert time.monotonic() - begin < LONG / 3  # the share of `connect` that each address would have
    assert 3 == len(watch.sockets)


def test_only_the_first_to_answer_stays_open(style: Style, watch: Watch) -> None:
    async def scenario() -> None:
        async with style.client("a", base_url="http://agent.test") as client:
            assert "x" == await client.run_generic_stream("x").text()
            assert (3, 1) == (len(watch.sockets), watch.left_open)

    with Peer(answers(STREAM)) as peer:
        watch.names = [DEAD, OTHER_DEAD, ("127.0.0.1", peer.port)]
        style.run(scenario)


def test_a_refusal_leads_to_the_next_address_at_once(
    style: Style, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (aio_dial, blocking_dial, trio_dial):
        monkeypatch.setattr(module, "ATTEMPT_SECONDS", 10 * LONG)
    with Peer(answers(STREAM)) as peer:
        watch.names = [("127.0.0.9", peer.port), ("127.0.0.1", peer.port)]
        begin = time.monotonic()
        assert "x" == style.run(lambda: text(style, "http://agent.test"))
    assert time.monotonic() - begin < LONG


def test_a_slow_address_has_all_the_time_there_is(style: Style, watch: Watch) -> None:
    """It answers the second SYN, a second after the first; before, it had half of the limit."""

    def make_room() -> None:
        watch.wait_for_attempts(2)
        watch.queue.settimeout(LONG)
        watch.queue.accept()[0].close()
        with watch.queue.accept()[0] as sock:
            sock.recv(10_000)
            sock.sendall(STREAM)

    thread = threading.Thread(target=make_room)
    thread.start()
    watch.names = [DEAD, ("127.0.0.9", 1)]
    try:
        assert "x" == style.run(lambda: text(style, "http://agent.test", timeout=1.9))
    finally:
        thread.join()


def test_no_address_answers(style: Style, watch: Watch) -> None:
    async def scenario() -> None:
        with pytest.raises(RunTimeoutError) as caught:
            await text(style, "http://agent.test", timeout=0.4)
        assert "connect" == caught.value.phase

    watch.names = [("127.0.0.9", 1), DEAD, OTHER_DEAD]
    style.run(scenario)
    assert (3, 0) == (len(watch.sockets), watch.left_open)


def test_every_address_refuses(style: Style, watch: Watch) -> None:
    async def scenario() -> None:
        with pytest.raises(NetworkError) as caught:
            await text(style, "http://agent.test")
        assert "REFUSED" == caught.value.code

    watch.names = [("127.0.0.8", 1), ("127.0.0.9", 1)]
    style.run(scenario)
    assert (2, 0) == (len(watch.sockets), watch.left_open)


def test_closing_in_between_leaves_nothing_open(style: Style, watch: Watch) -> None:
    async def scenario() -> None:
        stream = style.client("a", base_url="http://agent.test", timeout=LONG).run_generic_stream("x")

        async def close() -> None:
            await style.in_thread(watch.wait_for_attempts, 2)
            await stream.aclose()

        with pytest.raises(StreamError, match="closed while it was being read"):
            await style.beside(stream.__anext__, close)
        await style.settle()
        assert 0 == watch.left_open

    watch.names = [DEAD, OTHER_DEAD]
    style.run(scenario)


@pytest.mark.parametrize(
    ("name", "moment"),
    [*((name, "waiting") for name in STYLES[1:]), ("asyncio", "woken"), ("uvloop", "woken")],
)
def test_cancelling_at_any_wait_leaves_nothing_open(
    name: str, moment: Any, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = Style(name)

    async def scenario() -> None:
        for n in range(1, 100):
            client = style.client("a", base_url="http://agent.test")
            stream = client.run_generic_stream("x")
            cancelled = await cancelled_at(n, stream.__anext__, name, moment)
            await stream.aclose()
            await client.aclose()
            await style.settle()
            assert 0 == watch.left_open
            if not cancelled:
                return
        raise AssertionError("it waits without end")

    for module in (aio_dial, trio_dial):
        monkeypatch.setattr(module, "ATTEMPT_SECONDS", 0.01)
    with Peer(answers(STREAM)) as peer:
        watch.names = [DEAD, ("127.0.0.9", 1), ("127.0.0.1", peer.port)]
        style.run(scenario)


def test_families_take_turns() -> None:
    v6 = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (f"::{n}", 80, 0, 0)) for n in range(3)]
    v4 = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", 80)) for n in range(2)]
    found = [candidate[3][0] for candidate in candidates_from([*v6, *v4, v4[0]])]
    assert ["::0", "127.0.0.0", "::1", "127.0.0.1", "::2"] == found


# A port that leads back


@pytest.mark.parametrize("way", ["http", "https", "proxy"])
def test_a_connection_to_itself_is_no_connection(
    style: Style, transport: str, way: str, watch: Watch
) -> None:
    """The kernel may give the client the very port that it asks for, if no server listens on it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    urls = {"http": f"http://127.0.0.1:{port}", "https": f"https://127.0.0.1:{port}"}
    options = {"proxy": urls["http"]} if way == "proxy" else {}

    async def scenario() -> None:
        with pytest.raises(NetworkError) as caught:
            await text(style, urls.get(way, "http://agent.test"), transport=transport, **options)
        assert "REFUSED" == caught.value.code

    watch.bound_to = port
    style.run(scenario)
    assert 0 == watch.left_open
