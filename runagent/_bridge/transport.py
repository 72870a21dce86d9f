"""The transport that runs an asynchronous library: light, so that nobody pays for it who has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._bridge.session import LibrarySession
    from runagent._call import AgentCall, ResumePoint
    from runagent.transports._async_transport import AsyncTransport

__all__ = ["LibraryTransport"]


class LibraryTransport:
    """Makes an `AsyncTransport` a `Transport` whose sessions bring their own connection."""

    tunnels = False
    brings_connection = True

    def __init__(self, library: AsyncTransport) -> None:
        self.library = library
        self.name = library.name
        self.api_version = library.api_version
        self.capabilities = library.capabilities

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> LibrarySession:
        """Begin a session."""
        from runagent._bridge.session import LibrarySession  # threads and event loops, for those who use one

        return LibrarySession(self.library, call, resume)

    def open_cancel(self, call: AgentCall, route: Route) -> LibrarySession:
        """Begin to ask the service to stop a run."""
        from runagent._bridge.cancelling import Canceller
        from runagent._bridge.session import LibrarySession

        return LibrarySession(Canceller(self.library), call, None)
