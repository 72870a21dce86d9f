"""What a check raises."""

from __future__ import annotations

__all__ = ["NOT_UNDERSTOOD", "NotApplicable", "Violation"]

NOT_UNDERSTOOD = (
    "the fake agent does not understand the request: pass the dialect that the transport speaks"
    " (dialects=[...]), and see that the dialect's parse_request() knows the request"
)


class Violation(AssertionError):
    """A requirement is not met; the text says how."""


class NotApplicable(Exception):
    """A requirement makes no sense for a transport; the text says why."""
