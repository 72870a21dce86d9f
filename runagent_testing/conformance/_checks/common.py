"""What several checks use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    PermissionDeniedError,
    RateLimitError,
    ValidationError,
)
from runagent_testing._script.steps import heartbeat
from runagent_testing.conformance._harness.differences import difference, text_difference
from runagent_testing.conformance._harness.violation import NotApplicable, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runagent_testing.conformance._harness.subject import Subject

__all__ = [
    "STATUSES",
    "TEXTS",
    "answer_steps",
    "demand",
    "expect_contents",
    "first_chunk",
    "only_where",
]

STATUSES: dict[int, type[AgentError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: AgentNotFoundError,
    422: ValidationError,
    429: RateLimitError,
    500: AgentServerError,
    503: AgentServerError,
}

TEXTS = ("Once ", "upön\u2028", 'a "tïme" 🦊\r\n', "\\u0041 data: end", "end")


def only_where(condition: bool, reason: str) -> None:
    """Go on with the check only if a condition holds.

    Raises:
        NotApplicable: The condition does not hold.
    """
    if not condition:
        raise NotApplicable(reason)


def demand(condition: bool, fault: str) -> None:
    """Fail the transport unless a condition holds.

    Raises:
        Violation: The condition does not hold.
    """
    if not condition:
        raise Violation(fault)


def expect_contents(subject: Subject, got: Sequence[Any], expected: Sequence[Any], what: str) -> None:
    """Compare chunks, or only their text if the dialect does not show their bounds."""
    if subject.traits.delimited:
        apart = difference(list(expected), list(got))
    else:
        apart = text_difference("".join(map(str, expected)), "".join(map(str, got)))
    demand(not apart, f"{what}: {apart}")


async def first_chunk(stream: Any) -> Any:
    """Read the first chunk.

    Raises:
        Violation: The stream has no chunk.
    """
    async for content in stream:
        return content
    raise Violation("the stream ended before its first chunk, without an error")


def answer_steps(subject: Subject, texts: Iterable[Any] = TEXTS) -> list[Any]:
    """Write a script of chunks, with a heartbeat if the dialect has one."""
    steps = list(texts)
    if subject.traits.heartbeats:
        steps.insert(1, heartbeat())
    return steps
