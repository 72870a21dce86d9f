"""Refusals: the exception for an HTTP error answer, made from its status, headers and body.

The status alone decides the class. The body has many forms: the documented error object, with or without an
envelope, FastAPI's ``detail``, HTML from a proxy, or nothing. See docs/wire.md, "Errors".
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeGuard

from runagent._cutting import cut_text
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
from runagent._wire.jsontext import InvalidJSONError, decode_json, quote, quote_value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "UNSUPPORTED_STATUSES",
    "decode_object",
    "error_from_answer",
    "error_from_body",
    "error_object",
    "has_error",
    "is_agent_error",
    "is_seconds",
    "parse_retry_after",
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
_BY_CODE: dict[str, type[AgentError]] = {
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
_ADVICE: dict[int, str] = {
    401: "check the API key (api_key=, RUNAGENT_API_KEY)",
    403: "this API key may not use this agent",
    404: "check the agent id and base_url",
    407: "the proxy wants a user name and a password (proxy=)",
    413: "the input is larger than the service takes",
}
_ADVICE_SERVER = "try again later, or look into the server's log"
_ADVICE_UNSUPPORTED = "check base_url"
_ADVICE_OTHER_TRANSPORT = 'or choose another transport: "auto" tries them all'
_NO_ERROR: tuple[Any, ...] = (None, False, "", [])
_NOT_ACCEPTED = "the agent did not accept the request"
_MAX_SECONDS = 999_999_999.0
_MAX_FAULTS = 20
_MAX_PART = 500  # characters
UNSUPPORTED_STATUSES = frozenset({405, 406, 415, 426, 501})


def error_from_answer(status: int, headers: Mapping[str, str], body: bytes, opened_at: float) -> AgentError:
    """Make the error for an HTTP refusal.

    Args:
        status: The HTTP status, not 2xx.
        headers: The header fields, by lower-case name.
        body: The body, or its beginning.
        opened_at: Seconds since the epoch, to resolve a date in ``Retry-After`` if the answer has no
            ``Date``.
    """
    parsed = _parse_body(body)
    advice = _ADVICE.get(status, "")
    if proves_unsupported(status, body):
        advice = f"{advice or _ADVICE_UNSUPPORTED}, {_ADVICE_OTHER_TRANSPORT}"
    if "message" not in parsed:
        parsed["message"] = f"the agent answered with HTTP status {status}"
        advice = advice or (_ADVICE_SERVER if status >= 500 else "")
        if body.strip():
            parsed["message"] += f"; its body begins {quote(body)}"
    kind = _BY_STATUS.get(status) or (AgentServerError if 500 <= status < 600 else AgentError)
    error = _build(kind, parsed, advice, status)
    error.request_id = error.request_id or headers.get("x-request-id")
    if isinstance(error, RateLimitError | AgentServerError):
        after = _parse_milliseconds(headers.get("retry-after-ms", ""))
        if after is None:
            after = parse_retry_after(headers.get("retry-after", ""), headers.get("date", ""), opened_at)
        error.retry_after = error.retry_after if after is None else after
    if isinstance(error, RateLimitError):
        _read_rate_limits(error, headers)
    if isinstance(error, RateLimitError | AgentServerError) and error.retry_after:
        add_remark(error, f"it asks for a wait of {error.retry_after:g} s")
    return error


def error_from_body(error: Mapping[str, Any], status: int | None = None) -> AgentError:
    """Make the error for the error object in an answer of status 2xx; its code decides the class."""
    parsed = _read_error_object(error)
    parsed.setdefault("message", "the agent reported an error without a message")
    code = parsed.get("code")
    return _build(_BY_CODE.get(code or "", AgentServerError), parsed, "", status)


def _build(kind: type[AgentError], parsed: dict[str, Any], advice: str, status: int | None) -> AgentError:
    error = kind(
        parsed["message"],
        code=parsed.get("code"),
        details=parsed.get("details"),
        request_id=parsed.get("request_id"),
        status=status,
        hint=advice,
    )
    if isinstance(error, RateLimitError | AgentServerError):
        error.retry_after = parsed.get("retry_after")
    return error


def proves_unsupported(status: int, body: bytes) -> bool:
    """Whether a refusal proves that the server does not support the transport."""
    return status in UNSUPPORTED_STATUSES or (status == 404 and not is_agent_error(body))


def is_agent_error(body: bytes) -> bool:
    """Whether a refusal may come from the agent, and not from a server that knows no agents."""
    try:
        answer = decode_json(body)
    except InvalidJSONError as exc:
        return exc.undecodable
    return isinstance(answer, dict) and isinstance(answer.get("error"), dict)


def decode_object(body: bytes | str) -> dict[str, Any]:
    """Decode a JSON object; return an empty one for any other text."""
    try:
        answer = decode_json(body)
    except InvalidJSONError:
        return {}
    return answer if isinstance(answer, dict) else {}


def has_error(message: Mapping[str, Any]) -> bool:
    """Whether the ``error`` of a message reports one; in many good answers it is empty."""
    return message.get("error") not in _NO_ERROR


def error_object(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the error in a message as an object; it may be a text, or the message's own fields."""
    error = message.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str) and error:
        return {**message, "message": error}
    if error not in (*_NO_ERROR, True) and not isinstance(message.get("message"), str):
        return {**message, "message": quote_value(error)}
    return message


def _parse_body(body: bytes) -> dict[str, Any]:
    return _read_error_object(error_object(decode_object(body)))


def _read_error_object(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known fields of the right type; the rest counts as absent."""
    parsed: dict[str, Any] = {}
    for name in ("code", "message", "request_id"):
        if isinstance(error.get(name), str) and error[name]:
            parsed[name] = error[name]
    detail = error.get("detail")
    if "message" not in parsed and detail:
        parsed["message"] = detail if isinstance(detail, str) else _describe_detail(detail)
    parsed["details"] = error.get("details", None if isinstance(detail, str) else detail)
    nested = parsed["details"] if isinstance(parsed["details"], dict) else {}
    found = [r for r in (error.get("retry_after"), nested.get("retry_after")) if is_seconds(r)]
    if found:
        parsed["retry_after"] = float(found[0])
    return parsed


def _describe_detail(detail: Any) -> str:
    """Write FastAPI's list of faults as one line, each with its place in the input."""
    if isinstance(detail, dict):
        texts = (detail.get(name) for name in ("message", "error", "msg", "detail"))
        otherwise = f"{_NOT_ACCEPTED}: {quote_value(detail)}"
        return next((each for each in texts if isinstance(each, str) and each), otherwise)
    faults = [f for f in detail[:_MAX_FAULTS] if isinstance(f, dict)] if isinstance(detail, list) else []
    return "; ".join(map(_describe_fault, faults)) or _NOT_ACCEPTED


def _describe_fault(fault: Mapping[str, Any]) -> str:
    where, what = fault.get("loc"), fault.get("msg")
    where = where[:_MAX_FAULTS] if isinstance(where, list) else []
    steps = [cut_text(str(step), _MAX_PART) for step in where if isinstance(step, str | int)]
    return f"{'.'.join(steps)}: {cut_text(what, _MAX_PART) if isinstance(what, str) else 'not valid'}"


def is_seconds(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a usable number of seconds: 0 or more, and below a billion."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9


def parse_retry_after(value: str, date: str, now: float) -> float | None:
    """Parse ``Retry-After`` (RFC 9110 §10.2.3), seconds or a date, to seconds from now; None if invalid.

    Args:
        value: The field's value.
        date: The answer's ``Date``, the peer's time of now, so that an error of its clock does not matter.
        now: Seconds since the epoch, used if there is no ``Date``.
    """
    value = value.strip()
    seconds = _parse_number(value)
    if seconds is not None:
        return min(seconds, _MAX_SECONDS)
    until = _parse_date(value)
    if until is None:
        return None
    return max(0.0, until - (_parse_date(date) or now))


def _parse_milliseconds(value: str) -> float | None:
    """Parse ``retry-after-ms``, which some services send instead of ``Retry-After`` or with it."""
    number = _parse_number(value.strip())
    return None if number is None else number / 1000


def _parse_number(value: str) -> float | None:
    """Parse a number without sign and exponent; the standard requires integers, but many send fractions."""
    whole, dot, part = value.partition(".")
    if not (value.isascii() and whole.isdigit() and (part.isdigit() or not dot)):
        return None
    return float(f"{whole[:15]}.{part[:9]}")


def _parse_date(value: str) -> float | None:
    if not value:
        return None
    from email.utils import parsedate_to_datetime  # slow to import, and rarely needed

    try:
        date = parsedate_to_datetime(value)
        # One of the three formats of RFC 9110 §5.6.7 names no time zone; all of them are in UTC.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _read_rate_limits(error: RateLimitError, headers: Mapping[str, str]) -> None:
    def number(*names: str) -> float | None:
        for name in names:
            value = _parse_number(headers.get(f"x-ratelimit-{name}", ""))
            if value is not None:
                return value
        return None

    limit, remaining = number("limit"), number("remaining")
    error.limit = None if limit is None else int(limit)
    error.remaining = None if remaining is None else int(remaining)
    error.reset = number("reset", "reset-after")
    if error.retry_after is None:
        error.retry_after = number("reset-after")
