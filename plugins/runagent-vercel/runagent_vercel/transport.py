"""The transport: the UI message stream, version 1, over server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent.transports import Capability, check_options
from runagent_vercel.session import VercelSession

if TYPE_CHECKING:
    from runagent.transports import AgentCall, ResumePoint, Route, Session

__all__ = ["VercelTransport"]

_OPTIONS = {"vercel_path": str}


class VercelTransport:
    """Runs the agent at the URL that ``base_url`` is."""

    name = "vercel"
    api_version = 1
    capabilities = frozenset(
        {Capability.HEARTBEATS, Capability.REASONING, Capability.REUSE, Capability.TOOLS}
    )
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session.

        Raises:
            ConfigurationError: An option of this transport is not usable.
            ValidationError: The input has a form that UI messages cannot carry.
        """
        check_options(call.options, "vercel_", _OPTIONS)
        return VercelSession(call, route)
