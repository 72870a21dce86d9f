"""The transport API for libraries that do their own I/O: one coroutine for each run emits its events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from runagent._public import publish
from runagent.transports._base import Transport

if TYPE_CHECKING:
    from runagent._address.route import Address
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event
    from runagent.capabilities import Capability

__all__ = ["AnyTransport", "AsyncTransport", "Emit", "RegisterTransport"]


class Emit(Protocol):
    """Passes events to the reader."""

    async def __call__(self, *events: Event) -> None:
        """Pass events to the reader, in this order; a call without events is a heartbeat.

        It waits while the reader has 64 events or more to take, which is the backpressure. If the reader
        closes the stream, the wait is cancelled.

        Raises:
            PluginError: An argument is not an event, or comes behind the last one.
        """


@runtime_checkable
class AsyncTransport(Protocol):
    """A transport on top of an asynchronous library, which makes its own connections.

    Prefer a `Transport` if you can: it works in every style at full speed, and the client handles its time
    limits, retries and connections. An AsyncTransport runs each call as one task. With the asynchronous
    client that is a task of the user's event loop. With the synchronous client, or on an event loop that the
    library does not support, it is a task of a separate loop, in a thread that ends with the call.

    Attributes:
        name: The name by which the configuration chooses this transport.
        api_version: The version of the transport API that it was written for.
        capabilities: What it can do beyond streaming a run.
        runs_on: The event loops that the library supports: ``asyncio``, ``trio`` or both.
    """

    name: str
    api_version: int
    capabilities: frozenset[Capability]
    runs_on: frozenset[str]

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        """Run the agent and emit its events; return once the agent is done.

        The whole run happens in one task, so task groups and ``async with`` around connections are safe. The
        last event is ``Completed``, or ``RunResult`` for a call of mode ``invoke``. The reader gets it at
        once, and the coroutine then has one second left to clean up.

        With the capabilities ``attach`` and ``cancel`` the ids of the run are those of ``Started``; a call
        with ``attach_to`` reads on in the run with these ids, and starts none. With ``cancel`` there is a
        second coroutine, ``async def cancel(self, call, address) -> bool``: True if the service confirmed
        that it stops the run of ``call.attach_to``, False if that was over.

        The coroutine is cancelled if the reader closes the stream, a time limit passes or the event loop
        ends. It then closes what it has opened, waits for no peer, and lets the cancellation propagate.

        Args:
            call: The call. Keep to its ``limits`` as far as the library can.
            address: Origin, proxy and TLS context that the user has chosen.
            resume: Where to resume a broken stream; None without the capability ``resume``.
            emit: Passes events to the reader; a call without events is a heartbeat.

        Raises:
            RunAgentError: The run failed. The reader gets it after the events before it. An OSError is
                reported as a broken connection. Any other exception becomes a PluginError, so map the
                library's errors here, with ``raise … from``.
        """


@runtime_checkable
class CancellingTransport(Protocol):
    """What an `AsyncTransport` with the capability ``cancel`` has in addition."""

    async def cancel(self, call: AgentCall, address: Address) -> bool:
        """Ask the service to stop the run whose ids are in ``call.attach_to``.

        It runs as ``run`` does: in a task of the caller's event loop if the library supports it, else in a
        thread. It has 5 s, then it is cancelled.

        Args:
            call: The call, with ``session_id`` and ``invocation_id`` of the run's ``Started`` as ids.
            address: Origin, proxy and TLS context that the user has chosen.

        Returns:
            True if the service confirmed; False if the run was over.

        Raises:
            RunAgentError: The service did neither; other exceptions as for ``run``.
        """


AnyTransport = Transport | AsyncTransport
RegisterTransport = Callable[[AnyTransport], None]
"""The argument of the hook ``runagent_register_transports``."""


publish(AsyncTransport, Emit, module="runagent.transports")
