"""The transport: AG-UI over server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent.transports import Capability, check_options
from runagent_agui.session import AGUISession

if TYPE_CHECKING:
    from runagent.transports import AgentCall, ResumePoint, Route, Session

__all__ = ["AGUITransport"]

_OPTIONS = {"agui_path": str}


class AGUITransport:
    """Runs the agent at the URL that ``base_url`` is."""

    name = "agui"
    api_version = 1
    capabilities = frozenset(
        {Capability.HEARTBEATS, Capability.REASONING, Capability.REUSE, Capability.TOOLS}
    )
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session.

        Raises:
            ConfigurationError: An option of this transport is not usable.
            ValidationError: The input has a form that AG-UI cannot carry.
        """
        check_options(call.options, "agui_", _OPTIONS)
        return AGUISession(call, route)
