"""A runagent transport for models behind Ollama.

Installed next to runagent, it is chosen by the name ``ollama``: ``RUNAGENT_TRANSPORT=ollama``, or
``transport="ollama"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent import hookimpl
from runagent_ollama.transport import OllamaTransport

if TYPE_CHECKING:
    from runagent.transports import RegisterTransport

__all__ = ["OllamaTransport", "runagent_register_transports"]


@hookimpl
def runagent_register_transports(register: RegisterTransport) -> None:
    """Offer ``ollama``."""
    register(OllamaTransport())
