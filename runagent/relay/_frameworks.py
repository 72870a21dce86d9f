"""Responses of frameworks that take no WSGI or ASGI application; each is imported when it is used."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from runagent.relay._answering import AsyncBody

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable

    from runagent.relay._answering import AsyncAnswer
    from runagent.relay._core import Opening

__all__ = ["django_facts", "django_response", "fastapi_response", "quart_response"]


def django_facts(request: Any) -> tuple[str, str | None]:
    """Return the method of a request and its ``Last-Event-ID``; None as the request means a GET without."""
    if request is None:
        return "GET", None
    return request.method, request.headers.get("Last-Event-ID")


def django_response(head: Opening, body: Iterable[bytes] | AsyncIterable[bytes] | None) -> Any:
    """Return a response of Django that streams ``body``, or that has the whole body if there is no stream."""
    from django.http import HttpResponse, StreamingHttpResponse

    response = HttpResponse(head.body or b"") if body is None else StreamingHttpResponse(body)
    response.status_code = head.status
    for name, value in head.headers:
        response[name] = value
    return response


def fastapi_response(relay: Any) -> Any:
    """Return a response of FastAPI for an ASGI relay; the header fields that the view adds are sent, too."""
    return _fastapi_class()(relay)


@cache
def _fastapi_class() -> Any:
    from fastapi import Response

    class RelayResponse(Response):  # type: ignore[misc,unused-ignore]  # Any, if FastAPI is not installed
        def __init__(self, relay: Any) -> None:
            super().__init__()
            self.raw_headers = relay.more_headers = []
            self._relay = relay

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self._relay(scope, receive, send)
            if self.background is not None:
                await self.background()

    return RelayResponse


async def quart_response(relay: AsyncAnswer) -> Any:
    """Return a response of Quart, or write the messages of the WebSocket that is being handled."""
    from quart import Response, request

    if relay.format == "websocket":
        await _quart_websocket(relay)
        return None
    head = await relay.open(request.method, request.headers.get("Last-Event-ID"))
    body = _pieces(AsyncBody(relay)) if head.body is None else head.body
    response = Response(body, status=head.status, headers=head.headers)
    response.timeout = None  # of the whole response, 60 s by default
    return response


async def _quart_websocket(relay: AsyncAnswer) -> None:
    from quart import websocket

    body = AsyncBody(relay)
    try:
        while frames := await body.read_messages():
            for frame in frames:
                await websocket.send(frame.decode())
    finally:
        body.close()
    await websocket.close(relay.close_code)


async def _pieces(body: AsyncBody) -> AsyncIterator[bytes]:
    """Yield the pieces of a body, for a framework that wants a generator."""
    try:
        async for piece in body:
            yield piece
    finally:
        body.close()
