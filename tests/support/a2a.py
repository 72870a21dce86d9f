"""Fixtures for A2A: the three bindings, and clients of the agent ``writer``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import RunAgentClient
from runagent_testing import FakeAgentServer, MemoryNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style

__all__ = ["a2a_client", "memory", "run_a2a", "spoken"]

BINDINGS = {
    "JSON-RPC": {},
    "HTTP+JSON": {"a2a_binding": "HTTP+JSON"},
    "0.3": {"a2a_version": "0.3"},
}


@pytest.fixture(params=BINDINGS)
def spoken(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The options that choose each binding in turn; without any the card does."""
    return dict(BINDINGS[request.param])


@pytest.fixture
def a2a_client(style: Style, spoken: dict[str, Any]) -> Callable[..., Any]:
    """Makes clients of an agent of a server, in each style, over each binding."""

    def make(server: FakeAgentServer, **options: Any) -> Any:
        url = f"{server.url}/a2a/writer"
        given = {"retry_delay": 0.001, "transport_options": spoken}
        return style.client("writer", base_url=url, transport="a2a", **given | options)

    return make


@pytest.fixture
def memory() -> MemoryNetwork:
    """A network in memory, on virtual time."""
    return MemoryNetwork()


@pytest.fixture
def run_a2a(memory: MemoryNetwork, spoken: dict[str, Any]) -> Callable[..., Any]:
    """Runs the agent in memory, over each binding, and returns the events."""

    def events(given: Any = "hi", **options: Any) -> Any:
        made: dict[str, Any] = {"max_retries": 0, "transport_options": spoken} | options
        url = f"{memory.url}/a2a/writer"
        with RunAgentClient(
            "writer", base_url=url, transport="a2a", network=memory.blocking, **made
        ) as client:
            return list(client.run_generic_stream(given).events())

    return events
