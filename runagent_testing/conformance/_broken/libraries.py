"""Transports that are asyncio libraries, with the mistakes that only such transports can make."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, ClassVar

from runagent._errors import StreamTruncatedError
from runagent.capabilities import Capability
from runagent.transports._base import Wants
from runagent.transports._invoke import InvokeSession
from runagent.transports._sse import SSESession

if TYPE_CHECKING:
    from runagent._address.route import Address
    from runagent._call import AgentCall, ResumePoint
    from runagent.transports._async_transport import Emit

__all__ = ["LIBRARIES", "Library"]

_READ_BYTES = 65536


class Library:
    """A working one: SSE on asyncio's streams."""

    name = "library"
    api_version = 1
    capabilities = frozenset({Capability.HEARTBEATS, Capability.INVOKE, Capability.STRUCTURED})
    runs_on = frozenset({"asyncio"})
    caught_by: ClassVar[str] = ""

    @property
    def description(self) -> str:
        """What it does wrong."""
        return (type(self).__doc__ or "").partition("\n")[0]

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        """Run the agent once."""
        session = (InvokeSession if call.mode == "invoke" else SSESession)(call, address.route, None)
        reader, writer = await asyncio.open_connection(address.origin.host, address.origin.port)
        try:
            writer.write(session.data_to_send())
            while session.wants is Wants.READ and session.error is None:
                data = await reader.read(_READ_BYTES)
                await emit(*(session.receive_data(data) if data else session.receive_eof()))
        finally:
            self.abort(writer)
        if session.error is not None:
            raise session.error

    def abort(self, writer: asyncio.StreamWriter) -> None:
        """Close the connection, without waiting for its peer."""
        writer.transport.abort()


class _Retries(Library):
    """Runs the agent again by itself after the stream broke off."""

    name, caught_by = "library-retries", "run.not-begun-again"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        try:
            await super().run(call, address, resume, emit)
        except StreamTruncatedError:
            await super().run(call, address, resume, emit)


class _ShowsLife(Library):
    """Emits heartbeats that the agent did not send."""

    name, caught_by = "library-shows-life", "run.silence"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        async with asyncio.TaskGroup() as group:
            alive = group.create_task(self._show_life(emit))
            await super().run(call, address, resume, emit)
            alive.cancel()

    async def _show_life(self, emit: Emit) -> None:
        while True:
            await asyncio.sleep(0.02)
            await emit()


class _KeepsItsLoop(Library):
    """Runs everything in the event loop in which it was first used."""

    name, caught_by = "library-keeps-its-loop", "run.loops"
    _loop: asyncio.AbstractEventLoop | None = None

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        self._loop = self._loop or asyncio.get_running_loop()
        await self._loop.create_task(super().run(call, address, resume, emit))


class _NeverCloses(Library):
    """Leaves its connections to the garbage collector."""

    name, caught_by = "library-never-closes", "run.leaves-nothing"

    def abort(self, writer: asyncio.StreamWriter) -> None:
        """Forget the connection."""


class _CannotBeCancelled(Library):
    """Ignores cancellation."""

    name, caught_by = "library-cannot-be-cancelled", "run.cancelled-task"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        run = asyncio.ensure_future(super().run(call, address, resume, emit))
        try:
            await asyncio.shield(run)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await run


LIBRARIES = (_Retries(), _ShowsLife(), _KeepsItsLoop(), _NeverCloses(), _CannotBeCancelled())
