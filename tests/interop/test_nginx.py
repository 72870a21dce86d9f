"""A real nginx between client and agent: promptness, the truth of the end, and nginx's own pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentError,
    AgentServerError,
    RunAgentError,
    RunTimeoutError,
    StreamTimeoutError,
    Timeouts,
)
from runagent_testing import delay, ending, gate, head, heartbeat, status
from tests.interop.nginx import HTTP_LOCATIONS, WEBSOCKET_LOCATIONS
from tests.interop.programs import needs
from tests.support.families import shown

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer, Gate
    from tests.interop.nginx import Nginx
    from tests.support.styles import Style

pytestmark = needs("nginx")

IN_TIME = Timeouts(first_event=10, idle=10, total=20)
TEXT = {"Accept": "text/plain"}
CHUNKS = ("Once", " upon ä time \N{GRINNING FACE}", {"page": [1, None]}, "", 0.5)
WAYS = [
    *((transport, prefix) for transport in ("sse", "chunked", "text") for prefix in HTTP_LOCATIONS),
    *(("websocket", prefix) for prefix in WEBSOCKET_LOCATIONS),
]
# The rest is left to `make interop`.
SHORT = [("sse", "1.0-unbuffered"), ("chunked", "1.1"), ("text", "1.1-gzip"), ("websocket", "upgrade")]


def ways(*but: str) -> pytest.MarkDecorator:
    """Parametrize over every transport and prefix but these."""
    short_or_long = [
        pytest.param(*way, marks=() if way in SHORT else pytest.mark.interop)
        for way in WAYS
        if way[1] not in but
    ]
    return pytest.mark.parametrize(("transport", "prefix"), short_or_long)


def client_of(style: Style, nginx: Nginx, transport: str, prefix: str, **options: Any) -> Any:
    headers = TEXT if transport == "text" else {}
    if prefix == "1.1-gzip":
        headers = headers | {"Accept-Encoding": "gzip"}
    options = {"agent_id": "a", "max_retries": 0, "headers": headers, "timeout": IN_TIME} | options
    name = "chunked" if transport == "text" else transport
    return style.client(base_url=f"{nginx.url}/{prefix}", transport=name, **options)


def failure(style: Style, nginx: Nginx, transport: str, prefix: str, **options: Any) -> RunAgentError:
    async def scenario() -> None:
        await client_of(style, nginx, transport, prefix, **options).run_generic_stream("x").text()

    with pytest.raises(RunAgentError) as caught:
        style.run(scenario)
    return caught.value


def read_through(door: Gate, style: Style, nginx: Nginx, transport: str, prefix: str) -> list[Any]:
    """Read a stream whose agent waits at a door, which is opened when the first chunk has come."""

    async def scenario() -> list[Any]:
        stream = client_of(style, nginx, transport, prefix).run_generic_stream("x")
        first = await anext(aiter(stream))
        door.open()
        return [first, *[chunk async for chunk in stream]]

    contents: list[Any] = style.run(scenario)
    return contents


@ways()
def test_a_story_arrives_whole(
    style: Style, nginx: Nginx, agents: FakeAgentServer, transport: str, prefix: str
) -> None:
    chunks = CHUNKS[:2] if transport == "text" else CHUNKS
    agents.agent("a").always(*chunks, heartbeat(), *(f"{i} " for i in range(2000)))

    async def scenario() -> Any:
        return await shown(client_of(style, nginx, transport, prefix).run_generic_stream("x"))

    verdict, contents = style.run(scenario)
    expected = [*chunks, *(f"{i} " for i in range(2000))]
    assert "ok" == verdict
    assert contents == expected if transport != "text" else "".join(contents) == "".join(map(str, expected))


@pytest.mark.interop
@pytest.mark.parametrize("prefix", HTTP_LOCATIONS)
def test_plain_runs_pass(style: Style, nginx: Nginx, agents: FakeAgentServer, prefix: str) -> None:
    agents.agent("a").returns({"answer": 42})

    async def scenario() -> Any:
        return await client_of(style, nginx, "sse", prefix).run_generic("x" * 100_000)

    assert {"answer": 42} == style.run(scenario)
    assert {"query": "x" * 100_000} == agents.requests[0].input


@ways("1.0")
def test_without_buffering_a_chunk_arrives_before_the_agent_goes_on(
    style: Style, nginx: Nginx, agents: FakeAgentServer, transport: str, prefix: str
) -> None:
    door = gate("door")
    agents.agent("a").always("Once", door, " upon")
    assert ["Once", " upon"] == read_through(door, style, nginx, transport, prefix)


@pytest.mark.parametrize("transport", ["sse", "chunked", "text"])
def test_an_nginx_that_buffers_delays_answers_without_chunks(
    style: Style, nginx: Nginx, agents: FakeAgentServer, transport: str
) -> None:
    door = gate("door")
    agents.agent("a").always("Once", door, " upon")
    error = failure(style, nginx, transport, "1.0", timeout=Timeouts(first_event=0.4, total=20))
    assert (RunTimeoutError, "first_event") == (type(error), getattr(error, "phase", None))
    assert {"query": "x"} == agents.wait_request().input
    door.open()


@pytest.mark.parametrize("transport", ["sse", "chunked", "text"])
def test_the_agent_can_ask_an_nginx_not_to_buffer(
    style: Style, nginx: Nginx, agents: FakeAgentServer, transport: str
) -> None:
    door = gate("door")
    agents.agent("a").always(head(headers={"X-Accel-Buffering": "no"}), "Once", door, " upon")
    assert ["Once", " upon"] == read_through(door, style, nginx, transport, "1.0")


@ways()
@pytest.mark.parametrize("how", ["cut", "fin-in-chunk", "reset", "no-done"])
def test_an_agent_that_breaks_off_behind_nginx_is_seen_to(
    style: Style, nginx: Nginx, agents: FakeAgentServer, transport: str, prefix: str, how: Any
) -> None:
    door = gate("door")
    agents.agent("a").always("Once", door, ending(how))
    if prefix == "1.0":  # which passes nothing on before the agent's end
        door.open()

    async def scenario() -> Any:
        client = client_of(style, nginx, transport, prefix, resume=False)
        return await shown(client.run_generic_stream("x"), door)

    verdict, contents = style.run(scenario)
    assert _verdict(transport, prefix, how) == verdict
    # What nginx holds back when an agent resets the connection, it throws away.
    assert contents == ["Once"] or (contents, prefix, how) == ([], "1.0", "reset")


def _verdict(transport: str, prefix: str, how: str) -> str:
    """Return what can be known: over HTTP/1.0 a cut text looks whole, since nginx ends it for the agent."""
    if transport == "text" and (how == "no-done" or (prefix in ("1.0", "1.0-unbuffered") and how != "reset")):
        return "ok"
    return "truncated"


# Connections


def test_connections_are_kept_on_both_sides(style: Style, nginx: Nginx, agents: FakeAgentServer) -> None:
    name = f"kept-{style.name}"
    agents.agent(name).always("x")

    async def scenario() -> None:
        client = client_of(style, nginx, "sse", "1.1", agent_id=name)
        for _ in range(5):
            assert "x" == await client.run_generic_stream("x").text()

    style.run(scenario)
    nginx.wait_until(lambda: len(nginx.requests(agent_id=name)) == 5)
    assert 1 == len(set(nginx.requests(agent_id=name)))
    assert 1 == agents.connections


def test_the_agent_sees_a_client_disconnect(style: Style, nginx: Nginx, agents: FakeAgentServer) -> None:
    agents.agent("a").always("Once", ending("stall"))

    async def scenario() -> None:
        stream = client_of(style, nginx, "sse", "1.1-unbuffered").run_generic_stream("x")
        async with stream:
            await anext(aiter(stream))

    style.run(scenario)
    assert agents.requests[0].wait_disconnected(10)


# nginx's own answers


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_no_agent_behind_nginx(style: Style, nginx: Nginx, transport: str) -> None:
    error = failure(style, nginx, transport, "nobody")
    assert (AgentServerError, 502) == (type(error), getattr(error, "status", None))
    assert "502 Bad Gateway" in str(error)


def test_nginx_is_not_asked_again_where_the_agent_may_have_begun(
    style: Style, nginx: Nginx, agents: FakeAgentServer
) -> None:
    door = gate("door")
    agents.agent("a").always(door, status(503))
    error = failure(style, nginx, "sse", "short-of-time", max_retries=3)
    assert (AgentServerError, 504) == (type(error), getattr(error, "status", None))
    assert 1 == len(agents.requests)


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_an_nginx_that_loses_patience_in_the_middle(
    style: Style, nginx: Nginx, agents: FakeAgentServer, transport: str
) -> None:
    agents.agent("a").always("Once", ending("stall"))

    async def scenario() -> Any:
        client = client_of(style, nginx, transport, "short-of-time", resume=False)
        return await shown(client.run_generic_stream("x"))

    assert ("truncated", ["Once"]) == style.run(scenario)


@pytest.mark.interop
@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_heartbeats_keep_nginx_patient(
    style: Style, nginx: Nginx, agents: FakeAgentServer, transport: str
) -> None:
    beats = [step for _ in range(5) for step in (delay(0.15), heartbeat())]
    agents.agent("a").always("Once", *beats, " upon")

    async def scenario() -> Any:
        client = client_of(style, nginx, transport, "short-of-time", resume=False)
        return await shown(client.run_generic_stream("x"))

    assert ("ok", ["Once", " upon"]) == style.run(scenario)


def test_the_clients_limit_comes_before_nginxs(style: Style, nginx: Nginx, agents: FakeAgentServer) -> None:
    agents.agent("a").always("Once", ending("stall"))
    error = failure(style, nginx, "sse", "1.0-unbuffered", timeout=Timeouts(idle=0.2), resume=False)
    assert (StreamTimeoutError, "idle") == (type(error), getattr(error, "phase", None))


@pytest.mark.parametrize("size", [2_000, 20_000_000])
@pytest.mark.parametrize("transport", ["sse", "chunked"])
def test_an_input_that_nginx_does_not_take(
    style: Style, nginx: Nginx, agents: FakeAgentServer, transport: str, size: int
) -> None:
    async def scenario() -> None:
        await client_of(style, nginx, transport, "small").run_generic_stream("x" * size).text()

    with pytest.raises(AgentError) as caught:
        style.run(scenario)
    assert (413, []) == (caught.value.status, agents.requests)
    assert "larger than the service takes" in str(caught.value)


def test_a_websocket_that_nginx_does_not_upgrade_leads_to_the_next_transport(
    style: Style, nginx: Nginx, agents: FakeAgentServer
) -> None:
    agents.agent("a").always("by another way")

    async def scenario() -> Any:
        url = f"{nginx.url}/1.1-unbuffered"
        stream = style.client("a", base_url=url, transport=["websocket", "sse"]).run_generic_stream("x")
        return await stream.text(), [attempt.transport for attempt in stream.report.attempts]

    assert ("by another way", ["websocket", "sse"]) == style.run(scenario)
