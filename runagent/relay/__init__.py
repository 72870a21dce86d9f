"""Relay the stream of a run to a browser, or to any other client, over SSE, NDJSON or a WebSocket.

    from runagent.relay import relay

    @app.get("/stream")                                  # Starlette, for example
    async def stream(request):
        return relay(client.run_generic_stream(request.query_params["query"]))

The relay waits until the service has accepted the run, so that a refusal becomes an HTTP status; it sends
heartbeats, notices that the browser has left, and ends every answer with ``done`` or ``error``. What it
writes is the RunAgent format, so this client reads it, too. docs/gateways.md has an example for each
framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from runagent._errors import ConfigurationError
from runagent._run.async_stream import AsyncStream
from runagent._run.stream import Stream
from runagent.relay._async import AsyncRelay
from runagent.relay._sync import Relay

if TYPE_CHECKING:
    from collections.abc import Collection

    from runagent.relay._core import RelayFormat
    from runagent.relay._refusals import Statuses

__all__ = ["AsyncRelay", "Relay", "relay"]


@overload
def relay(
    stream: Stream,
    *,
    format: RelayFormat = ...,
    heartbeat: float = ...,
    include: Collection[str] = ...,
    last_event_id: str | int | None = ...,
    status: Statuses | None = ...,
) -> Relay: ...
@overload
def relay(
    stream: AsyncStream,
    *,
    format: RelayFormat = ...,
    heartbeat: float = ...,
    include: Collection[str] = ...,
    last_event_id: str | int | None = ...,
    status: Statuses | None = ...,
) -> AsyncRelay: ...
def relay(
    stream: Any,
    *,
    format: RelayFormat = "sse",  # noqa: A002  # the name of the public argument
    heartbeat: float = 15.0,
    include: Collection[str] = (),
    last_event_id: str | int | None = None,
    status: Statuses | None = None,
) -> Any:
    """Make the answer to a browser from the stream of a run.

    Args:
        stream: A ``Stream`` for WSGI, an ``AsyncStream`` for ASGI. Nothing of it was read; ``accepted()`` and
            ``wait()`` keep every event.
        format: ``sse``, ``ndjson`` (one JSON object a line) or ``websocket`` (ASGI only).
        heartbeat: Seconds of silence after which something is written, so that proxies keep the connection.
        include: What is relayed beyond the content of chunks: any of ``reasoning``, ``tool_call``, ``custom``
            and ``usage``.
        last_event_id: What the browser's ``Last-Event-ID`` has; by default the relay reads it from the
            request. An index has the run go on behind that chunk; ``end`` is answered with 204, and the
            agent is not asked.
        status: HTTP statuses, from 400 to 599, in place of those of docs/gateways.md, by the error's code or
            class; the code goes first, then the nearest class.

    Returns:
        A WSGI application for a ``Stream``, an ASGI application for an ``AsyncStream``.

    Raises:
        ConfigurationError: An argument is not usable.
        RuntimeError: The stream was read, relayed or closed. If that happens later, the answer raises it, as
            it does for a second request, before anything is sent.

    Example:
        ``return relay(client.run_generic_stream(query), status={RateLimitError: 503})``
    """
    arguments = (format, heartbeat, include, last_event_id, status)
    if isinstance(stream, AsyncStream):
        return AsyncRelay(stream, *arguments)
    if isinstance(stream, Stream):
        return Relay(stream, *arguments)
    raise ConfigurationError(f"stream: expected a Stream or an AsyncStream, found {type(stream).__name__}")
