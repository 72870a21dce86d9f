"""The published server's WebSocket (docs/wire.md section 2): aiohttp reads, plans are written."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from runagent_testing.formats import PING, PONG, TEXT, close_frame, frame, to_json
from runagent_testing.player import play, send

if TYPE_CHECKING:
    from runagent_testing.agent import Exchange
    from runagent_testing.plan import Plan

__all__ = ["MAX_MESSAGE", "PING_INTERVAL", "Conversation", "read_request"]

MAX_MESSAGE = 16 * 1024 * 1024  # bytes
PING_INTERVAL = 20.0  # seconds without a word until we ping, and from a ping until we give up
_KINDS = {"entrypoint_tag": str, "input_args": list, "input_kwargs": dict}


class Conversation:
    """One WebSocket after its handshake; sends whole frames, so that pongs never land inside one."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        # The size is checked here: aiohttp's own check hangs up at once, and the client, still sending,
        # would see a reset instead of the 1009.
        self._socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, max_msg_size=0)
        self._unanswered_ping = False
        self._close_sent = False
        self._pings = True

    async def open(self) -> None:
        """Answer the handshake; a bad one is refused by aiohttp."""
        await self._socket.prepare(self._request)

    async def next_text(self) -> str | None:
        """Wait for the client's next message, answering pings; None once the client has left."""
        while True:
            try:
                message = await self._socket.receive(timeout=PING_INTERVAL)
            except TimeoutError:
                if await self._ping():
                    continue
                return None
            self._unanswered_ping = False
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY if _size(message.data) > MAX_MESSAGE:
                    await self.close(1009)
                case WSMsgType.TEXT:
                    return str(message.data)
                case WSMsgType.BINARY:
                    return bytes(message.data).decode("utf-8", "replace")
                case WSMsgType.PING:
                    await send(self._request, frame(PONG, message.data))
                case WSMsgType.CLOSE:
                    await self.close(1000)
                    return None
                case WSMsgType.PONG:
                    pass
                case _:
                    return None

    async def run(self, plan: Plan, exchange: Exchange) -> None:
        """Play the plan, then wait for the client to close, as the published server does.

        Raises:
            ConnectionResetError: The client has left before the end.
        """
        self._pings = plan.end != "stall"
        tasks = (asyncio.create_task(self.wait_closed()), asyncio.create_task(self._play(plan, exchange)))
        listening, playing = tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                raise ConnectionResetError("the client has closed the WebSocket")
            playing.result()
            await listening
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _play(self, plan: Plan, exchange: Exchange) -> None:
        await play(plan, self._request)
        self._close_sent |= plan.end == "close"
        # Noted here: after a cut the handler itself is cancelled before it gets any further.
        exchange.end("done")

    async def wait_closed(self) -> None:
        """Wait until the client has left; nothing that it says is answered any more."""
        while await self.next_text() is not None:
            pass

    async def refuse(self, detail: str) -> None:
        """Send why there is no run, and close with 1003."""
        said = to_json({"type": "error", "detail": detail}, compact=True)
        await send(self._request, frame(TEXT, said.encode()) + close_frame(1003))
        self._close_sent = True
        await self.wait_closed()

    async def close(self, code: int) -> None:
        """Close, unless we have already; the client's Close is answered this way, too."""
        if not self._close_sent:
            self._close_sent = True
            await send(self._request, close_frame(code))

    async def _ping(self) -> bool:
        if self._close_sent or not self._pings:
            return True
        if self._unanswered_ping:
            await self.close(1011)
            return False
        self._unanswered_ping = True
        await send(self._request, frame(PING, b""))
        return True


def _size(data: str | bytes) -> int:
    return len(data.encode() if isinstance(data, str) else data)


def read_request(message: str) -> tuple[Any, str | None]:
    """Decode the request message, and say in the published server's words what is wrong with it."""
    try:
        body = json.loads(message)
    except (ValueError, RecursionError) as exc:
        return None, f"Invalid JSON format: {exc}"
    if not isinstance(body, dict):
        return body, "Invalid JSON format: expected an object"
    for name, kind in _KINDS.items():
        if name not in body:
            return body, f"Missing required field: {name}"
        if not isinstance(body[name], kind):
            return body, f"Invalid field type: {name}"
    return body, None
