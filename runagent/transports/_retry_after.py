"""The times and limits in the header fields of a refusal."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent._errors import RateLimitError

__all__ = ["parse_retry_after", "read_rate_limits", "retry_after", "should_retry"]

_MAX_SECONDS = 999_999_999.0


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Read ``X-Should-Retry``, with which OpenAI, Anthropic and others decide whether to repeat a request.

    Transports for such services read it: ``mark_error(…, retryable=should_retry(self.headers))``.

    Args:
        headers: The header fields of the answer, by lower-case name.

    Returns:
        None if there is no such field, or it is neither true nor false.
    """
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to wait by ``retry-after-ms`` or ``Retry-After``; None without a valid one."""
    milliseconds = _parse_number(headers.get("retry-after-ms", "").strip())
    if milliseconds is not None:
        return milliseconds / 1000
    return parse_retry_after(headers.get("retry-after", ""), headers.get("date", ""), now)


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


def read_rate_limits(error: RateLimitError, headers: Mapping[str, str]) -> None:
    """Fill in an error what the ``X-RateLimit`` fields show."""

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
