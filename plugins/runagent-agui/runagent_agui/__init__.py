"""A runagent transport for agents that speak AG-UI, the agent-user interaction protocol.

Installed next to runagent, it is chosen by the name ``agui``: ``RUNAGENT_TRANSPORT=agui``, or
``transport="agui"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent import hookimpl
from runagent_agui.transport import AGUITransport

if TYPE_CHECKING:
    from runagent.transports import RegisterTransport

__all__ = ["AGUITransport", "runagent_register_transports"]


@hookimpl
def runagent_register_transports(register: RegisterTransport) -> None:
    """Offer ``agui``."""
    register(AGUITransport())
