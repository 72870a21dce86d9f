"""A client for fake agents that respond by a function, on a server or in a memory network."""

from __future__ import annotations

from runagent import RunAgentClient
from runagent_testing import MemoryNetwork

__all__ = ["client_of"]


def client_of(host, transport="sse", agent="a", **options):
    network = {"network": host.blocking} if isinstance(host, MemoryNetwork) else {}
    options = {"max_retries": 0, "resume": False} | network | options
    return RunAgentClient(agent, base_url=host.url, transport=transport, **options)
