"""The relay in aiohttp's own server, which is neither WSGI nor ASGI."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runagent.relay._answering import AsyncBody
from runagent.relay._watcher import watch

if TYPE_CHECKING:
    from runagent.relay._answering import AsyncAnswer

__all__ = ["aiohttp_response"]

_LOOK_SECONDS = 0.2  # between two looks whether the browser has left, which aiohttp does not report
_LEFT, _OTHER = {"type": "http.disconnect"}, {"type": "other"}


async def aiohttp_response(relay: AsyncAnswer, request: Any, websocket: Any) -> Any:
    """Write the answer to a request of aiohttp's server, and return it."""
    if relay.format == "websocket":
        return await _answer_websocket(relay, request, websocket)
    from aiohttp import web

    async def left() -> dict[str, Any]:
        while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        return _LEFT

    watcher = watch(left, relay._stream)
    try:
        head = await relay.open(request.method, request.headers.get("Last-Event-ID"), watcher)
        if head.body is not None:
            return web.Response(status=head.status, headers=head.headers, body=head.body)
        response = web.StreamResponse(status=head.status, headers=head.headers)
        body = AsyncBody(relay, watcher)
        with suppress(OSError):  # the browser has left
            await response.prepare(request)
            async for piece in body:
                await response.write(piece)
            await response.write_eof()
        return response
    finally:
        await relay.leave()
        await watcher.stop()


async def _answer_websocket(relay: AsyncAnswer, request: Any, websocket: Any) -> Any:
    from aiohttp import WSMsgType, web

    socket = websocket
    if socket is None:
        socket = web.WebSocketResponse()
        await socket.prepare(request)

    async def receive() -> dict[str, Any]:
        message = await socket.receive()
        gone = message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)
        return _LEFT if gone else _OTHER

    watcher = watch(receive, relay._stream)
    body = AsyncBody(relay, watcher)
    try:
        with suppress(OSError):  # the browser has left
            while frames := await body.read_messages():
                for frame in frames:
                    await socket.send_str(frame.decode())
    finally:
        await relay.leave()
        await watcher.stop()
    await socket.close(code=relay.close_code)
    return socket
