"""The class of the broken transports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent.transports._invoke import InvokeSession
from runagent.transports._stream import StreamTransport
from runagent.transports._websocket import WebSocketTransport

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent.capabilities import Capability
    from runagent.transports._base import Session

__all__ = ["HTTP", "WEBSOCKET", "Broken", "Open"]

Open = Callable[["AgentCall", "Route", "ResumePoint | None"], "Session"]

HTTP = StreamTransport.capabilities
WEBSOCKET = WebSocketTransport.capabilities


@dataclass
class Broken:
    """A transport with one mistake.

    Attributes:
        name: The transport's name.
        caught_by: The requirement that has to fail it.
        session: Makes its sessions.
        capabilities: The declared capabilities.
        tunnels: As for any transport.
        invoke: Makes the sessions of plain runs.
    """

    name: str
    caught_by: str
    session: Open
    capabilities: frozenset[Capability] = HTTP
    tunnels: bool = False
    invoke: Open = InvokeSession
    api_version: int = 1

    @property
    def mistake(self) -> Any:
        """The class with the mistake."""
        return self.session if self.invoke is InvokeSession else self.invoke

    @property
    def description(self) -> str:
        """What it does wrong."""
        return (self.session.__doc__ or "").partition("\n")[0]

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session."""
        return (self.invoke if call.mode == "invoke" else self.session)(call, route, resume)
