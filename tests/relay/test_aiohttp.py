"""The relay in aiohttp's own server, which is neither WSGI nor ASGI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from runagent import AsyncRunAgentClient
from runagent.relay import relay
from runagent_testing import ending, status
from tests.support.browsers import read_events
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent_testing import FakeAgentServer

STORY = ("Once", " upon", " a", " time")
SOON = 0.5  # seconds


def browse(server: FakeAgentServer, scenario: Callable[[aiohttp.ClientSession, str], Awaitable[Any]]) -> Any:
    """Run a scenario in front of a gateway; it gets a session and the gateway's address."""

    async def main() -> Any:
        client = AsyncRunAgentClient("a", base_url=server.url, max_retries=0)

        async def story(request: web.Request) -> web.StreamResponse:
            answer: web.StreamResponse = await relay(client.run_generic_stream("q")).aiohttp(request)
            return answer

        async def chat(request: web.Request) -> web.StreamResponse:
            socket = None
            if "asks" in request.query:
                socket = web.WebSocketResponse()
                await socket.prepare(request)
                assert "question" == await socket.receive_str()
            answering = relay(client.run_generic_stream("q"), format="websocket")
            answer: web.StreamResponse = await answering.aiohttp(request, socket)
            return answer

        app = web.Application()
        app.add_routes([web.get("/story", story), web.get("/chat", chat)])
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            async with aiohttp.ClientSession() as session, client:
                return await scenario(session, f"http://127.0.0.1:{port}")
        finally:
            await runner.cleanup()

    return Style("asyncio", debug=False).run(main)


def test_a_story(server: FakeAgentServer) -> None:
    server.agent("a").always(*STORY)

    async def scenario(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/story") as answer:
            assert (200, "no-cache, no-transform") == (answer.status, answer.headers["Cache-Control"])
            events = read_events([await answer.read()])
        assert [*STORY] == [fields["content"] for kind, fields, _ in events if kind == "chunk"]
        assert ("done", "end") == (events[-1][0], events[-1][2])

    browse(server, scenario)


def test_a_refusal(server: FakeAgentServer) -> None:
    server.agent("a").always(status(429, message="db-7.internal", retry_after=3))

    async def scenario(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/story") as answer:
            assert (429, "3") == (answer.status, answer.headers["Retry-After"])
            assert "RATE_LIMITED" == (await answer.json())["error"]["code"]

    browse(server, scenario)


@pytest.mark.parametrize(("last", "number"), [("end", 204), ("x", 400)])
def test_the_header_of_a_reconnecting_browser_is_read(
    server: FakeAgentServer, last: str, number: int
) -> None:
    async def scenario(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/story", headers={"Last-Event-ID": last}) as answer:
            assert number == answer.status

    browse(server, scenario)
    assert [] == server.requests


def test_a_browser_that_leaves_frees_a_silent_agent(server: FakeAgentServer) -> None:
    server.agent("a").always("Once", ending("stall"))

    async def scenario(session: aiohttp.ClientSession, url: str) -> None:
        answer = await session.get(f"{url}/story")
        assert b"retry: 3000\n\n" == await answer.content.readuntil(b"\n\n")
        answer.close()
        assert await asyncio.to_thread(server.requests[0].wait_disconnected, SOON)

    browse(server, scenario)


@pytest.mark.parametrize("asks", [True, False])
def test_a_websocket(server: FakeAgentServer, asks: bool) -> None:
    server.agent("a").always(*STORY)

    async def scenario(session: aiohttp.ClientSession, url: str) -> None:
        async with session.ws_connect(f"{url}/chat{'?asks' if asks else ''}") as socket:
            if asks:
                await socket.send_str("question")
            events = read_events([message.data.encode() async for message in socket])
            assert ["start", *["chunk"] * 4, "done"] == [kind for kind, _, _ in events]
            assert 1000 == socket.close_code

    browse(server, scenario)


def test_a_websocket_that_is_closed_frees_a_silent_agent(server: FakeAgentServer) -> None:
    server.agent("a").always("Once", ending("stall"))

    async def scenario(session: aiohttp.ClientSession, url: str) -> None:
        async with session.ws_connect(f"{url}/chat") as socket:
            assert "stream_started" in await socket.receive_str()
        assert await asyncio.to_thread(server.requests[0].wait_disconnected, SOON)

    browse(server, scenario)
