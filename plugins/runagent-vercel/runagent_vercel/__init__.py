"""A runagent transport for agents behind the UI message stream of Vercel's AI SDK.

Installed next to runagent, it is chosen by the name ``vercel``: ``RUNAGENT_TRANSPORT=vercel``, or
``transport="vercel"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent import hookimpl
from runagent_vercel.transport import VercelTransport

if TYPE_CHECKING:
    from runagent.transports import RegisterTransport

__all__ = ["VercelTransport", "runagent_register_transports"]


@hookimpl
def runagent_register_transports(register: RegisterTransport) -> None:
    """Offer ``vercel``."""
    register(VercelTransport())
