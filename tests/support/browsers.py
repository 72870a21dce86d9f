"""Browsers in front of a relay, without a socket: they record each write, may be slow, and may leave."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from runagent_testing.conformance._harness.styles import drive

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.runagent_testing.virtual import Virtual

__all__ = ["KINDS", "Browser", "Page", "read_events"]

KINDS = {"stream_started": "start", "stream_completed": "done", "data": "chunk", "chunk": "chunk"}


@dataclass
class Page:
    """What a browser was sent.

    Attributes:
        status: The HTTP status; 101 for a WebSocket that was accepted, 0 if nothing came.
        headers: By lower-case name.
        writes: Each write of the body, with the moment at which it came.
        close_code: Of a WebSocket.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    writes: list[tuple[float, bytes]] = field(default_factory=list)
    close_code: int | None = None

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data in self.writes)

    @property
    def events(self) -> list[tuple[str, dict[str, Any], str | None]]:
        """The events of the body: kind, fields, event id."""
        return read_events([data for _, data in self.writes])

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events]

    @property
    def contents(self) -> list[Any]:
        return [fields["content"] for kind, fields, _ in self.events if kind == "chunk"]

    @property
    def last(self) -> tuple[str, dict[str, Any]]:
        """Kind and fields of the last event that is no heartbeat."""
        kind, fields, _ = [event for event in self.events if event[0] != "heartbeat"][-1]
        return kind, fields


class Browser:
    """Asks a relay, in one style.

    Args:
        virtual: Whose network the relay's client uses.
        leaves_after: Seconds after which it leaves.
        takes: Seconds that it takes for each write.
        headers: Of its request.
        method: Of its request.
        accepted: Its WebSocket was accepted before the relay got it.

    Attributes:
        after_write: Called after each write, with its number.
    """

    def __init__(
        self,
        virtual: Virtual,
        *,
        leaves_after: float = math.inf,
        takes: float = 0.0,
        headers: dict[str, str] | None = None,
        method: str = "GET",
        accepted: bool = False,
    ) -> None:
        self._virtual = virtual
        self._leaves_after = leaves_after
        self._takes = takes
        self._headers = headers or {}
        self._method = method
        self._accepted = accepted
        self._began = 0.0
        self.after_write: Callable[[int], Awaitable[object]] | None = None

    async def visit(self, relay: Any) -> Page:
        """Return what the relay sends."""
        page, self._began = Page(), self._virtual.network.now()
        if self._virtual.style == "sync":
            self._visit_wsgi(relay, page)
        else:
            await self._visit_asgi(relay, page)
        return page

    def _seconds(self) -> float:
        passed: float = self._virtual.network.now() - self._began
        return passed

    def _visit_wsgi(self, app: Any, page: Page) -> None:
        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            page.status, page.headers = int(status[:3]), {name.lower(): value for name, value in headers}

        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self._headers.items()}
        body = app({"REQUEST_METHOD": self._method, **environ}, start_response)
        writes_left = 1  # the first write behind the browser's leaving still succeeds
        try:
            for data in body:
                if self._seconds() >= self._leaves_after:
                    if not writes_left:
                        break
                    writes_left -= 1
                else:
                    page.writes.append((self._seconds(), data))
                    drive(self._written(page))
                if self._takes:
                    self._virtual.network.sleep(self._takes)
        finally:
            getattr(body, "close", int)()

    async def _visit_asgi(self, app: Any, page: Page) -> None:
        kind = "websocket" if app.format == "websocket" else "http"
        headers = [(name.lower().encode(), value.encode()) for name, value in self._headers.items()]
        scope = {"type": kind, "method": self._method, "path": "/", "headers": headers}
        await app(scope, self._receiver(kind), self._sender(page))

    async def _written(self, page: Page) -> None:
        if self.after_write is not None:
            await self.after_write(len(page.writes))

    def _receiver(self, kind: str) -> Callable[[], Awaitable[dict[str, Any]]]:
        first = {"http": "http.request", "websocket": "websocket.connect"}[kind]
        messages = [] if self._accepted else [{"type": first, "body": b""}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop(0)
            if math.isinf(self._leaves_after):
                forever = trio.Event() if self._virtual.style == "trio" else asyncio.Event()
                await forever.wait()
            await self._virtual.sleep(self._leaves_after - self._seconds())
            return {"type": f"{kind}.disconnect"}

        return receive

    def _sender(self, page: Page) -> Callable[[dict[str, Any]], Awaitable[None]]:
        async def send(message: dict[str, Any]) -> None:
            if self._seconds() >= self._leaves_after:
                raise OSError("the browser has left")
            if "headers" in message:
                page.status = message.get("status", 101)
                page.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            elif message["type"] == "websocket.close":
                page.close_code = message["code"]
            elif data := message.get("body") or message.get("text", "").encode():
                page.writes.append((self._seconds(), data))
                await self._written(page)
                if self._takes:
                    await self._virtual.sleep(self._takes)

        return send


def read_events(writes: list[bytes]) -> list[tuple[str, dict[str, Any], str | None]]:
    """Read the events of any of the formats; a heartbeat is one, too."""
    found: list[tuple[str, dict[str, Any], str | None]] = []
    for block in _blocks(writes):
        lines = block.split("\n")
        if block.startswith("{"):
            fields = json.loads(block)
            kind = fields.pop("type")
            kind = fields.pop("status") if kind == "status" else kind
            if kind == "data":
                fields = {"content": json.loads(json.loads(fields["content"])["payload"])}
            found.append((KINDS.get(kind, kind), fields, None))
        elif block in ("", ":"):
            found.append(("heartbeat", {}, None))
        elif not block.startswith("retry:"):
            parts = dict(line.split(": ", 1) for line in lines)
            found.append((parts["event"], json.loads(parts["data"]), parts.get("id")))
    return found


def _blocks(writes: list[bytes]) -> list[str]:
    text = b"".join(writes).decode()
    if text.startswith(("{", "\n")):
        if not text.endswith("\n"):  # messages of a WebSocket
            return [data.decode() for data in writes]
        return text.split("\n")[:-1]
    return text.split("\n\n")[:-1]
