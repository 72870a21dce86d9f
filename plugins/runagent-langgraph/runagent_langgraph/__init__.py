"""A runagent transport for graphs on a LangGraph server.

Installed next to runagent, it is chosen by the name ``langgraph``: ``RUNAGENT_TRANSPORT=langgraph``, or
``transport="langgraph"``. The agent id is the graph's name, or the id of an assistant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent import hookimpl
from runagent_langgraph.transport import LangGraphTransport

if TYPE_CHECKING:
    from runagent.transports import RegisterTransport

__all__ = ["LangGraphTransport", "runagent_register_transports"]


@hookimpl
def runagent_register_transports(register: RegisterTransport) -> None:
    """Offer ``langgraph``."""
    register(LangGraphTransport())
