"""What OpenAI-compatible servers send when something is wrong.

The documented form is ``{"error": {"message", "type", "param", "code"}}``, as the body of an answer and as an
event in a stream. Others write a number as the code, a text as the error, or the fields without an object
around them.
"""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING, Any

from runagent import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    PermissionDeniedError,
    RateLimitError,
    RunAgentError,
    StreamError,
    ValidationError,
)
from runagent.transports import InvalidJSONError, decode_json, mark_error, quote, should_retry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["complete_refusal", "decode", "find_error", "is_error", "plain_error", "stream_error"]

_NO_ERROR: tuple[Any, ...] = (None, False, "", [])
_NO_MESSAGE = "the server reported an error without a message"
_DURATION = re.compile(
    r"(?:(?P<h>\d{1,6})h)?(?:(?P<m>\d{1,6})m(?!s))?(?:(?P<s>\d{1,6}(?:\.\d{1,9})?)s)?(?:(?P<ms>\d{1,9}(?:\.\d{1,9})?)ms)?"
)
# A gateway may send with status 200 what it received with another one.
_BY_CODE: dict[str, type[AgentError]] = {
    "400": ValidationError,
    "401": AuthenticationError,
    "403": PermissionDeniedError,
    "404": AgentNotFoundError,
    "422": ValidationError,
    "429": RateLimitError,
}
_KNOWN = frozenset({"code", "message", "object", "retry_after", "sequence_number"})
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 200
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def is_error(value: Any) -> bool:
    """Whether the ``error`` of an answer is one; some servers write an empty one into good answers."""
    return value not in _NO_ERROR


def find_error(answer: Any) -> dict[str, Any] | None:
    """Return the error object in what a server sent, or None if there is no error in it."""
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if not is_error(error):
        return answer if "error" in (answer.get("object"), answer.get("type")) else None
    if isinstance(error, dict):
        return error
    return {"message": answer.get("message") if error is True else error, "code": answer.get("code")}


def stream_error(said: Any) -> StreamError:
    """Make the error that ends a stream.

    Args:
        said: The event's text, or the error object itself.
    """
    answer = decode(said) if isinstance(said, str) else said
    error = find_error(answer)
    if error is None:
        error = answer if isinstance(answer, dict) else {"message": said}
    text, fields = _describe(error)
    return StreamError(text, retry_after=_wait(error), **fields)


def plain_error(error: Mapping[str, Any], status: int | None) -> AgentError:
    """Make the error that takes the place of a plain run's answer, although the HTTP status was good."""
    text, fields = _describe(error)
    kind = _BY_CODE.get(fields["code"] or "", AgentServerError)
    return kind(text, status=status, **fields)


def complete_refusal(error: RunAgentError, headers: Mapping[str, str], body: bytes) -> RunAgentError:
    """Add to an HTTP refusal what these servers send: type and parameter, rate limits, X-Should-Retry."""
    found = find_error(decode(body))
    if found is not None:
        text, found_fields = _describe(found)
        fields = vars(error) | found_fields
        message = fields.pop("message")
        if text != _NO_MESSAGE and not message.startswith(text):
            message = text
        error = type(error)(message, **fields)
    if isinstance(error, RateLimitError):
        _read_rate_limits(error, headers)
    return mark_error(error, retryable=should_retry(headers))


def decode(said: bytes | str) -> Any:
    """Decode what may be an error, also one that came as the event of a stream that never began."""
    text = (said.encode("utf-8", "replace") if isinstance(said, str) else said).strip()
    if text.startswith(b"data:"):
        text = text.removeprefix(b"data:").partition(b"\n")[0]
    try:
        return decode_json(text)
    except InvalidJSONError:
        return None


def _describe(error: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the message, and the fields of the error to raise; what names no code is named by its type."""
    message = error.get("message")
    if not isinstance(message, str) or not message:
        message = _NO_MESSAGE if not message else quote(_short.repr(message))
    kind, code = error.get("type"), error.get("code")
    kind = kind if isinstance(kind, str) and kind != "error" else None
    code = str(code) if isinstance(code, int | str) and code else kind
    details = {
        name: value for name, value in error.items() if name not in _KNOWN and value not in (None, "error")
    }
    return message, {"code": code, "details": details or None}


def _wait(error: Mapping[str, Any]) -> float | None:
    wait: Any = error.get("retry_after")
    return float(wait) if type(wait) in (int, float) and 0 <= wait < 1e9 else None


def _read_rate_limits(error: RateLimitError, headers: Mapping[str, str]) -> None:
    """Read the counts of requests; an error has no fields for those of tokens."""
    limit, remaining = (headers.get(f"x-ratelimit-{name}-requests", "") for name in ("limit", "remaining"))
    error.limit = int(limit[:15]) if limit.isascii() and limit.isdigit() else error.limit
    error.remaining = int(remaining[:15]) if remaining.isascii() and remaining.isdigit() else error.remaining
    error.reset = _seconds(headers.get("x-ratelimit-reset-requests", "")) or error.reset


def _seconds(duration: str) -> float | None:
    """Read a duration such as ``6m0s`` or ``120ms``."""
    match = _DURATION.fullmatch(duration)
    if match is None or not duration:
        return None
    return sum(float(value) * _SECONDS[unit] for unit, value in match.groupdict().items() if value)
