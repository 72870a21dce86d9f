"""The main job: an answer as it comes, over every transport, in every style."""

from __future__ import annotations

from typing import Any

import pytest

from runagent import Chunk, Completed, Started
from runagent_testing import FakeAgentServer
from tests.support.styles import Style


def test_chunks_come_as_text_and_values(style: Style, transport: str, server: FakeAgentServer) -> None:
    script = ["Once", "", {"n": [1, None, True]}, 3.5, " upon\n\r\n\u2028a", "\N{GRINNING FACE}"]
    server.agent("a").always(*script)

    async def scenario() -> list[Any]:
        client = style.client("a", base_url=server.url, transport=transport)
        return [chunk async for chunk in client.run_generic_stream({"query": "x"})]

    assert style.run(scenario) == script


@pytest.mark.parametrize("count", [10_000])
def test_many_chunks_arrive_whole_and_in_order(
    style: Style, transport: str, server: FakeAgentServer, count: int
) -> None:
    server.agent("a").always(*(f"{i} " for i in range(count)))

    async def scenario() -> str:
        client = style.client("a", base_url=server.url, transport=transport)
        return str(await client.run_generic_stream("x").text())

    assert style.run(scenario) == "".join(f"{i} " for i in range(count))


def test_events_are_typed(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x")

    async def scenario() -> list[type]:
        client = style.client("a", base_url=server.url, transport=transport)
        return [type(e) async for e in client.run_generic_stream("x").events()]

    assert style.run(scenario) == [Started, Chunk, Completed]


def test_runs_one_after_another_share_a_connection(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always("x", "y")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url)
        for _ in range(1000):
            assert await client.run_generic_stream("x").text() == "xy"

    style.run(scenario)
    assert server.connections == 1
