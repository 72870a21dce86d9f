"""A gateway that waits for the agent's acceptance, and browsers that leave it before the first chunk."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from runagent import RunAgentError, StreamError
from runagent_testing import FakeAgentServer, ending, head, status
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SOON = 0.5  # seconds
LOOPS = ("asyncio", "uvloop", "trio")

Message = dict[str, Any]


class Gateway:
    """An ASGI application that relays one run, in any event loop."""

    def __init__(self, style: Style, server: FakeAgentServer, transport: str) -> None:
        self._style = style
        self._client = style.client("a", base_url=server.url, transport=transport, max_retries=0)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        stream = self._client.run_generic_stream("q")
        try:
            await stream.accepted()
        except RunAgentError as refused:
            await send({"type": "http.response.start", "status": getattr(refused, "status", None) or 502})
            return

        async def relay() -> None:
            await send({"type": "http.response.start", "status": 200})
            with contextlib.suppress(StreamError):  # the watcher has closed the stream
                async for text in stream.texts():
                    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            await stream.aclose()

        await self._style.beside(relay, watch)


@pytest.mark.parametrize("name", LOOPS)
def test_a_browser_that_leaves_after_the_acceptance_frees_a_silent_agent(
    name: str, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always(head(), ending("stall"))
    style, sent = Style(name), list[Message]()
    messages = iter([Message(type="http.request", body=b""), Message(type="http.disconnect")])

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    async def scenario() -> None:
        await Gateway(style, server, transport)({"type": "http"}, receive, send)
        assert await style.in_thread(server.requests[0].wait_disconnected, SOON)

    style.run(scenario)
    assert [{"type": "http.response.start", "status": 200}] == sent


@pytest.mark.parametrize("number", [401, 404, 422, 429, 503])
@pytest.mark.parametrize("name", LOOPS)
def test_a_refusal_becomes_the_status_of_the_answer(
    name: str, transport: str, number: int, server: FakeAgentServer
) -> None:
    server.agent("a").always(status(number))
    style, sent = Style(name), list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the browser is not read before the acceptance")

    style.run(lambda: Gateway(style, server, transport)({"type": "http"}, receive, send))
    assert [number] == [message["status"] for message in sent]


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_browser_that_closes_its_websocket_in_silence_frees_the_agent(
    name: str, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always(head(), ending("stall"))
    style = Style(name)

    async def relay(websocket: ServerConnection) -> None:
        client = style.client("a", base_url=server.url, transport=transport)
        stream = await client.run_generic_stream(await websocket.recv())
        await websocket.send("accepted")
        reader = asyncio.ensure_future(stream.text())
        await websocket.wait_closed()
        await stream.aclose()
        with pytest.raises(StreamError, match="closed while it was being read"):
            await reader

    async def scenario() -> None:
        async with serve(relay, "127.0.0.1", 0) as gateway:
            port = next(iter(gateway.sockets)).getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}", proxy=None) as browser:
                await browser.send("q")
                assert "accepted" == await browser.recv()
            assert await asyncio.to_thread(server.requests[0].wait_disconnected, SOON)

    style.run(scenario)
