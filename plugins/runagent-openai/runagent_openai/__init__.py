"""A runagent transport for agents behind OpenAI-compatible endpoints.

Installed next to runagent, it is chosen by the name ``openai``: ``RUNAGENT_TRANSPORT=openai``, or
``transport="openai"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent import hookimpl
from runagent_openai.transport import OpenAITransport

if TYPE_CHECKING:
    from runagent.transports import RegisterTransport

__all__ = ["OpenAITransport", "runagent_register_transports"]


@hookimpl
def runagent_register_transports(register: RegisterTransport) -> None:
    """Offer ``openai``."""
    register(OpenAITransport())
