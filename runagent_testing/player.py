"""Plays a plan on the connection of an aiohttp request: writes, waits, ends."""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

from runagent_testing.script import Delay, Gate

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

    from runagent_testing.plan import End, Plan

__all__ = ["Sent", "play", "send"]


class Sent(web.StreamResponse):
    """Tells aiohttp that the answer has left already, and whether the connection serves on."""

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


async def play(plan: Plan, request: web.BaseRequest) -> None:
    """Give the answer; cancelled, it leaves a connection that can only be closed.

    Raises:
        ConnectionResetError: The client is gone.
    """
    for move in plan.moves:
        match move:
            case Delay():
                await asyncio.sleep(move.seconds)
            case Gate():
                await _pass(move)
            case _:
                await send(request, move)
    await _end(plan.end, request)


async def send(request: web.BaseRequest, data: bytes) -> None:
    """Write, then wait until the transport wants more.

    Raises:
        ConnectionResetError: The client is gone.
    """
    _transport(request).write(data)
    await request.writer.drain()


async def _pass(gate: Gate) -> None:
    opened = asyncio.Event()
    wake = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, opened.set)
    gate.on_open(wake)
    try:
        await opened.wait()
    finally:
        gate.forget(wake)


async def _end(end: End, request: web.BaseRequest) -> None:
    if end == "stall":
        await asyncio.Event().wait()
    if end in ("cut", "reset"):
        await _hang_up(request, reset=end == "reset")


async def _hang_up(request: web.BaseRequest, *, reset: bool) -> None:
    transport = _transport(request)
    # Aborting drops what the transport still holds, so all of it has to be with the kernel first.
    # asyncio's TLS transport pauses at its limit, the others above it; a limit of 0 would pause it for good.
    transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)
    await request.writer.drain()
    connection = transport.get_extra_info("socket")
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # Not close(): over TLS that would say goodbye first (close_notify), which is an end marker.
    transport.abort()


def _transport(request: web.BaseRequest) -> asyncio.Transport:
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has left")
    return transport
