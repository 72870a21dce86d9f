"""One script, every transport, every style, both players, however the bytes are cut: the same chunks."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runagent import AsyncRunAgentClient, RunAgentClient, StreamError
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    at,
    ending,
    error,
    every,
    heartbeat,
    inside,
    rechunked,
)
from tests.runagent_testing.virtual import STYLES, Virtual
from tests.support.styles import Style

SCRIPT = ["Once ", "", " up\u2028on\r\n", "a tïme 🦊", heartbeat(), " end"]
TEXT = "Once  up\u2028on\r\na tïme 🦊 end"
TRANSPORTS = ("sse", "chunked", "text", "websocket")
ENDINGS = {
    "clean": (),
    "error": (error("CAPACITY_ERROR", "full"),),
    "cut": (ending("cut"),),
    "fin-in-chunk": (ending("fin-in-chunk"),),
    "half-close": (ending("half-close"),),
    "reset": (ending("reset"),),
}


@pytest.fixture(scope="module")
def module_server():
    with FakeAgentServer() as server:
        yield server


@contextlib.contextmanager
def player(kind, style, module_server):
    """Give the agent of a player, a way to make clients for it, and one to run scenarios."""
    if kind == "memory":
        virtual = Virtual(style)
        yield virtual.memory.agent("a"), virtual.client, virtual.run
    else:

        def client(transport, **options):
            return Style(style).client("a", base_url=module_server.url, transport=transport, **options)

        yield module_server.agent("a"), client, Style(style).run


def collected(client, run, transport):
    """Stream once: the text of the chunks that came, the report's count of them, and the error."""
    options: dict[str, Any] = {"max_retries": 0}
    if transport == "text":
        options["headers"] = {"Accept": "text/plain"}

    async def scenario():
        stream = client("chunked" if transport == "text" else transport, **options).run_generic_stream("x")
        seen = []
        while True:
            try:
                seen.append(await anext(stream))
            except StopAsyncIteration:
                return seen, None
            except StreamError as exc:
                return seen, type(exc).__name__

    return run(scenario)


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", ["memory", "sockets"])
def test_the_same_chunks_and_the_same_outcome_everywhere(module_server, kind, style, end):
    outcomes = {}
    with player(kind, style, module_server) as (agent, client, run):
        agent.always(*SCRIPT, *ENDINGS[end])
        for transport in TRANSPORTS:
            seen, failure = collected(client, run, transport)
            if transport == "text":
                assert TEXT == "".join(seen)
                assert (failure is None) == (end == "clean")
            else:
                outcomes[transport] = (seen, failure)
    chunks = [step for step in SCRIPT if isinstance(step, str)]
    expected = {"clean": None, "error": "StreamError"}.get(end, "StreamTruncatedError")
    assert dict.fromkeys(outcomes, (chunks, expected)) == outcomes


CUTS: dict[str, Any] = {
    "per-step": "per-step",
    "byte by byte": every(1),
    "characters": inside("characters"),
    "framing": inside("crlf", "chunk-header", "frame-header"),
    "at": at(1, 5, 60, 100),
}


@pytest.mark.parametrize("writes", CUTS)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_cuts_change_nothing(style, transport, writes):
    virtual = Virtual(style)
    virtual.memory.agent("a").always(*SCRIPT, writes=CUTS[writes])
    seen, failure = collected(virtual.client, virtual.run, transport)
    assert (TEXT, None) == ("".join(seen), failure)


@pytest.mark.parametrize("transport", TRANSPORTS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), framing=st.sampled_from(["chunked", "extensions", "length", "close"]))
def test_random_cuts_change_nothing(transport, seed, framing):
    memory = MemoryNetwork()
    memory.agent("a").always(*SCRIPT, writes=rechunked(seed), framing=framing)
    headers = {"Accept": "text/plain"} if transport == "text" else None
    name = "chunked" if transport == "text" else transport
    client = RunAgentClient(
        "a", base_url=memory.url, network=memory.blocking, transport=name, headers=headers
    )
    assert TEXT == client.run_generic_stream("x").text()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_random_cuts_change_nothing_on_sockets(module_server, transport, seed):
    module_server.agent("a").always(*SCRIPT, writes=rechunked(seed), write_gap=0.0005)
    client, run = _sockets(module_server)
    seen, failure = collected(client, run, transport)
    assert (TEXT, None) == ("".join(seen), failure)


def _sockets(server):
    def client(transport, **options):
        return Style("sync").client("a", base_url=server.url, transport=transport, **options)

    return client, Style("sync").run


def test_one_network_serves_all_styles_and_real_time_too():
    import asyncio

    import trio

    memory = MemoryNetwork()
    memory.agent("a").always("x")

    async def text(network):
        return (
            await AsyncRunAgentClient("a", base_url=memory.url, network=network)
            .run_generic_stream("x")
            .text()
        )

    assert "x" == asyncio.run(text(memory.aio))
    assert "x" == trio.run(text, memory.trio)
    assert "x" == memory.run_asyncio(text(memory.aio))
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking)
    assert "x" == client.run_generic_stream("x").text()
    assert 4 == memory.connections
