"""Asking a library's service to stop a run, in the shape of a run of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from runagent._errors import PluginError, StreamError
from runagent._events import Completed

if TYPE_CHECKING:
    from runagent._address.route import Address
    from runagent._call import AgentCall, ResumePoint
    from runagent.transports._async_transport import AsyncTransport, CancellingTransport, Emit

__all__ = ["Canceller"]


class Canceller:
    """An `AsyncTransport` whose runs ask the service to stop another run."""

    def __init__(self, library: AsyncTransport) -> None:
        self._library = library
        self.name = library.name
        self.api_version = library.api_version
        self.capabilities = library.capabilities
        self.runs_on = library.runs_on

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        """Ask; see `CancellingTransport.cancel`."""
        answer: object = await cast("CancellingTransport", self._library).cancel(call, address)
        if not isinstance(answer, bool):
            raise PluginError(
                f"the transport {self.name!r} returned {answer!r} from cancel: return True or False",
                plugin=self.name,
            )
        if not answer:
            raise StreamError("the run is over", code="GONE")
        await emit(Completed())
