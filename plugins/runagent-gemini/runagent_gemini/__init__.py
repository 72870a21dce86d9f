"""A runagent transport for models behind Google's Gemini API.

Installed next to runagent, it is chosen by the name ``gemini``: ``RUNAGENT_TRANSPORT=gemini``, or
``transport="gemini"``. The agent id is the model's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent import hookimpl
from runagent_gemini.transport import GeminiTransport

if TYPE_CHECKING:
    from runagent.transports import RegisterTransport

__all__ = ["GeminiTransport", "runagent_register_transports"]


@hookimpl
def runagent_register_transports(register: RegisterTransport) -> None:
    """Offer ``gemini``."""
    register(GeminiTransport())
