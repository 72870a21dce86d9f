"""The transport: a stream, a plain run, or the end of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent.transports import Capability
from runagent_a2a.cancel import A2ACancel
from runagent_a2a.interfaces import check
from runagent_a2a.plain import A2APlain
from runagent_a2a.stream import A2AStream

if TYPE_CHECKING:
    from runagent.transports import AgentCall, ResumePoint, Route, Session

__all__ = ["A2ATransport"]


class A2ATransport:
    """Runs agents that speak A2A: JSON-RPC and HTTP+JSON of 1.0, JSON-RPC of 0.3."""

    name = "a2a"
    api_version = 1
    capabilities = frozenset(
        {
            Capability.ATTACH,
            Capability.CANCEL,
            Capability.HEARTBEATS,
            Capability.INVOKE,
            Capability.RESUME_BY_SNAPSHOT,
            Capability.REUSE,
            Capability.STRUCTURED,
        }
    )
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session.

        Raises:
            ConfigurationError: An option of this transport is not usable.
            ValidationError: A2A cannot carry the input.
        """
        check(call)
        return A2APlain(call, route, None) if call.mode == "invoke" else A2AStream(call, route, resume)

    def open_cancel(self, call: AgentCall, route: Route) -> Session:
        """Begin a session that asks to cancel the task of ``call.attach_to``."""
        check(call)
        return A2ACancel(call, route)
