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
from runagent.lazy import importer

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
    from runagent.observers import register_observer
    from runagent.plugins import register_transport
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
    "runagent.observers": ("register_observer",),
    "runagent.plugins": ("register_transport",),
    "runagent.report": ("Attempt", "RunReport"),
    "runagent.stream": ("AsyncStream", "Stream"),
}
_import = importer(__name__, _HOMES)

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
    "Timeouts",
    "TransportError",
    "ValidationError",
    "__version__",
    "hookimpl",
    "register_observer",
    "register_transport",
]


if not TYPE_CHECKING:  # a checker that saw it would take every misspelt name for one that is there

    def __getattr__(name: str) -> Any:
        return _import("RunTimeoutError" if name == "TimeoutError" else name)


def __dir__() -> list[str]:
    return sorted(__all__)
