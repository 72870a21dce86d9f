"""A runagent transport for agents that speak A2A.

Installed next to runagent, it is chosen by the name ``a2a``: ``RUNAGENT_TRANSPORT=a2a``, or
``transport="a2a"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent import hookimpl
from runagent_a2a.transport import A2ATransport

if TYPE_CHECKING:
    from runagent.transports import RegisterTransport

__all__ = ["A2ATransport", "runagent_register_transports"]


@hookimpl
def runagent_register_transports(register: RegisterTransport) -> None:
    """Offer ``a2a``."""
    register(A2ATransport())
