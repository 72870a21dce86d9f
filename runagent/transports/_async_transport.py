"""The transport API for libraries that do their own I/O: one coroutine a run hands events over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from runagent.transports._base import Transport

if TYPE_CHECKING:
    from runagent._address.route import Address
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event
    from runagent.capabilities import Capability

__all__ = ["AnyTransport", "AsyncTransport", "Emit", "RegisterTransport"]


class Emit(Protocol):
    """Hands events over to the reader."""

    async def __call__(self, *events: Event) -> None:
        """Hand over events in this order; without any, tell that the agent shows life.

        Waits while 64 events or more have not been taken, which is the back-pressure; whoever waits is
        cancelled when the reader leaves. What comes after ``Completed`` or ``RunResult`` is ignored.

        Raises:
            TypeError: Something else than an event was given.
        """


@runtime_checkable
class AsyncTransport(Protocol):
    """A transport that is somebody's asynchronous library, with its own connections.

    It is the second choice: a `Transport` works in every style at full speed, and its time limits, retries
    and connections are core's. This one runs each call as one task in the event loop of the asynchronous
    client, or, for the synchronous client and on a loop that it does not know, in a loop of its own in a
    thread that ends with the call.

    Attributes:
        name: The word in the configuration that chooses it.
        api_version: The version of the transport API that it was written for.
        capabilities: What it can do beyond streaming a run.
        runs_on: The event loops that the library knows: ``asyncio``, ``trio`` or both.
    """

    name: str
    api_version: int
    capabilities: frozenset[Capability]
    runs_on: frozenset[str]

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        """Run the agent and hand over its events; return once the agent is done.

        Everything happens in one task from beginning to end, so that task groups and ``async with`` around
        connections are safe. The last event is ``Completed``, for a call of mode ``invoke`` a ``RunResult``;
        it is handed out at once, and what the coroutine still has to tidy up gets one second.

        It is cancelled when the reader leaves, when a time limit has passed and when the event loop ends;
        it then closes what it has opened, waits for no peer, and lets the cancellation go on.

        Args:
            call: What is asked. Its ``limits`` are to be kept to as far as the library can.
            address: Origin, proxy and TLS context that the user has chosen.
            resume: Where a broken stream is to go on; None without the capability ``resume``.
            emit: Hands events over. Called without an event it is a heartbeat.

        Raises:
            RunAgentError: The run failed; it is raised for the reader after the events before it. An
                OSError is told as a broken connection. Whatever else escapes becomes a PluginError, so a
                library's own errors are best mapped here, with ``raise … from``.
        """


AnyTransport = Transport | AsyncTransport
RegisterTransport = Callable[[AnyTransport], None]
