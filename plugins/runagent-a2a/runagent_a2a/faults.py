"""The errors of A2A, of either binding, as errors of a run."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from runagent import AgentError, AgentServerError, StreamError, ValidationError
from runagent.transports import InvalidJSONError, decode_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NOT_SPOKEN", "OVER", "Fault", "find_fault", "why_not_completed"]

# The reason of 1.0 for each code of JSON-RPC.
_REASONS = MappingProxyType(
    {
        -32001: "TASK_NOT_FOUND",
        -32002: "TASK_NOT_CANCELABLE",
        -32003: "PUSH_NOTIFICATION_NOT_SUPPORTED",
        -32004: "UNSUPPORTED_OPERATION",
        -32005: "CONTENT_TYPE_NOT_SUPPORTED",
        -32006: "INVALID_AGENT_RESPONSE",
        -32007: "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
        -32008: "EXTENSION_SUPPORT_REQUIRED",
        -32009: "VERSION_NOT_SUPPORTED",
        -32600: "INVALID_REQUEST",
        -32601: "METHOD_NOT_FOUND",
        -32602: "INVALID_PARAMS",
        -32603: "INTERNAL_ERROR",
        -32700: "JSON_PARSE_ERROR",
    }
)
_CALLERS = (-32001, -32004, -32005, -32008, -32600, -32602, -32700)  # the input is at fault
_KINDS: Mapping[str, type[AgentError]] = MappingProxyType(
    {
        **{_REASONS[code]: ValidationError for code in _CALLERS},
        "INTERNAL_ERROR": AgentServerError,
        "INVALID_AGENT_RESPONSE": AgentServerError,
    }
)
OVER = frozenset({"TASK_NOT_FOUND", "TASK_NOT_CANCELABLE"})
NOT_SPOKEN = frozenset({"METHOD_NOT_FOUND", "VERSION_NOT_SUPPORTED"})


class Fault(msgspec.Struct, frozen=True):
    """An error that a service has reported.

    Attributes:
        code: The service's code: the number of JSON-RPC, or the reason of HTTP+JSON.
        reason: What 1.0 calls it; "" if that is not known.
        message: The service's message.
        details: What else it sent.
    """

    code: str
    reason: str
    message: str
    details: Any = None

    def as_refusal(self) -> AgentError:
        """Make the error of a run that has not begun."""
        kind = _KINDS.get(self.reason, AgentError)
        return kind(self.message, code=self.code, details=self.details)

    def as_failure(self) -> StreamError:
        """Make the error of a run that has begun."""
        return StreamError(self.message, code=self.code, details=self.details)


def find_fault(answer: Any) -> Fault | None:
    """Return the error in an answer or an event, decoded or not; None if there is none."""
    if isinstance(answer, bytes):
        try:
            answer = decode_json(answer)
        except InvalidJSONError:
            return None
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return None
    number, details = error.get("code"), error.get("data", error.get("details"))
    reason = _reason_in(details) or (_REASONS.get(number, "") if isinstance(number, int) else "")
    is_rpc = "status" not in error
    code = str(number) if is_rpc or not reason else reason
    message = error.get("message")
    shown = (
        message if isinstance(message, str) and message else "the agent reported an error without a message"
    )
    return Fault(code, reason, shown, details)


def why_not_completed(state: str, text: str) -> tuple[str, str]:
    """Return message and code of the error for a task that has ended, but was not completed.

    Args:
        state: Its state.
        text: The agent's message, "" for none.
    """
    code = "CANCELLED" if state == "canceled" else state.upper()
    return text or f"the task {'has failed' if state == 'failed' else f'was {state}'}", code


def _reason_in(details: Any) -> str:
    for each in details if isinstance(details, list) else ():
        if isinstance(each, dict) and isinstance(each.get("reason"), str):
            return str(each["reason"])
    return ""
