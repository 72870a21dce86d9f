"""The errors that runagent raises.

Each class shows who has to act; fields, not texts, are the contract. All of them pickle and copy.

    RunAgentError(message, code, details, request_id, run_id, agent_id)
    ├── ConfigurationError          the caller: a bad option, an unknown transport, no agent id
    ├── TransportError              the way to the agent
    │   ├── NetworkError            refused, DNS, TLS, proxy, reset before an answer
    │   └── ProtocolError           the peer broke the format
    ├── RunTimeoutError             also the builtin TimeoutError: .phase
    ├── AgentError                  the service rejected it, before any chunk: .status
    │   ├── AuthenticationError  PermissionDeniedError  AgentNotFoundError  ValidationError
    │   └── RateLimitError(.retry_after, .limit, .remaining, .reset)  AgentServerError(.retry_after)
    ├── StreamError                 it failed after it began: .chunks_received, .last_event_id, .retry_after
    │   ├── StreamTruncatedError    it ended without an end marker
    │   ├── StreamTimeoutError      also RunTimeoutError
    │   └── StreamLimitError        an event, a line or a head over its limit
    └── PluginError                 .plugin
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from runagent._cutting import cut_text, cut_value
from runagent._redact import escape_controls

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

_EXACT = frozenset({"last_event_id", "partial_text"})  # of no use if they are cut
_MAX_ADDED = 1024

Phase = Literal["connect", "first_event", "idle", "progress", "total"]


# The keywords that each class takes, for type checkers.
class _Fields(TypedDict, total=False):
    code: str | None
    details: Any
    request_id: str | None
    run_id: str | None
    agent_id: str | None


class _TimeoutFields(_Fields, total=False):
    phase: Phase | None


class _AgentFields(_Fields, total=False):
    status: int | None


class _ServerFields(_AgentFields, total=False):
    retry_after: float | None


class _RateLimitFields(_ServerFields, total=False):
    limit: int | None
    remaining: int | None
    reset: float | None


class _StreamFields(_Fields, total=False):
    chunks_received: int
    last_event_id: str | None
    retry_after: float | None
    partial_text: str | None


class _StreamTimeoutFields(_StreamFields, _TimeoutFields, total=False):
    pass


class _StreamLimitFields(_StreamFields, total=False):
    limit_name: str | None
    limit: int | None


class _PluginFields(_Fields, total=False):
    plugin: str | None


def _shown(text: str) -> str:
    """Cut a text before it is gone through, and once more if escaping has made it long."""
    return cut_text(escape_controls(cut_text(text)))


class RunAgentError(Exception):
    """Base of everything that runagent raises on purpose.

    Attributes:
        message: What happened and what to do about it, in one line; control characters in what a peer
            sent are escaped, and what is longer than 8 KiB is cut.
        code: The agent's or our own machine-readable code, if there is one.
        details: Whatever the agent sent with its message; JSON values, cut after 64 KiB.
        request_id: The id by which the service knows the request.
        run_id: Our id of the run, as in its report and its log lines; None if there was none yet.
        agent_id: The agent's id; None if no agent was concerned.
    """

    message: str
    code: str | None = None
    details: Any = None
    request_id: str | None = None
    run_id: str | None = None
    agent_id: str | None = None

    # Exceptions are rebuilt by pickle and copy from `args` and `__dict__`: everything but
    # the message is therefore a keyword with a default, kept as a plain attribute.
    def __init__(self, message: str = "", **fields: Unpack[_Fields]) -> None:
        if not isinstance(message, str):  # of a peer, perhaps, that has put something else there
            raise TypeError(f"the message of a {type(self).__name__} has to be text, not {message!r}")
        self.message = _shown(message)
        super().__init__(self.message)
        for name, value in fields.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
            if isinstance(value, str):
                value = escape_controls(value) if name in _EXACT else _shown(value)
            setattr(self, name, cut_value(value) if name == "details" else value)


def add_remark(error: RunAgentError, text: str) -> None:
    """Append a remark in parentheses to the message of an error."""
    error.message = f"{error.message} ({cut_text(text, _MAX_ADDED)})"
    error.args = (error.message,)


class ConfigurationError(RunAgentError):
    """An argument, an environment variable or the configuration file is not usable."""


class TransportError(RunAgentError):
    """The agent could not be reached, or what came back made no sense."""


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
        status: The HTTP status of the answer, if the refusal came as one.
    """

    status: int | None = None

    if TYPE_CHECKING:

        def __init__(self, message: str = "", **fields: Unpack[_AgentFields]) -> None: ...


class AuthenticationError(AgentError):
    """The API key is missing, wrong or expired (401)."""


class PermissionDeniedError(AgentError):
    """The API key is good but not for this agent (403)."""


class AgentNotFoundError(AgentError):
    """No agent has this id (404)."""


class ValidationError(AgentError):
    """The input is not what the agent takes (400, 422), or not what JSON can carry."""


class RateLimitError(AgentError):
    """Too many requests (429).

    Attributes:
        retry_after: Seconds to wait before the next try, if the service sent that.
        limit: Requests allowed in the window, from ``X-RateLimit-Limit``.
        remaining: Requests left in it, from ``X-RateLimit-Remaining``.
        reset: When the window ends, as ``X-RateLimit-Reset`` or ``-Reset-After`` gave it.
    """

    retry_after: float | None = None
    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None

    if TYPE_CHECKING:

        def __init__(self, message: str = "", **fields: Unpack[_RateLimitFields]) -> None: ...


class AgentServerError(AgentError):
    """The service failed (500 to 599).

    Attributes:
        retry_after: Seconds to wait before the next try, if the service sent that.
    """

    retry_after: float | None = None

    if TYPE_CHECKING:

        def __init__(self, message: str = "", **fields: Unpack[_ServerFields]) -> None: ...


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
