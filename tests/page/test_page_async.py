"""The documentation page on streaming, pattern by pattern: asyncio, and the same on trio."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
import trio

from runagent import AsyncRunAgentClient
from runagent_testing import Agent, FakeAgentServer, ending, gate
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STORY = ("Qubits", " are", " both", "", "\nat once \N{ATOM SYMBOL}")


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def loop(request: pytest.FixtureRequest) -> Style:
    """Each event loop in turn."""
    return Style(request.param)


@pytest.mark.parametrize("run", [asyncio.run, trio.run])
def test_basic_streaming(agent: Agent, capsys: pytest.CaptureFixture[str], run: object) -> None:
    agent.always(*STORY)

    async def stream_response() -> None:
        client = AsyncRunAgentClient(agent_id="your-agent-id")
        async for chunk in client.run_generic_stream({"query": "Explain quantum computing in detail"}):
            print(chunk, end="", flush=True)  # noqa: T201 - as on the page

    asyncio.run(stream_response()) if run is asyncio.run else trio.run(stream_response)

    assert "".join(STORY) == capsys.readouterr().out


def test_a_chunk_arrives_before_the_next_one_is_made(agent: Agent, loop: Style) -> None:
    gates = [gate("first"), gate("second")]
    agent.always("a", gates[0], "b", gates[1], "c")

    async def scenario() -> list[str]:
        seen: list[str] = []
        async for chunk in AsyncRunAgentClient(agent_id="your-agent-id").run_generic_stream({"query": "x"}):
            seen.append(chunk)
            if len(seen) <= len(gates):
                gates[len(seen) - 1].open()
        return seen

    assert ["a", "b", "c"] == loop.run(scenario)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_tasks_next_to_the_stream(agent: Agent, server: FakeAgentServer, name: str) -> None:
    last = gate("last")
    agent.always("a", "b", last, "c")
    processed: list[str] = []

    async def process_chunk(chunk: str) -> None:
        await asyncio.sleep(0)
        processed.append(chunk)
        if len(processed) == 2:
            last.open()  # the work on "b" is done while the stream waits for "c"

    async def process_stream(
        client: AsyncRunAgentClient, query: str, tasks: set[asyncio.Task[None]]
    ) -> AsyncIterator[str]:
        async for chunk in client.run_generic_stream(query):
            tasks.add(asyncio.create_task(process_chunk(chunk)))
            yield chunk

    async def scenario() -> list[str]:
        tasks: set[asyncio.Task[None]] = set()
        client = AsyncRunAgentClient(agent_id="your-agent-id")
        chunks = [chunk async for chunk in process_stream(client, "a plain string", tasks)]
        await asyncio.gather(*tasks)
        return chunks

    assert ["a", "b", "c"] == Style(name).run(scenario)
    assert ["a", "b", "c"] == processed
    assert [{"query": "a plain string"}] == [exchange.input for exchange in server.requests]


def test_trio_tasks_next_to_the_stream(agent: Agent) -> None:
    last = gate("last")
    agent.always("a", "b", last, "c")
    processed: list[str] = []

    async def process_chunk(chunk: str) -> None:
        await trio.lowlevel.checkpoint()
        processed.append(chunk)
        if len(processed) == 2:
            last.open()

    async def scenario() -> None:
        client = AsyncRunAgentClient(agent_id="your-agent-id")
        async with trio.open_nursery() as nursery:
            async for chunk in client.run_generic_stream("a plain string"):
                nursery.start_soon(process_chunk, chunk)

    Style("trio").run(scenario)
    assert ["a", "b", "c"] == sorted(processed)


def test_closing_a_generator_around_the_stream(agent: Agent, server: FakeAgentServer, loop: Style) -> None:
    agent.always(*STORY, ending("stall"))

    async def upper(client: AsyncRunAgentClient, query: str) -> AsyncIterator[str]:
        async for chunk in client.run_generic_stream(query):
            yield chunk.upper()

    async def scenario() -> str:
        async with aclosing(upper(AsyncRunAgentClient(agent_id="your-agent-id"), "x")) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                return chunk
        raise AssertionError("no chunk came")

    assert "QUBITS" == loop.run(scenario)
    assert server.requests[0].wait_disconnected(5)


def test_a_slow_consumer_slows_the_agent_down(agent: Agent, server: FakeAgentServer, loop: Style) -> None:
    chunks = [chr(ord("a") + i % 26) * 512 * 1024 for i in range(48)]
    agent.always(*chunks)

    async def scenario() -> None:
        stream = AsyncRunAgentClient(agent_id="your-agent-id").run_generic_stream({"query": "x"})
        assert chunks[0] == await anext(stream)
        # The loop runs on, so what the client would read ahead by itself it could read now.
        assert not await wait_in_thread(loop, server)
        assert chunks[1:] == [chunk async for chunk in stream]

    loop.run(scenario)
    assert server.requests[0].wait_done(5)


async def wait_in_thread(loop: Style, server: FakeAgentServer) -> bool:
    """Whether the agent could send everything within a fifth of a second."""
    wait_done = server.requests[0].wait_done
    if loop.name == "trio":
        return await trio.to_thread.run_sync(wait_done, 0.2)
    return await asyncio.to_thread(wait_done, 0.2)
