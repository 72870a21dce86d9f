"""A runagent transport for agents and models behind the Anthropic Messages API.

Installed next to runagent, it is chosen by the name ``anthropic``: ``RUNAGENT_TRANSPORT=anthropic``, or
``transport="anthropic"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent import hookimpl
from runagent_anthropic.transport import AnthropicTransport

if TYPE_CHECKING:
    from runagent.transports import RegisterTransport

__all__ = ["AnthropicTransport", "runagent_register_transports"]


@hookimpl
def runagent_register_transports(register: RegisterTransport) -> None:
    """Offer ``anthropic``."""
    register(AnthropicTransport())
