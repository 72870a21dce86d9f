"""What people use today to read such streams over a WebSocket; none of them knows the messages in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders import Origin, Take, contender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["taker"]

_WIRES = ("published", "plain")
_START = '{"query":"hello"}'


def taker(wire: str, take: Take) -> Callable[[str | bytes], bool]:
    """Make what a user does with a message; it returns whether that was the last one."""

    def plain(data: str | bytes) -> bool:
        message = json.loads(data)
        if message["type"] == "data":
            take(message["content"])
            return False
        return bool(message["status"] == "stream_completed")

    def published(data: str | bytes) -> bool:
        message = json.loads(data)
        if message["type"] == "data":
            take(json.loads(json.loads(message["content"])["payload"]))
            return False
        return bool(message["status"] == "stream_completed")

    return plain if wire == "plain" else published


@contender("websockets", "sync", *_WIRES)
@contextlib.contextmanager
def websockets_sync(origin: Origin, wire: str) -> Iterator[Any]:
    from websockets.sync.client import connect

    def ask(name: str, take: Take) -> None:
        done = taker(wire, take)
        with connect(f"{origin.ws}/{name}", compression=None) as socket:
            socket.send(_START)
            for message in socket:
                if done(message):
                    break

    yield ask


@contender("websockets", "asyncio", *_WIRES)
@contextlib.asynccontextmanager
async def websockets_asyncio(origin: Origin, wire: str) -> AsyncIterator[Any]:
    from websockets.asyncio.client import connect

    async def ask(name: str, take: Take) -> None:
        done = taker(wire, take)
        async with connect(f"{origin.ws}/{name}", compression=None) as socket:
            await socket.send(_START)
            async for message in socket:
                if done(message):
                    break

    yield ask


@contender("websockets", "trio", *_WIRES)
@contextlib.asynccontextmanager
async def websockets_trio(origin: Origin, wire: str) -> AsyncIterator[Any]:
    from websockets.trio.client import connect

    async def ask(name: str, take: Take) -> None:
        done = taker(wire, take)
        async with connect(f"{origin.ws}/{name}", compression=None) as socket:
            await socket.send(_START)
            async for message in socket:
                if done(message):
                    break

    yield ask


@contender("httpx2", "sync", *_WIRES)
@contextlib.contextmanager
def httpx2_sync(origin: Origin, wire: str) -> Iterator[Any]:
    import httpx2

    with httpx2.Client() as client:

        def ask(name: str, take: Take) -> None:
            done = taker(wire, take)
            with client.websocket(f"{origin.ws}/{name}") as socket:
                socket.send_text(_START)
                while not done(socket.receive_text()):
                    pass

        yield ask


@contextlib.asynccontextmanager
async def httpx2_async(origin: Origin, wire: str) -> AsyncIterator[Any]:
    import httpx2

    async with httpx2.AsyncClient() as client:

        async def ask(name: str, take: Take) -> None:
            done = taker(wire, take)
            async with client.websocket(f"{origin.ws}/{name}") as socket:
                await socket.send_text(_START)
                while not done(await socket.receive_text()):
                    pass

        yield ask


contender("httpx2", "asyncio", *_WIRES)(httpx2_async)
contender("httpx2", "trio", *_WIRES)(httpx2_async)


@contender("aiohttp", "asyncio", *_WIRES)
@contextlib.asynccontextmanager
async def aiohttp_asyncio(origin: Origin, wire: str) -> AsyncIterator[Any]:
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def ask(name: str, take: Take) -> None:
            done = taker(wire, take)
            async with session.ws_connect(f"{origin.ws}/{name}") as socket:
                await socket.send_str(_START)
                async for message in socket:
                    if done(message.data):
                        break

        yield ask


@contender("picows", "asyncio", *_WIRES)
@contextlib.asynccontextmanager
async def picows_asyncio(origin: Origin, wire: str) -> AsyncIterator[Any]:
    import picows

    class Listener(picows.WSListener):  # type: ignore[misc]  # picows has no types
        def __init__(self, done: Callable[[str | bytes], bool]) -> None:
            super().__init__()
            self.over = asyncio.get_running_loop().create_future()
            self._done = done

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == picows.WSMsgType.TEXT and self._done(frame.get_payload_as_utf8_text()):
                self.over.set_result(None)

    async def ask(name: str, take: Take) -> None:
        transport, listener = await picows.ws_connect(
            lambda: Listener(taker(wire, take)), f"{origin.ws}/{name}"
        )
        transport.send(picows.WSMsgType.TEXT, _START.encode())
        await listener.over
        transport.send_close(picows.WSCloseCode.OK)
        await transport.wait_disconnected()

    yield ask


@contender("trio-websocket", "trio", *_WIRES)
@contextlib.asynccontextmanager
async def trio_websocket_trio(origin: Origin, wire: str) -> AsyncIterator[Any]:
    import trio_websocket

    async def ask(name: str, take: Take) -> None:
        done = taker(wire, take)
        async with trio_websocket.open_websocket_url(f"{origin.ws}/{name}") as socket:
            await socket.send_message(_START)
            while not done(await socket.get_message()):
                pass

    yield ask
