"""Stream answers from AI agents: over SSE, chunked HTTP or a WebSocket; synchronous, on asyncio or on trio.

    from runagent import RunAgentClient

    client = RunAgentClient(agent_id="your-agent-id")
    for chunk in client.run_generic_stream({"query": "Tell me a story"}):
        print(chunk, end="", flush=True)

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._internal.lazy import importer
from runagent._version import __version__

if TYPE_CHECKING:
    from runagent._call import AgentCall
    from runagent._client.async_client import AsyncRunAgentClient
    from runagent._client.client import RunAgentClient
    from runagent._config.settings import Settings
    from runagent._config.timeouts import Timeouts
    from runagent._errors import (
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
        RunTimeoutError,
        StreamError,
        StreamLimitError,
        StreamTimeoutError,
        StreamTruncatedError,
        TransportError,
        ValidationError,
    )
    from runagent._events import (
        Chunk,
        Completed,
        Custom,
        JSONValue,
        Reasoning,
        RunResult,
        Started,
        StreamEvent,
        ToolCall,
        answer,
    )
    from runagent._net.base import AsyncNetwork, Network
    from runagent._plugins.call_observers import CallObserver
    from runagent._plugins.hookspecs import hookimpl
    from runagent._plugins.networks import register_network
    from runagent._plugins.observers import register_observer
    from runagent._plugins.registration import Registration
    from runagent._plugins.registry import register_transport
    from runagent._report import Attempt, RunAgentError, RunReport, Tokens
    from runagent._run.async_stream import AsyncStream
    from runagent._run.stream import Stream
    from runagent._run.stream_core import StreamResult

    TimeoutError = RunTimeoutError  # noqa: A001  # the name is meant to be the builtin's: it is one, too

_HOMES = {
    "runagent._call": ("AgentCall",),
    "runagent._client.async_client": ("AsyncRunAgentClient",),
    "runagent._client.client": ("RunAgentClient",),
    "runagent._config.settings": ("Settings",),
    "runagent._config.timeouts": ("Timeouts",),
    "runagent._errors": (
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
        "RunTimeoutError",
        "StreamError",
        "StreamLimitError",
        "StreamTimeoutError",
        "StreamTruncatedError",
        "TransportError",
        "ValidationError",
    ),
    "runagent._events": (
        "Chunk",
        "Completed",
        "Custom",
        "JSONValue",
        "Reasoning",
        "RunResult",
        "Started",
        "StreamEvent",
        "ToolCall",
        "answer",
    ),
    "runagent._net.base": ("AsyncNetwork", "Network"),
    "runagent._plugins.call_observers": ("CallObserver",),
    "runagent._plugins.hookspecs": ("hookimpl",),
    "runagent._plugins.networks": ("register_network",),
    "runagent._plugins.observers": ("register_observer",),
    "runagent._plugins.registration": ("Registration",),
    "runagent._plugins.registry": ("register_transport",),
    "runagent._report": ("Attempt", "RunAgentError", "RunReport", "Tokens"),
    "runagent._run.async_stream": ("AsyncStream",),
    "runagent._run.stream": ("Stream",),
    "runagent._run.stream_core": ("StreamResult",),
}
_import = importer(__name__, _HOMES)

__all__ = [
    "AgentCall",
    "AgentError",
    "AgentNotFoundError",
    "AgentServerError",
    "AsyncNetwork",
    "AsyncRunAgentClient",
    "AsyncStream",
    "Attempt",
    "AuthenticationError",
    "CallObserver",
    "Chunk",
    "Completed",
    "ConfigurationError",
    "Custom",
    "JSONValue",
    "Network",
    "NetworkError",
    "PermissionDeniedError",
    "PluginError",
    "ProtocolError",
    "RateLimitError",
    "Reasoning",
    "Registration",
    "RunAgentClient",
    "RunAgentError",
    "RunReport",
    "RunResult",
    "RunTimeoutError",
    "Settings",
    "Started",
    "Stream",
    "StreamError",
    "StreamEvent",
    "StreamLimitError",
    "StreamResult",
    "StreamTimeoutError",
    "StreamTruncatedError",
    "Timeouts",
    "Tokens",
    "ToolCall",
    "TransportError",
    "ValidationError",
    "__version__",
    "answer",
    "hookimpl",
    "register_network",
    "register_observer",
    "register_transport",
]


if not TYPE_CHECKING:  # a checker that saw it would take every misspelt name for one that is there

    def __getattr__(name: str) -> Any:
        return _import("RunTimeoutError" if name == "TimeoutError" else name)


def __dir__() -> list[str]:
    return sorted(__all__)
