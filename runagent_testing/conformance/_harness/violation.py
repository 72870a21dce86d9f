"""The exceptions that a check raises."""

from __future__ import annotations

from runagent_testing._internal.public import publish

__all__ = ["NOT_UNDERSTOOD", "NotApplicable", "Violation"]

NOT_UNDERSTOOD = (
    "the fake agent does not understand the request: pass the dialect that the transport speaks"
    " (dialects=[...]), and make sure that its parse_request() accepts the request"
)


class Violation(AssertionError):
    """A requirement is not met; the message describes how."""


class NotApplicable(Exception):
    """A requirement does not concern a transport; the message has the reason."""


publish(Violation, module="runagent_testing.conformance")
