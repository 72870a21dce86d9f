"""The errors that runagent raises.

Each class shows who has to act; fields, not texts, are the contract. All of them pickle and copy.

    RunAgentError(message, hint, code, details, request_id, run_id, agent_id, report; retryable, key_refused)
    ├── ConfigurationError          the caller: a bad option, an unknown transport, no agent id
    ├── TransportError              the way to the agent
    │   ├── NetworkError            refused, DNS, TLS, proxy, reset before an answer
    │   └── ProtocolError           the peer broke the format
    ├── RunTimeoutError             also the builtin TimeoutError: .phase
    ├── AgentError                  the service rejected it, before any chunk: .status, .retry_after
    │   ├── AuthenticationError  PermissionDeniedError  AgentNotFoundError  ValidationError
    │   └── RateLimitError(.limit, .remaining, .reset)  AgentServerError
    ├── StreamError                 it failed after it began: .chunks_received, .last_event_id, .retry_after
    │   ├── StreamTruncatedError    it ended without an end marker
    │   ├── StreamTimeoutError      also RunTimeoutError
    │   └── StreamLimitError        an event, a line or a head over its limit
    └── PluginError                 .plugin
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from runagent._public import publish
from runagent._report import RunAgentError

if TYPE_CHECKING:
    from typing import Unpack

    from runagent._report import ErrorFields

__all__ = [
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
]

Phase = Literal["connect", "first_event", "idle", "progress", "total"]


if TYPE_CHECKING:
    # The keywords that each class takes; to make these types takes as long as all the classes below.
    class _TimeoutFields(ErrorFields, total=False):
        phase: Phase | None

    class _AgentFields(ErrorFields, total=False):
        status: int | None
        retry_after: float | None

    class _RateLimitFields(_AgentFields, total=False):
        limit: int | None
        remaining: int | None
        reset: float | None

    class _StreamFields(ErrorFields, total=False):
        chunks_received: int
        last_event_id: str | None
        retry_after: float | None
        partial_text: str | None

    class _StreamTimeoutFields(_StreamFields, _TimeoutFields, total=False):
        pass

    class _StreamLimitFields(_StreamFields, total=False):
        limit_name: str | None
        limit: int | None

    class _PluginFields(ErrorFields, total=False):
        plugin: str | None


class ConfigurationError(RunAgentError):
    """An argument, an environment variable or the configuration file is not usable."""


class TransportError(RunAgentError):
    """The agent could not be reached, or its answer was invalid."""


class NetworkError(TransportError):
    """The connection could not be made, or broke before an answer came."""


class ProtocolError(TransportError):
    """The peer broke the format of the protocol spoken with it."""


class RunTimeoutError(RunAgentError, TimeoutError):
    """Nothing came in time.

    Attributes:
        phase: Which limit ran out: ``connect``, ``first_event``, ``idle``, ``progress`` or ``total``.
    """

    phase: Phase | None = None

    if TYPE_CHECKING:

        def __init__(self, message: str = "", **fields: Unpack[_TimeoutFields]) -> None: ...


class AgentError(RunAgentError):
    """The service refused the run before it gave any chunk.

    Attributes:
        status: The HTTP status of the refusal; if it came otherwise, the one that its class has. Never 2xx.
        retry_after: Seconds to wait before the next try, if the service sent that.
    """

    status: int | None = None
    retry_after: float | None = None

    def __init__(self, message: str = "", **fields: Unpack[_AgentFields]) -> None:
        status = fields.get("status")
        if status is None or 200 <= status < 300:  # a good answer may hold a refusal
            fields.pop("status", None)
        super().__init__(message, **fields)  # type: ignore[misc]  # one that has a status takes it


class AuthenticationError(AgentError):
    """The API key is missing, wrong or expired (401)."""

    status: int = 401
    _key_refused = True


class PermissionDeniedError(AgentError):
    """The API key is good but not for this agent (403)."""

    status: int = 403


class AgentNotFoundError(AgentError):
    """No agent has this id (404)."""

    status: int = 404


class ValidationError(AgentError):
    """The input is not what the agent takes (400, 422), or not what JSON can carry."""

    status: int = 422


class RateLimitError(AgentError):
    """Too many requests (429).

    Attributes:
        limit: Requests allowed in the window, from ``X-RateLimit-Limit``.
        remaining: Requests left in it, from ``X-RateLimit-Remaining``.
        reset: When the window ends, as ``X-RateLimit-Reset`` or ``-Reset-After`` gave it.
    """

    status: int = 429
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None

    if TYPE_CHECKING:

        def __init__(self, message: str = "", **fields: Unpack[_RateLimitFields]) -> None: ...


class AgentServerError(AgentError):
    """The service failed (500 to 599)."""

    status: int = 500


class StreamError(RunAgentError):
    """The run failed after it had begun.

    Attributes:
        chunks_received: How many chunks were delivered before.
        last_event_id: The last event id seen, for a transport that has them.
        retry_after: Seconds to wait before the next try, if the agent sent that.
        partial_text: What ``.text()`` had collected; None if chunks were iterated.
    """

    chunks_received: int = 0
    last_event_id: str | None = None
    retry_after: float | None = None
    partial_text: str | None = None

    if TYPE_CHECKING:

        def __init__(self, message: str = "", **fields: Unpack[_StreamFields]) -> None: ...


class StreamTruncatedError(StreamError):
    """The stream ended without the agent's end marker."""


class StreamTimeoutError(StreamError, RunTimeoutError):
    """The stream had begun, then nothing came in time."""

    if TYPE_CHECKING:

        def __init__(self, message: str = "", **fields: Unpack[_StreamTimeoutFields]) -> None: ...


class StreamLimitError(StreamError):
    """An event, a line, a head or a collected text is over its limit.

    Attributes:
        limit_name: The name of the option that sets the limit.
        limit: Its value in bytes, or a count if its name shows that.
    """

    limit_name: str | None = None
    limit: int | None = None

    if TYPE_CHECKING:

        def __init__(self, message: str = "", **fields: Unpack[_StreamLimitFields]) -> None: ...


class PluginError(RunAgentError):
    """A plugin could not be found, loaded or used.

    Attributes:
        plugin: The plugin's name.
    """

    plugin: str | None = None

    if TYPE_CHECKING:

        def __init__(self, message: str = "", **fields: Unpack[_PluginFields]) -> None: ...


publish(*(kind for name, kind in list(globals().items()) if name in __all__))
