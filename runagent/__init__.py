"""Stream answers from AI agents: over SSE, chunked HTTP or a WebSocket; synchronous, on asyncio or on trio.

    from runagent import RunAgentClient

    client = RunAgentClient(agent_id="your-agent-id")
    for chunk in client.run_generic_stream({"query": "Tell me a story"}):
        print(chunk, end="", flush=True)

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._version import __version__

if TYPE_CHECKING:
    from runagent.client import AsyncRunAgentClient, RunAgentClient
    from runagent.config import Timeouts
    from runagent.errors import (
        AgentError,
        AgentNotFoundError,
        AgentServerError,
        AuthenticationError,
        ConfigurationError,
        NetworkError,
        PermissionDeniedError,
        PluginError,
        ProtocolError,
        RateLimitError,
        RunAgentError,
        RunTimeoutError,
        StreamError,
        StreamLimitError,
        StreamTimeoutError,
        StreamTruncatedError,
        TransportError,
        ValidationError,
    )
    from runagent.events import Chunk, Completed, RunResult, Started
    from runagent.hookspecs import hookimpl
    from runagent.report import Attempt, RunReport
    from runagent.stream import AsyncStream, Stream

    TimeoutError = RunTimeoutError  # noqa: A001  # the name is meant to be the builtin's: it is one, too

_HOMES = {
    "runagent.client": ("AsyncRunAgentClient", "RunAgentClient"),
    "runagent.config": ("Timeouts",),
    "runagent.errors": (
        "AgentError",
        "AgentNotFoundError",
        "AgentServerError",
        "AuthenticationError",
        "ConfigurationError",
        "NetworkError",
        "PermissionDeniedError",
        "PluginError",
        "ProtocolError",
        "RateLimitError",
        "RunAgentError",
        "RunTimeoutError",
        "StreamError",
        "StreamLimitError",
        "StreamTimeoutError",
        "StreamTruncatedError",
        "TransportError",
        "ValidationError",
    ),
    "runagent.events": ("Chunk", "Completed", "RunResult", "Started"),
    "runagent.hookspecs": ("hookimpl",),
    "runagent.report": ("Attempt", "RunReport"),
    "runagent.stream": ("AsyncStream", "Stream"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AgentError",
    "AgentNotFoundError",
    "AgentServerError",
    "AsyncRunAgentClient",
    "AsyncStream",
    "Attempt",
    "AuthenticationError",
    "Chunk",
    "Completed",
    "ConfigurationError",
    "NetworkError",
    "PermissionDeniedError",
    "PluginError",
    "ProtocolError",
    "RateLimitError",
    "RunAgentClient",
    "RunAgentError",
    "RunReport",
    "RunResult",
    "RunTimeoutError",
    "Started",
    "Stream",
    "StreamError",
    "StreamLimitError",
    "StreamTimeoutError",
    "StreamTruncatedError",
    "TimeoutError",
    "Timeouts",
    "TransportError",
    "ValidationError",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get("RunTimeoutError" if name == "TimeoutError" else name)
    if home is None:
        raise AttributeError(f"module 'runagent' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), "RunTimeoutError" if name == "TimeoutError" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
