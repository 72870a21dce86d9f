"""Plays plans on the connection of an aiohttp request: writes, waits, ends.

aiohttp only accepts and parses: every byte of an answer goes through the transport, past aiohttp's
own writers.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

from runagent_testing._internal.clock import now
from runagent_testing._render.lazy import LazyPlan
from runagent_testing._render.plan import ENDS, Pass, Wait, Write
from runagent_testing._server.tcpinfo import bytes_taken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.abc import AbstractStreamWriter

    from runagent_testing._host.runs import Reading
    from runagent_testing._host.websocket import Conversation
    from runagent_testing._journal.recorder import Recorder
    from runagent_testing._render.plan import AnyPlan, End, Move
    from runagent_testing._script.gates import Gate

__all__ = ["LINGER_NOT", "ResponseWriter", "Sent", "hang_up", "play", "play_until_cancelled"]

LINGER_NOT = struct.pack("ii", 1, 0)  # closing a socket with this (SO_LINGER) sends a RST
_TURN = 64  # moves after which others have their turn


class Sent(web.StreamResponse):
    """Shows aiohttp that the answer has left already, and whether the connection serves on."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._reusable = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._reusable

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


class ResponseWriter:
    """The bytes of one connection, and what a WebSocket's two sides send between the writes of a plan.

    Attributes:
        written: How many bytes were handed to the transport.
    """

    written = 0

    def __init__(
        self, request: web.BaseRequest, recorder: Recorder, conversation: Conversation | None = None
    ) -> None:
        self._request = request
        self._recorder = recorder
        self._conversation = conversation
        self._taken_before = bytes_taken(request.transport)

    @property
    def connection(self) -> web.RequestHandler | None:
        """aiohttp's protocol, also when the connection is lost."""
        return self._request.protocol

    def untaken(self, taken: int | None) -> int | None:
        """Count what was written here and is not in what `bytes_taken` counts; None if that is not known."""
        if taken is None or self._taken_before is None:
            return None
        return max(self.written - (taken - self._taken_before), 0)

    @property
    def transport(self) -> asyncio.Transport:
        """Where the bytes go.

        Raises:
            ConnectionResetError: The client is gone.
        """
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has disconnected")
        return transport

    async def write(self, write: Write) -> None:
        """Write, then wait until the transport wants more.

        Raises:
            ConnectionResetError: The client is gone.
        """
        self.transport.write(write.data)
        self.written += len(write.data)
        if self._conversation is not None:
            self._conversation.wrote(write)
            self.flush()
        await self.drain()

    def write_eof(self) -> None:
        """Write nothing more, whatever the client of a WebSocket may send."""
        self.transport.write_eof()
        if self._conversation is not None:
            self._conversation.silent = True

    async def drain(self) -> None:
        """Wait until the transport wants more."""
        await self._request.writer.drain()

    def flush(self) -> None:
        """Write what the conversation has to send."""
        if self._conversation is not None and (data := self._conversation.data_to_send()):
            self.transport.write(data)
            self.written += len(data)
            self._recorder.note_unplanned(data)


async def play(plan: AnyPlan, line: ResponseWriter, recorder: Recorder | None = None) -> None:
    """Give the answer; cancelled, it leaves a connection that can only be closed.

    Args:
        plan: The answer.
        line: Where to.
        recorder: Where it is noted; None for a WebSocket's handshake.

    Raises:
        ConnectionResetError: The client is gone.
    """
    if isinstance(plan, LazyPlan):
        while moves := await plan.more():
            await _make(moves, line, recorder)
    else:
        await _make(plan, line, recorder)
    if recorder is not None:
        await _end(plan, line, recorder)


async def play_until_cancelled(
    plan: AnyPlan, reading: Reading, line: ResponseWriter, recorder: Recorder
) -> End | None:
    """Give the answer, or only its beginning and another end if its run is cancelled.

    Args:
        plan: The answer.
        reading: Reports that the run is cancelled, and makes the other end.
        line: Where to.
        recorder: Where it is noted.

    Returns:
        The end of the plan that was played last.

    Raises:
        ConnectionResetError: The client is gone.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as scope:
            wake = functools.partial(loop.call_soon_threadsafe, _expire, scope)
            reading.stop.on_open(wake)
            try:
                await play(plan, line, recorder)
            finally:
                reading.stop.forget(wake)
            return plan.end
    except TimeoutError:
        if not reading.stop.is_open:
            raise
    farewell = reading.farewell()
    recorder.note_unplanned(farewell.data)
    await play(farewell, line)
    return farewell.end


def _expire(scope: asyncio.Timeout) -> None:
    with contextlib.suppress(RuntimeError):  # it has just been left
        scope.reschedule(0.0)  # which has passed


async def _make(moves: Iterable[Move], line: ResponseWriter, recorder: Recorder | None) -> None:
    began = now()
    for count, move in enumerate(moves, 1):
        match move:
            case Write():
                await line.write(move)
            case Wait():
                await asyncio.sleep(move.seconds if move.due is None else began + move.due - now())
            case Pass():
                await _pass(move.gate)
        if recorder is not None:
            recorder.note_move(move)
        if not count % _TURN:  # a socket that takes everything at once never waits
            await asyncio.sleep(0)


async def _pass(gate: Gate) -> None:
    opened = asyncio.Event()
    wake = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, opened.set)
    gate.on_open(wake)
    try:
        await opened.wait()
    finally:
        gate.forget(wake)


async def _end(plan: AnyPlan, line: ResponseWriter, recorder: Recorder) -> None:
    end = ENDS[plan.end]
    if end.shuts_writing and not line.transport.can_write_eof():  # over TLS there is no half-close
        end = ENDS["cut"]
    if end.drops:
        await hang_up(line, reset=end.resets)
    if end.shuts_writing:
        line.write_eof()
    if end.is_done:
        recorder.end("done")
    if end.shuts_writing or not end.is_done:
        await asyncio.Event().wait()


async def hang_up(line: ResponseWriter, *, reset: bool) -> None:
    """Drop the connection, once everything has been sent: by FIN or RST, over TLS without close_notify."""
    transport = line.transport
    # Aborting drops what the transport still holds, so all of it has to be with the kernel first.
    # asyncio's TLS transport pauses at its limit, the others above it; a limit of 0 would pause it for ever.
    transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)
    await line.drain()
    connection = transport.get_extra_info("socket")
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    # Not close(): over TLS that would announce the end first (close_notify), which is an end marker.
    transport.abort()
