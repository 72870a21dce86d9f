"""Passes a request on to a real service, and what either side sends to the other one, read by read."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

from runagent_testing._internal.clock import now
from runagent_testing._recording.format import COMPLETE, CUT, CUT_IN_CHUNK, RESET, TIMEOUT
from runagent_testing._recording.tap import ExchangeTap
from runagent_testing._server.player import hang_up

if TYPE_CHECKING:
    import ssl

    from aiohttp import web

    from runagent_testing._forwarding.upstream import Upstream
    from runagent_testing._host.forwarded import Forwarded
    from runagent_testing._journal.recorder import Recorder
    from runagent_testing._server.player import ResponseWriter

__all__ = ["UnreachableError", "forward"]

_PATIENCE = 30.0  # seconds to connect, the handshake of TLS included
_NOTED = 1000  # reads of one answer that the journal keeps: it may be endless
_ROOM = 256 * 1024  # bytes that one side may be ahead of the other


class UnreachableError(Exception):
    """No connection to the service could be opened."""


async def forward(
    asked: Forwarded, request: web.BaseRequest, writer: ResponseWriter, recorder: Recorder
) -> None:
    """Pass a request on, and the answer back, as it comes.

    Args:
        asked: The request, and where it goes.
        request: The client's connection.
        writer: Writes to the client.
        recorder: Notes what was written.

    Raises:
        UnreachableError: No connection to the service could be opened; nothing was sent to the client.
        ConnectionResetError: The client has disconnected.
    """
    tap = ExchangeTap(asked.forward.folder, asked.request, now())
    relay = _Relay(tap, writer, recorder)
    try:
        await _connect(asked.forward.upstream, relay)
        relay.service.write(asked.forward.upstream.request(asked.request))
        _listen(request, relay)
        await relay.ended.wait()
        if relay.failure is not None:
            raise relay.failure
        await _end(tap, writer)
    finally:
        tap.broken(now(), TIMEOUT, "the client has disconnected")
        relay.close()


async def _connect(upstream: Upstream, relay: _Relay) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_PATIENCE):
            context = await loop.run_in_executor(None, _context) if upstream.is_secure else None
            await loop.create_connection(lambda: relay, upstream.host, upstream.port, ssl=context)
    except (OSError, TimeoutError) as exc:
        relay.tap.broken(now(), RESET, "no connection")
        raise UnreachableError(f"{upstream.authority}: {str(exc) or 'no connection in time'}") from exc


def _context() -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context()


def _listen(request: web.BaseRequest, relay: _Relay) -> None:
    """Pass on what the client sends after the handshake of a WebSocket."""
    if request.headers.get("Upgrade", "").lower() == "websocket" and request.protocol is not None:
        cast("Any", request.protocol).set_parser(_ClientReader(relay))


async def _end(tap: ExchangeTap, writer: ResponseWriter) -> None:
    """End the client's connection as the service has ended the other one."""
    if tap.ended in (CUT, CUT_IN_CHUNK, RESET):
        await hang_up(writer, reset=tap.ended == RESET)
    else:
        await writer.drain()


class _Relay(asyncio.Protocol):
    """The connection to the service.

    Attributes:
        tap: Reads the exchange.
        service: The transport.
        ended: Set when the service has ended its answer or the connection, or the client has disconnected.
        failure: How the client has disconnected.
    """

    service: asyncio.Transport

    def __init__(self, tap: ExchangeTap, writer: ResponseWriter, recorder: Recorder) -> None:
        self.tap = tap
        self._writer = writer
        self._recorder = recorder
        self._count = 0
        self._draining: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        self.failure: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.service = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass on one read at once."""
        if self.ended.is_set():
            return
        self.tap.received(data, now())
        try:
            client = self._writer.transport
        except ConnectionResetError as exc:
            self.failure = exc
            self.ended.set()
            return
        client.write(data)
        self._writer.written += len(data)
        self._count += 1
        if self._count <= _NOTED:
            self._recorder.note_unplanned(data)
        if client.get_write_buffer_size() > _ROOM and self._draining is None:
            self.service.pause_reading()
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        if self.tap.ended == COMPLETE:
            self.ended.set()

    async def _drain(self) -> None:
        """Read on once the client has taken what it was sent."""
        try:
            await self._writer.drain()
        except Exception as exc:  # noqa: BLE001 - whatever it is, it ends the answer
            self.failure = self.failure or exc
            self.ended.set()
        finally:
            self._draining = None
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                self.service.resume_reading()

    def eof_received(self) -> None:
        self.tap.received(b"", now())
        self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.tap.broken(now(), RESET, "the connection was reset")
        elif not self.ended.is_set():
            self.tap.received(b"", now())
        self.ended.set()

    def pause_writing(self) -> None:
        self._set_reading(is_paused=True)

    def resume_writing(self) -> None:
        self._set_reading(is_paused=False)

    def _set_reading(self, *, is_paused: bool) -> None:
        with contextlib.suppress(ConnectionResetError, RuntimeError):
            client = self._writer.transport
            (client.pause_reading if is_paused else client.resume_reading)()

    def send(self, data: bytes) -> None:
        """Pass on what the client sends."""
        self.tap.sent(data, now())
        if not self.service.is_closing():
            self.service.write(data)

    def close(self) -> None:
        """Drop the connection to the service."""
        if self._draining is not None:
            self._draining.cancel()
        self.ended.set()
        if hasattr(self, "service"):
            self.service.abort()


class _ClientReader:
    """Passes on the bytes of a WebSocket's client; to aiohttp, it is a parser."""

    def __init__(self, relay: _Relay) -> None:
        self._relay = relay

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; answers aiohttp that there is more to come, and nothing left over."""
        self._relay.send(data)
        return False, b""

    def feed_eof(self) -> None:
        """Take the end of the connection."""
