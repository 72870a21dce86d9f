"""The attributes of spans, read from calls, attempts, reports and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Status, StatusCode

from runagent import RunAgentError
from runagent_otel import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from runagent import AgentCall, Attempt, Completed, RunReport, RunResult

__all__ = ["known", "of_attempt", "of_call", "of_last_event", "of_report", "set_error"]


def known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that have a value."""
    return {name: value for name, value in attributes.items() if value is not None}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def of_call(call: AgentCall) -> dict[str, Any]:
    return known(
        {
            names.AGENT_ID: call.agent_id,
            names.AGENT_NAME: call.agent_id,
            names.CONVERSATION_ID: _text(call.input.get("session_id")),
            names.REQUEST_MODEL: _text(call.input.get("model")),
            names.REQUEST_STREAM: True if call.mode == "stream" else None,
            names.RUN_ID: call.run_id,
            names.ENTRYPOINT_TAG: call.entrypoint_tag,
            names.ATTACHED: True if call.attach_to is not None else None,
        }
    )


def of_attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        names.STATUS_CODE: attempt.status,
        names.CONNECTION_REUSED: attempt.reused,
        names.RETRY_WAIT: attempt.waited_seconds or None,
    }


def of_report(report: RunReport) -> dict[str, Any]:
    tokens = report.tokens
    return {
        names.OUTCOME: report.outcome,
        names.TRANSPORT: report.transport or None,
        names.REQUEST_ID: report.request_id,
        names.ATTEMPTS: len(report.attempts),
        names.CHUNKS: report.chunks,
        names.BYTES_RECEIVED: report.bytes_received,
        names.LONGEST_GAP: report.longest_gap_seconds,
        names.RESPONSE_TIME_TO_FIRST_CHUNK: report.first_chunk_seconds,
        names.INPUT_TOKENS: tokens and tokens.input,
        names.OUTPUT_TOKENS: tokens and tokens.output,
        names.CACHED_TOKENS: tokens and tokens.cached,
        names.REASONING_TOKENS: tokens and tokens.reasoning,
        names.TOTAL_TOKENS: tokens and tokens.total,
    }


def of_last_event(last: Completed | RunResult | None) -> dict[str, Any]:
    if last is None:
        return {}
    stop_reason = _text(getattr(last, "stop_reason", None))
    metadata = getattr(last, "metadata", None) or {}
    return {
        names.RESPONSE_FINISH_REASONS: [stop_reason] if stop_reason else None,
        names.RESPONSE_ID: _text(metadata.get("id")),
        names.RESPONSE_MODEL: _text(metadata.get("model")),
    }


def _describe(error: BaseException) -> str:
    """Return the text of an error, without the name of its agent, which it has if a program asks several."""
    if not isinstance(error, RunAgentError):
        return str(error)
    return f"{error.message} ({error.hint})" if error.hint else error.message


def set_error(span: Span, error: BaseException | None) -> None:
    if error is None:
        return
    span.set_status(Status(StatusCode.ERROR, _describe(error)))
    span.set_attribute(names.ERROR_TYPE, names.error_type(error))
    if code := getattr(error, "code", None):
        span.set_attribute(names.ERROR_CODE, str(code))
