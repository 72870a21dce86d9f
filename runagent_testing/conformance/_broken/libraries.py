"""Transports that are asyncio libraries, with the mistakes that only such transports can make."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace

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
    capabilities = frozenset(
        {
            *(Capability.HEARTBEATS, Capability.INVOKE, Capability.STRUCTURED),
            *(Capability.TOOLS, Capability.REASONING),
        }
    )
    runs_on = frozenset({"asyncio"})
    caught_by: ClassVar[str] = ""

    @property
    def description(self) -> str:
        """What it does wrong."""
        return (type(self).__doc__ or "").partition("\n")[0]

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        """Run the agent once."""
        session = (InvokeSession if call.mode == "invoke" else SSESession)(call, address.route, None)
        name = address.origin.host if address.ssl_context is not None else None
        reader, writer = await asyncio.open_connection(
            *address.endpoint, ssl=address.ssl_context, server_hostname=name
        )
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


class _AtTheRoot(Library):
    """Forgets the path of base_url."""

    name, caught_by = "library-at-the-root", "run.prefix"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        await super().run(replace(call, base=replace(call.base, prefix="")), address, resume, emit)


class _RawAgentId(Library):
    """Drops characters of the agent's id that are not ASCII."""

    name, caught_by = "library-raw-agent-id", "run.agent-id"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        plain = call.agent_id.encode("ascii", "ignore").decode()
        await super().run(replace(call, agent_id=plain), address, resume, emit)


class _QueryOnly(Library):
    """Sends the query, and drops the rest of the input."""

    name, caught_by = "library-query-only", "run.input"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        given: Any = call.input
        await super().run(replace(call, input={"query": given.get("query")}), address, resume, emit)


class _KeyOfItsOwn(Library):
    """Makes a new Idempotency-Key for each request."""

    name, caught_by = "library-key-of-its-own", "run.idempotency-key"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        await super().run(replace(call, idempotency_key=uuid.uuid4().hex), address, resume, emit)


class _OwnHeadersOnly(Library):
    """Sends only its own header fields."""

    name, caught_by = "library-own-headers-only", "run.callers-headers"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        await super().run(replace(call, headers=()), address, resume, emit)


class _IgnoresTheProxy(Library):
    """Connects to the agent, whatever proxy the caller has chosen."""

    name, caught_by = "library-ignores-the-proxy", "run.proxy"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        await super().run(call, replace(address, proxy=None), resume, emit)


class _AnonymousAtTheProxy(Library):
    """Sends no credentials to the proxy."""

    name, caught_by = "library-anonymous-at-the-proxy", "run.proxy"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        proxy = None if address.proxy is None else replace(address.proxy, authorization=None)
        await super().run(call, replace(address, proxy=proxy), resume, emit)


class _VerifiesNothing(Library):
    """Takes any certificate, whatever the caller's ssl_context trusts."""

    name, caught_by = "library-verifies-nothing", "run.tls"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        context = None if address.ssl_context is None else ssl._create_unverified_context()
        await super().run(call, replace(address, ssl_context=context), resume, emit)


class _TrustsItsOwn(Library):
    """Trusts its list of authorities, whatever the caller's ssl_context trusts."""

    name, caught_by = "library-trusts-its-own", "run.tls"

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        context = None if address.ssl_context is None else ssl.create_default_context()
        await super().run(call, replace(address, ssl_context=context), resume, emit)


LIBRARIES = (
    *(_Retries(), _ShowsLife(), _KeepsItsLoop(), _NeverCloses(), _CannotBeCancelled()),
    *(_AtTheRoot(), _RawAgentId(), _QueryOnly(), _KeyOfItsOwn(), _OwnHeadersOnly()),
    *(_IgnoresTheProxy(), _AnonymousAtTheProxy(), _VerifiesNothing(), _TrustsItsOwn()),
)
