"""Clients of a fake agent that meets faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork

if TYPE_CHECKING:
    from tests.runagent_testing.players import Host

__all__ = ["ONCE", "OVERSIZED", "TEXT", "client", "met", "text_or_error"]

TEXT = ("Once ", "upön ", "a tïme ", "🦊")
ONCE: dict[str, Any] = {"max_retries": 0, "resume": False}
# These take a moment.
OVERSIZED = ["oversized-head", "many-headers", "interim-flood", "endless-line", "endless-event"]
OVERSIZED += ["oversized-message", "oversized-in-fragments"]


def client(host: Host, transport: str = "sse", **options: Any) -> RunAgentClient:
    network = host.blocking if isinstance(host, MemoryNetwork) else None
    return RunAgentClient("a", base_url=host.url, transport=transport, network=network, **options)


def met(host: Any) -> list[Any]:
    """Return the fault of each run of a host or scope."""
    return [exchange.fault for exchange in host.requests]


def text_or_error(a_client: RunAgentClient) -> Any:
    try:
        return a_client.run_generic_stream("x").text()
    except RunAgentError as exc:
        return exc
