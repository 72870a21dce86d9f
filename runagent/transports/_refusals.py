"""Refusals: the exception for an HTTP error answer, made from its status, headers and body.

The status alone decides the class. The body is an error object of any form, HTML from a proxy, or empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._errors import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    PermissionDeniedError,
    RateLimitError,
    ValidationError,
)
from runagent._report import add_remark
from runagent._wire.jsontext import quote
from runagent.transports._error_objects import (
    error_object,
    is_agent_error,
    parse_error,
    parse_error_body,
    request_id_in,
)
from runagent.transports._retry_after import read_rate_limits, retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CLASSES_BY_CODE",
    "UNSUPPORTED_STATUSES",
    "error_class",
    "error_from_answer",
    "error_from_body",
    "error_from_message",
    "proves_unsupported",
]

_BY_STATUS: dict[int, type[AgentError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: AgentNotFoundError,
    422: ValidationError,
    429: RateLimitError,
}
CLASSES_BY_CODE: dict[str, type[AgentError]] = {
    "AGENT_NOT_FOUND": AgentNotFoundError,
    "EXPIRED_API_KEY": AuthenticationError,
    "INVALID_API_KEY": AuthenticationError,
    "INVALID_FIELD_TYPE": ValidationError,
    "MISSING_REQUIRED_FIELD": ValidationError,
    "NOT_FOUND": AgentNotFoundError,
    "RATE_LIMITED": RateLimitError,
    "RATE_LIMIT_EXCEEDED": RateLimitError,
    "VALIDATION_ERROR": ValidationError,
}
_UNAVAILABLE = "SERVICE_UNAVAILABLE"
_ADVICE: dict[int, str] = {
    401: "check the API key (api_key=, RUNAGENT_API_KEY)",
    403: "this API key may not use this agent",
    404: "check the agent id and base_url",
    407: "the proxy wants a user name and a password (proxy=)",
    413: "the input is larger than the service takes",
}
_ADVICE_SERVER = "try again later, or look into the server's log"
_ADVICE_UNSUPPORTED = "check base_url"
UNSUPPORTED_STATUSES = frozenset({405, 406, 415, 426, 501})


def error_class(status: int) -> type[AgentError]:
    """Return the class of the error for an HTTP status that is not 2xx."""
    return _BY_STATUS.get(status) or (AgentServerError if 500 <= status < 600 else AgentError)


def error_from_answer(status: int, headers: Mapping[str, str], body: bytes, opened_at: float) -> AgentError:
    """Make the error for an HTTP refusal.

    Args:
        status: The HTTP status, not 2xx.
        headers: The header fields, by lower-case name.
        body: The body, or its beginning.
        opened_at: Seconds since the epoch, to resolve a date in ``Retry-After`` if the answer has no
            ``Date``.
    """
    parsed = parse_error_body(body)
    advice = _ADVICE.get(status, "")
    if status in UNSUPPORTED_STATUSES:
        advice = _ADVICE_UNSUPPORTED
    if "message" not in parsed:
        parsed["message"] = f"the agent answered with HTTP status {status}"
        advice = advice or (_ADVICE_SERVER if status >= 500 else "")
        if body.strip():
            parsed["message"] += f"; its body begins {quote(body)}"
    error = _build(error_class(status), parsed, advice, status)
    error.request_id = error.request_id or request_id_in(headers)
    after = retry_after(headers, opened_at)
    error.retry_after = error.retry_after if after is None else after
    if isinstance(error, RateLimitError):
        read_rate_limits(error, headers)
    if error.retry_after:
        add_remark(error, f"it asks for a wait of {error.retry_after:g} s")
    return error


def error_from_body(error: Mapping[str, Any], status: int | None = None) -> AgentError:
    """Make the error for the error object in an answer of status 2xx; its code decides the class."""
    parsed = parse_error(error)
    parsed.setdefault("message", "the agent reported an error without a message")
    code = parsed.get("code")
    return _build(CLASSES_BY_CODE.get(code or "", AgentServerError), parsed, "", status)


def error_from_message(message: Mapping[str, Any]) -> AgentError | None:
    """Make the error for a message that refuses a run; None if its code may be that of a failed run."""
    error = error_object(message)
    code = error.get("code")
    if code == _UNAVAILABLE:
        return error_from_body(error, 503)
    return error_from_body(error) if isinstance(code, str) and code in CLASSES_BY_CODE else None


def _build(kind: type[AgentError], parsed: dict[str, Any], advice: str, status: int | None) -> AgentError:
    return kind(
        parsed["message"],
        code=parsed.get("code"),
        details=parsed.get("details"),
        request_id=parsed.get("request_id"),
        status=status,
        retry_after=parsed.get("retry_after"),
        hint=advice,
    )


def proves_unsupported(status: int, body: bytes) -> bool:
    """Whether a refusal proves that the server does not support the transport."""
    return status in UNSUPPORTED_STATUSES or (status == 404 and not is_agent_error(body))
