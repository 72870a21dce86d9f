"""What a browser is sent for an error: a status, a code and a neutral message.

The texts of an error are for the operator: they may quote the agent, name hosts or show what an agent is
built of. None of them, and no code that the agent chose, goes to a browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Any

import msgspec

from runagent._call import NOT_RESUMED
from runagent._errors import (
    AgentNotFoundError,
    AgentServerError,
    ConfigurationError,
    PluginError,
    RateLimitError,
    RunAgentError,
    RunTimeoutError,
    StreamError,
    ValidationError,
)

__all__ = [
    "BAD_EVENT_ID",
    "INTERNAL",
    "LEFT",
    "STOPPED",
    "Refusal",
    "Statuses",
    "check_statuses",
    "refusal_of",
]

_NO_STATUSES: Statuses = MappingProxyType({})
_LONGEST_WAIT = 366 * 86_400.0  # seconds; what is longer is none that anyone waits
Statuses = Mapping[type[RunAgentError] | str, int]


class Refusal(msgspec.Struct, frozen=True):
    """What a browser is sent in place of an answer, or at the end of one that failed.

    Attributes:
        status: The HTTP status, if the head of the answer has not been sent yet.
        code: The code, one of those that this module names.
        message: A text for an end user.
        retry_after: Seconds to wait before the next try, if the agent sent that.
    """

    status: int
    code: str
    message: str
    retry_after: float | None = None

    def fields(self, run_id: str) -> dict[str, Any]:
        """Return the fields of an ``error`` event."""
        fields = {"error": self.message, "code": self.code, "request_id": run_id}
        return fields if self.retry_after is None else {**fields, "retry_after": self.retry_after}

    def body(self, run_id: str) -> dict[str, Any]:
        """Return the body of an HTTP answer, in the documented form."""
        error = self.fields(run_id)
        return {"error": {"message": error.pop("error"), "status": self.status, **error}}

    def headers(self) -> list[tuple[str, str]]:
        """Return the header fields that are not those of every answer."""
        fields = [("Content-Type", "application/json")]
        if self.retry_after is not None:
            fields.append(("Retry-After", str(ceil(self.retry_after))))
        return fields


INTERNAL = Refusal(500, "INTERNAL_ERROR", "The server could not handle the request.")
BAD_EVENT_ID = Refusal(400, "INVALID_LAST_EVENT_ID", "Last-Event-ID is no id of this stream.")
STOPPED = Refusal(502, "CANCELLED", "The answer was stopped.")
LEFT = Refusal(499, "DISCONNECTED", "The browser has left.")
_FAILED = Refusal(502, "BAD_GATEWAY", "The agent could not answer.")
_UNAVAILABLE = Refusal(503, "SERVICE_UNAVAILABLE", "The agent is not available at the moment.")
_NO_PLACE = Refusal(409, NOT_RESUMED, "The answer cannot go on at this place; please ask again.")

# The first class that an error belongs to decides. An agent's 401 and 403 are about this server's key: they
# must not log the browser's user out.
_BY_CLASS: dict[type[RunAgentError], Refusal] = {
    ValidationError: Refusal(422, "VALIDATION_ERROR", "The agent does not accept this request."),
    AgentNotFoundError: Refusal(404, "AGENT_NOT_FOUND", "There is no such agent."),
    RateLimitError: Refusal(429, "RATE_LIMITED", "Too many requests; please try again later."),
    RunTimeoutError: Refusal(504, "GATEWAY_TIMEOUT", "The agent did not answer in time."),
    ConfigurationError: INTERNAL,
    PluginError: INTERNAL,
    RunAgentError: _FAILED,
}
_NO_PLACE_CODES = (NOT_RESUMED, "NO_RESUME")


def refusal_of(error: BaseException, statuses: Statuses) -> Refusal:
    """Return what the browser is sent for an error.

    Args:
        error: What the stream raised.
        statuses: Which statuses the caller has set, by code or class; the code goes first.
    """
    if not isinstance(error, RunAgentError):
        return INTERNAL
    refusal = _default(error)
    status = _override(error, statuses) if statuses else None
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None and not 0 <= retry_after <= _LONGEST_WAIT:
        retry_after = None
    if status is None and retry_after is None:
        return refusal
    return msgspec.structs.replace(refusal, status=status or refusal.status, retry_after=retry_after)


def _default(error: RunAgentError) -> Refusal:
    if isinstance(error, StreamError):
        if error.code == STOPPED.code:
            return STOPPED
    elif error.code in _NO_PLACE_CODES:
        return _NO_PLACE
    if isinstance(error, AgentServerError) and error.status == _UNAVAILABLE.status:
        return _UNAVAILABLE
    return next(refusal for kind, refusal in _BY_CLASS.items() if isinstance(error, kind))


def _override(error: RunAgentError, statuses: Statuses) -> int | None:
    keys = [error.code, *type(error).__mro__]
    return next((statuses[key] for key in keys if key in statuses), None)  # type: ignore[index]


def check_statuses(status: Mapping[Any, Any] | None) -> Statuses:
    """Return which statuses the caller has set, once checked.

    Raises:
        ConfigurationError: A key is neither an error's class nor a code, or a status is none of an error.
    """
    for key, value in (status or {}).items():
        if not isinstance(key, str) and not (isinstance(key, type) and issubclass(key, RunAgentError)):
            raise ConfigurationError(f"status: expected a class of errors or a code, found {key!r}")
        if not isinstance(value, int) or not 400 <= value <= 599:
            raise ConfigurationError(f"status[{key!r}]: expected a status from 400 to 599, found {value!r}")
    return dict(status) if status else _NO_STATUSES
