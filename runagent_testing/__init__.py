"""A fake agent to test against: real sockets, every protocol an agent speaks.

    from runagent_testing import FakeAgentServer, delay, error

    with FakeAgentServer() as server:
        server.agent("writer").always("Once", delay(0.1), " upon", " a time")
        ...  # point any client at server.url

The names are imported on first use: importing this package imports no server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runagent_testing.agent import Agent, Exchange
    from runagent_testing.script import Gate, chunk, delay, done, ending, error, gate, heartbeat, raw, status
    from runagent_testing.server import FakeAgentServer

__all__ = [
    "Agent",
    "Exchange",
    "FakeAgentServer",
    "Gate",
    "chunk",
    "delay",
    "done",
    "ending",
    "error",
    "gate",
    "heartbeat",
    "raw",
    "status",
]

_HOME = dict.fromkeys(__all__, "script") | {
    "Agent": "agent",
    "Exchange": "agent",
    "FakeAgentServer": "server",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
