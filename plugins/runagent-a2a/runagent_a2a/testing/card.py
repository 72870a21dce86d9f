"""The card of a fake agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_a2a.testing.wires import WIRES

if TYPE_CHECKING:
    from runagent_a2a.testing.wires import Wire

__all__ = ["card"]


def card(agent_id: str, url: str) -> dict[str, Any]:
    """Write the card of an agent, with the fields of both versions.

    Args:
        agent_id: The agent's id.
        url: Its URL, for all bindings.
    """
    return {
        "name": agent_id,
        "description": "A fake agent",
        "version": "1",
        "supportedInterfaces": [_interface(wire, url) for wire in WIRES.values()],
        "capabilities": {"streaming": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "script", "name": "script", "description": "Plays it", "tags": ["fake"]}],
        # of 0.3
        "url": url,
        "preferredTransport": "JSONRPC",
        "protocolVersion": "0.3.0",
    }


def _interface(wire: Wire, url: str) -> dict[str, Any]:
    return {"url": url, "protocolBinding": wire.binding, "protocolVersion": wire.words.version}
