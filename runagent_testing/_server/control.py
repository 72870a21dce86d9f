"""Plays the answers of the control API on aiohttp's connections, in front of the agents' handler."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from runagent_testing._control.api import is_control
from runagent_testing._control.messages import MAX_CONTROL_BODY, ControlError, EventStream, Later, Reply
from runagent_testing._internal.clock import now
from runagent_testing._internal.log import log_failure
from runagent_testing._server.connection import Connection, read_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent_testing._control.api import Control

__all__ = ["ControlHandler"]

_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_SLICE = 0.25  # seconds that a thread waits before it is known whether the client is still there
_PAUSE = 0.005  # seconds between two looks that did not wait
_TICK = 0.05  # seconds between two looks for events
_HEARTBEAT = 10.0  # seconds without an event until a comment is sent


class ControlHandler:
    """Answers requests to the control API, and hands on all others.

    Args:
        control: Decides on the answers.
        agents: Answers all other requests.
        recount: Called with -1 for a connection that turns out to be one of the control API, which then does
            not count, and with 1 if it carries another request after all.
    """

    def __init__(
        self,
        control: Control,
        agents: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        recount: Callable[[int], None],
    ) -> None:
        self._control = control
        self._agents = agents
        self._recount = recount

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        connection = request.protocol
        assert isinstance(connection, Connection)
        if not is_control(request.raw_path, request.method):
            if connection.is_control:
                connection.is_control = False
                self._recount(1)
            return await self._agents(request)
        if not connection.is_control and not connection.served:
            connection.is_control = True
            self._recount(-1)
        return await self._answer(request)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        outcome = self._control.answer(await read_request(request, MAX_CONTROL_BODY))
        if isinstance(outcome, EventStream):
            return await _stream(outcome, request)
        reply = outcome if isinstance(outcome, Reply) else await _later(outcome)
        body = b"" if reply.status == 204 else reply.body
        return web.Response(body=body, status=reply.status, headers={**_HEADERS, **reply.headers})


async def _later(outcome: Later) -> Reply:
    """Look for an answer in threads; each waits for a moment, so that none outlives its request for long."""
    until = now() + outcome.timeout
    while True:
        rest = max(until - now(), 0.0)
        reply = await asyncio.to_thread(_looked, functools.partial(outcome.look, min(rest, _SLICE)))
        if reply is None and not rest and outcome.late is not None:
            reply = await asyncio.to_thread(_looked, outcome.late)
        if reply is not None:
            return reply
        await asyncio.sleep(_PAUSE)


def _looked(look: Callable[[], Reply | None]) -> Reply | None:
    try:
        return look()
    except ControlError as exc:
        return exc.reply()
    except Exception as exc:  # noqa: BLE001 - a function of the test may hang, for example
        log_failure("the fake agent server was unable to answer a request to /_fake", exc)
        return ControlError(500, "FAILED", f"{type(exc).__name__}: {exc}").reply()


async def _stream(outcome: EventStream, request: web.BaseRequest) -> web.StreamResponse:
    """Send events until the client disconnects, which ends this task."""
    response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
    await response.prepare(request)
    quiet_since = 0.0
    while True:
        events = await asyncio.to_thread(outcome.look)
        if events:
            await response.write(b"".join(_event(name, data) for name, data in events))
        elif now() - quiet_since > _HEARTBEAT:
            await response.write(b": alive\n\n")
        if events or now() - quiet_since > _HEARTBEAT:
            quiet_since = now()
        await asyncio.sleep(_TICK)


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
