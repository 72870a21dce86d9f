"""A real proxy on the way: tunnels, requests in absolute form, its password, and its own answers."""

from __future__ import annotations

import signal
import ssl
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from runagent import AuthenticationError, NetworkError, RunAgentError, StreamTruncatedError, Timeouts
from runagent_testing import FakeAgentServer, ending, gate
from tests.interop.programs import Port, needs
from tests.interop.tinyproxy import PASSWORD, USER, Tinyproxy
from tests.support.families import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.styles import Style

pytestmark = needs("tinyproxy")

CHUNKS = [f"{i} " for i in range(2000)]
VARIABLE = {"http": "HTTP_PROXY", "https": "HTTPS_PROXY"}


@dataclass
class Way:
    """A proxy, the agents behind it, and what a client needs to trust them."""

    scheme: str
    proxy: Tinyproxy
    context: ssl.SSLContext
    agents: FakeAgentServer

    @property
    def url(self) -> str:
        """The agents' address, by a name that is this machine's but not a loopback name."""
        return f"{self.scheme}://0.0.0.0:{self.agents.url.rpartition(':')[2]}"

    def through(self, password: str | None = PASSWORD, user: str = USER) -> str:
        """The proxy's address, with a password or without."""
        given = "" if password is None else f"{user}:{password}@"
        return f"http://{given}127.0.0.1:{self.proxy.port.number}"

    def client(self, style: Style, **options: Any) -> Any:
        given: dict[str, Any] = {
            "base_url": self.url,
            "proxy": self.through(),
            "ssl_context": self.context,
            "timeout": Timeouts(first_event=10, idle=10, total=20),
            "retry_delay": 0.01,
        }
        return style.client("a", **given | options)


@pytest.fixture(scope="module", params=["http", "https"])
def shared_way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    ca = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.issue_cert("0.0.0.0", "127.0.0.1").configure_cert(server)
    ca.configure_trust(client)
    folder = tmp_path_factory.mktemp("tinyproxy")
    with (
        FakeAgentServer(ssl_context=server if request.param == "https" else None) as agents,
        Port() as port,
        Tinyproxy(folder, port, allowed=int(agents.url.rpartition(":")[2])) as proxy,
    ):
        yield Way(request.param, proxy, client, agents)


@pytest.fixture
def way(shared_way: Way) -> Iterator[Way]:
    yield shared_way
    shared_way.agents.clear()


def test_a_story_comes_through(style: Style, transport: str, way: Way) -> None:
    way.agents.agent("a").always(*CHUNKS).returns("plain")
    before = len(way.proxy.asked())

    async def scenario() -> Any:
        client = way.client(style, transport=transport)
        return await shown(client.run_generic_stream("x")), await client.run_generic("x")

    assert (("ok", CHUNKS), "plain") == style.run(scenario)
    target = way.url.partition("://")[2]
    tunnel, path = f"CONNECT {target} HTTP/1.1", f"POST {way.url}/v1/agents/a/stream HTTP/1.1"
    plainly = way.scheme == "http" and transport != "websocket"
    assert (path if plainly else tunnel) == way.proxy.asked()[before]
    assert all("proxy-authorization" not in request.headers for request in way.agents.requests)


def test_a_chunk_comes_before_the_agent_goes_on(style: Style, transport: str, way: Way) -> None:
    door = gate("door")
    way.agents.agent("a").always("Once", door, " upon")

    async def scenario() -> list[Any]:
        stream = way.client(style, transport=transport).run_generic_stream("x")
        first = await anext(aiter(stream))
        door.open()
        return [first, *[chunk async for chunk in stream]]

    assert ["Once", " upon"] == style.run(scenario)


def test_a_tunnel_is_kept_for_the_next_run(style: Style, way: Way) -> None:
    way.agents.agent("a").always("x")
    before = len(way.proxy.asked())

    async def scenario() -> None:
        client = way.client(style)
        for _ in range(3):
            assert "x" == await client.run_generic_stream("x").text()

    style.run(scenario)
    # tinyproxy serves one request of the absolute form and closes.
    assert (3 if way.scheme == "http" else 1) == len(way.proxy.asked()) - before
    assert (3 if way.scheme == "http" else 1) == way.agents.connections


@pytest.mark.parametrize(
    "given",
    [(None, USER), ("wrong-pa55word", USER), pytest.param((PASSWORD, "nobody"), marks=pytest.mark.interop)],
    ids=["none", "another", "another user's"],
)
def test_a_wrong_password_is_reported_and_not_shown(
    style: Style, transport: str, way: Way, given: tuple[str | None, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    way.agents.agent("a").always("x")

    async def scenario() -> None:
        client = way.client(style, transport=transport, proxy=way.through(*given), api_key="key-unseen")
        await client.run_generic_stream("x").text()

    with pytest.raises(RunAgentError) as caught:
        style.run(scenario)
    # Some versions answer a wrong password with 401, which in the absolute form might be the agent's word.
    refusal = 407 if given[0] is None else way.proxy.answer_to(given[1], given[0])
    assert refusal in (401, 407)
    is_agents_word = refusal == 401 and way.scheme == "http" and transport != "websocket"
    assert caught.value.code == (None if is_agents_word else f"PROXY_{refusal}")
    assert (AuthenticationError if is_agents_word else NetworkError) is type(caught.value)
    assert "password" in str(caught.value)
    assert f"127.0.0.1:{way.proxy.port.number}" in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + caplog.text
    for secret in filter(None, (given[0], "key-unseen")):
        assert secret not in shown
    assert [] == way.agents.requests


def test_a_port_that_the_proxy_does_not_serve(style: Style, way: Way) -> None:
    # In the absolute form tinyproxy lets everything through.
    transport = "websocket" if way.scheme == "http" else "sse"
    client = way.client(style, base_url=f"{way.scheme}://0.0.0.0:1", transport=transport)

    async def scenario() -> None:
        await client.run_generic_stream("x").text()

    with pytest.raises(NetworkError) as caught:
        style.run(scenario)
    assert "PROXY_403" == caught.value.code
    assert way.through(None) in str(caught.value)


# Which proxy


def test_the_environments_proxy(style: Style, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    way.agents.agent("a").always("x")
    monkeypatch.setenv(VARIABLE[way.scheme], way.through())
    before = len(way.proxy.asked())

    async def scenario() -> str:
        return str(await way.client(style, proxy=None).run_generic_stream("x").text())

    assert "x" == style.run(scenario)
    assert 1 == len(way.proxy.asked()) - before


def test_the_argument_comes_before_the_environment(
    style: Style, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    way.agents.agent("a").always("x")
    monkeypatch.setenv(VARIABLE[way.scheme], way.through("wrong"))

    async def scenario() -> str:
        return str(await way.client(style).run_generic_stream("x").text())

    assert "x" == style.run(scenario)


def test_loopback_never_goes_through_the_environments_proxy(
    style: Style, transport: str, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    way.agents.agent("a").always("x")
    monkeypatch.setenv(VARIABLE[way.scheme], way.through())
    monkeypatch.setenv("ALL_PROXY", way.through())
    before = len(way.proxy.asked())

    async def scenario() -> str:
        client = way.client(style, proxy=None, base_url=way.agents.url, transport=transport)
        return str(await client.run_generic_stream("x").text())

    assert "x" == style.run(scenario)
    assert 0 == len(way.proxy.asked()) - before


# Ends


@pytest.mark.interop
@pytest.mark.parametrize("how", ["cut", "reset", "no-done"])
def test_an_agent_that_breaks_off_behind_a_proxy(style: Style, transport: str, way: Way, how: Any) -> None:
    door = gate("door")
    way.agents.agent("a").always("Once", door, ending(how))

    async def scenario() -> Any:
        client = way.client(style, transport=transport, resume=False)
        return await shown(client.run_generic_stream("x"), door)

    assert ("truncated", ["Once"]) == style.run(scenario)


def test_a_proxy_that_is_killed_in_the_middle(style: Style, transport: str, way: Way) -> None:
    door, story = gate("door"), CHUNKS[:200]
    way.agents.agent("a").always(*story[:100], door, *story[100:])

    async def scenario() -> Any:
        stream = way.client(style, transport=transport).run_generic_stream("x")
        chunks = [await anext(aiter(stream)) for _ in range(100)]
        way.proxy.restart(signal.SIGKILL)
        door.open()
        return [*chunks, *[chunk async for chunk in stream]]

    if transport == "websocket":  # which does not number its chunks
        with pytest.raises(StreamTruncatedError) as caught:
            style.run(scenario)
        assert 100 == caught.value.chunks_received
    else:
        assert story == style.run(scenario)
        assert 100 == way.agents.requests[1].body["parameters"]["resume_from_index"]
