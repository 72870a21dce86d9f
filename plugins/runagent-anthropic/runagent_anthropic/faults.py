"""What the Messages API sends when something is wrong: refusals, and errors in a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from runagent import AgentError, RateLimitError, RunAgentError, StreamError
from runagent.transports import mark_error, should_retry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent.transports import ToolCall

__all__ = ["check_end", "complete_refusal", "mark_overloaded"]

E = TypeVar("E", bound=RunAgentError)

_OVERLOADED = "overloaded_error"
_OVERLOADED_STATUS = 529
# Why an answer stops before the model has sent all; compared with any JSON value, which a set would hash.
_CUT = ("max_tokens", "model_context_window_exceeded", "refusal")


def complete_refusal(error: RunAgentError, status: int, headers: Mapping[str, str]) -> RunAgentError:
    """Add to an HTTP refusal what its header fields have: rate limits, and whether to try again."""
    if isinstance(error, RateLimitError):
        for name in ("limit", "remaining"):
            count = headers.get(f"anthropic-ratelimit-requests-{name}", "")
            if count.isascii() and count.isdigit():
                setattr(error, name, int(count[:15]))
    retryable = should_retry(headers)
    if retryable is None and status == _OVERLOADED_STATUS:
        retryable = True
    return mark_error(error, retryable=retryable)


def mark_overloaded(error: E) -> E:
    """Note that a run which an overloaded service has not begun may be repeated."""
    return mark_error(error, retryable=True if error.code == _OVERLOADED else None)


def check_end(
    kind: type[AgentError] | type[StreamError],
    about: Mapping[str, Any],
    usage: dict[str, Any] | None,
    cut_calls: list[ToolCall],
) -> None:
    """Raise an error for an end that is a refusal, or a cut inside a tool call.

    Args:
        kind: The class of the error.
        about: The answer's ``stop_reason`` and ``stop_details``.
        usage: Token counts, for the error's details.
        cut_calls: Calls whose arguments are not JSON.
    """
    reason = about.get("stop_reason")
    if reason == "refusal":
        found = about.get("stop_details")
        details: dict[str, Any] = found if isinstance(found, dict) else {}
        why = details.get("explanation") or details.get("category")
        message = f"the model refused: {why}" if isinstance(why, str) else "the model refused"
        raise kind(message, code="refusal", details={"stop_details": found, "usage": usage})
    if cut_calls and reason in _CUT:
        call = cut_calls[0]
        raise kind(
            f"the answer was cut inside a tool call ({reason}); do not run it, allow more tokens",
            code=reason,
            details={"tool_call": {"id": call.id, "name": call.name, "arguments": call.arguments}},
        )
