"""The transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent.transports import Capability, check_options
from runagent_langgraph.plain import PlainRun
from runagent_langgraph.session import CancelRun, RunSession

if TYPE_CHECKING:
    from runagent.transports import AgentCall, ResumePoint, Route, Session

__all__ = ["LangGraphTransport"]

_OPTIONS: dict[str, Any] = {
    "langgraph_config": dict[str, Any],
    "langgraph_context": dict[str, Any],
    "langgraph_stream_mode": str | list[str],
    "langgraph_stream_subgraphs": bool,
}


class LangGraphTransport:
    """Runs graphs and assistants of a LangGraph server, each run on a thread."""

    name = "langgraph"
    api_version = 1
    capabilities = frozenset(
        {
            Capability.ATTACH,
            Capability.CANCEL,
            Capability.HEARTBEATS,
            Capability.INVOKE,
            Capability.REASONING,
            Capability.RESUME_BY_ID,
            Capability.REUSE,
            Capability.TOOLS,
        }
    )
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a run, or read on in one.

        Raises:
            ConfigurationError: An option of this transport is invalid.
            ValidationError: The input is not one that the protocol can carry.
        """
        check_options(call.options, "langgraph", _OPTIONS)
        return PlainRun(call, route, None) if call.mode == "invoke" else RunSession(call, route, resume)

    def open_cancel(self, call: AgentCall, route: Route) -> CancelRun:
        """Begin a session that asks to stop a run."""
        return CancelRun(call, route, None)
