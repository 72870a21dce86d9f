"""The relay of an `AsyncStream`: an ASGI application (version 3), on asyncio and trio."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runagent._errors import ConfigurationError
from runagent._public import publish
from runagent.relay._answering import AsyncAnswer, AsyncBody
from runagent.relay._watcher import watch

if TYPE_CHECKING:
    from runagent.relay._answering import Send
    from runagent.relay._watcher import Watcher

__all__ = ["AsyncRelay"]


class AsyncRelay(AsyncAnswer):
    """The answer to a browser for one `AsyncStream`; `relay` makes it.

    It is an ASGI application. Starlette and Litestar get it as it is, and so does any code with ``scope``,
    ``receive`` and ``send``; the methods make the responses of other frameworks. It answers one request.

    A WebSocket may have been accepted before, and is accepted if not; what the browser sends is ignored. It
    is closed with code 1000 after ``done``, and with 1011 after ``error``.

    The browser's leaving frees the agent at once, also while nothing is written.
    """

    __slots__ = ()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or a WebSocket.

        Raises:
            ConfigurationError: The format does not fit the kind of connection.
            RuntimeError: The relay has answered another request, or its stream was read or closed.
        """
        self._claim()
        kind = "websocket" if self.format == "websocket" else "http"
        if scope["type"] != kind:
            await self._stream.aclose()
            raise ConfigurationError(f"format={self.format!r} answers a {kind} scope, not {scope['type']!r}")
        watcher = watch(receive, self._stream)
        try:
            if kind == "websocket":
                await self._converse(send, watcher)
                return
            body = await self._begin(scope, send, watcher)
            with suppress(OSError):  # of `send`: the browser has left (ASGI 2.4)
                while body is not None and (frames := await body.read()):
                    await send({"type": "http.response.body", "body": b"".join(frames), "more_body": True})
                    frames.clear()  # else each of thousands of streams would keep what it has sent
                if body is not None and not watcher.left:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._stream.aclose()
            await watcher.stop()

    def fastapi(self) -> Any:
        """Return the response for FastAPI, which makes JSON of what it does not know."""
        from runagent.relay._frameworks import fastapi_response

        return fastapi_response(self)

    async def django(self, request: Any = None) -> Any:
        """Return the response for a view of Django under ASGI, once the service has accepted the run.

        Args:
            request: The view's, for its method and ``Last-Event-ID``.
        """
        from runagent.relay._frameworks import django_facts, django_response

        self._claim()
        head = await self.open(*django_facts(request))
        return django_response(head, AsyncBody(self) if head.body is None else None)

    async def quart(self) -> Any:
        """Return the response for Quart, once the service has accepted the run.

        In the handler of a WebSocket it writes the messages, and returns None at the end.
        """
        from runagent.relay._frameworks import quart_response

        self._claim()
        return await quart_response(self)

    async def aiohttp(self, request: Any, websocket: Any = None) -> Any:
        """Write the answer to a request of aiohttp's server, and return it.

        Args:
            request: The handler's.
            websocket: The ``WebSocketResponse``, if the handler has prepared it in order to read a message.
        """
        from runagent.relay._aiohttp import aiohttp_response

        self._claim()
        return await aiohttp_response(self, request, websocket)

    async def _begin(self, scope: Any, send: Send, watcher: Watcher) -> AsyncBody | None:
        """Send the head of the answer, and return what follows it; None if nothing does any more."""
        field = (value for name, value in scope["headers"] if name == b"last-event-id")
        head = await self.open(scope["method"], next(field, b"").decode("utf-8", "replace"), watcher)
        headers = [*_as_bytes(head.headers), *self.more_headers]
        with suppress(OSError):  # see above
            await send({"type": "http.response.start", "status": head.status, "headers": headers})
            if head.body is None:
                return AsyncBody(self, watcher, send)
            if not watcher.left:
                await send({"type": "http.response.body", "body": head.body, "more_body": False})
        return None

    async def _converse(self, send: Send, watcher: Watcher) -> None:
        body = AsyncBody(self, watcher)
        frames = await body.read_messages()
        with suppress(OSError):
            if await watcher.is_asked() and not watcher.left:
                await send({"type": "websocket.accept", "headers": _as_bytes(self._headers()[-1:])})
            while frames and not watcher.left:
                for frame in frames:
                    await send({"type": "websocket.send", "text": frame.decode()})
                frames = await body.read_messages()
            if not watcher.left:
                await send({"type": "websocket.close", "code": self.close_code})


def _as_bytes(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]


publish(AsyncRelay, module="runagent.relay")
