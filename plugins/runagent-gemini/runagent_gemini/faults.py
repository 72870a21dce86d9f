"""What the Gemini API sends when something is wrong: refusals, errors in a stream, ends without an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import AgentError, AuthenticationError, RunAgentError, StreamError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_end", "complete_error", "retry_delay"]

# Reasons to stop that mean a failure. The others mean an answer, perhaps cut short by a limit or a filter.
_FAILED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)


def complete_error(error: RunAgentError) -> RunAgentError:
    """Add to an error what its details have: how long to wait, and that the key is wrong.

    The service rejects a wrong key with status 400.
    """
    for detail in _details(error):
        wait = retry_delay(detail.get("retryDelay"))
        if wait is not None and isinstance(error, AgentError | StreamError):
            error.retry_after = error.retry_after or wait
        if detail.get("reason") == "API_KEY_INVALID" and isinstance(error, AgentError):
            return AuthenticationError(
                error.message,
                code=error.code,
                status=error.status,
                details=error.details,
                request_id=error.request_id,
            )
    return error


def _details(error: RunAgentError) -> list[dict[str, Any]]:
    details = getattr(error, "details", None)
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []


def retry_delay(duration: Any) -> float | None:
    """Read a duration such as "3s" or "0.25s"; None if it is not one."""
    number = duration.removesuffix("s") if isinstance(duration, str) and duration.endswith("s") else ""
    whole, dot, part = number.partition(".")
    if not (number.isascii() and whole.isdigit() and (part.isdigit() or not dot)) or len(number) > 20:
        return None
    return float(number)


def check_end(
    kind: type[AgentError] | type[StreamError],
    *,
    blocked: Any,
    reason: str | None,
    message: Any,
    usage: Mapping[str, Any] | None,
) -> None:
    """Raise an error for an end without an answer.

    Args:
        kind: The class of the error.
        blocked: The ``promptFeedback``.
        reason: Why the model stopped.
        message: The ``finishMessage``.
        usage: Token counts, for the error's details.
    """
    details = {"usage": usage}
    why = blocked.get("blockReason") if isinstance(blocked, dict) else None
    if isinstance(why, str) and reason is None:
        text = blocked.get("blockReasonMessage")
        about = text if isinstance(text, str) else why
        raise kind(
            f"the prompt was blocked: {about}", code=why, details={**details, "promptFeedback": blocked}
        )
    if reason in _FAILED:
        about = message if isinstance(message, str) else "the model failed to write an answer"
        raise kind(f"{about} ({reason})", code=reason, details=details)
