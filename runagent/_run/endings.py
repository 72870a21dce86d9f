"""How a run ends badly: the errors that say so, made of what is known by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._cutting import cut_text
from runagent._errors import (
    AgentError,
    NetworkError,
    RunAgentError,
    RunTimeoutError,
    StreamError,
    StreamTruncatedError,
)
from runagent._report import add_remark

if TYPE_CHECKING:
    from runagent._report import RunReport
    from runagent._run.recovery import Recovery
    from runagent.transports._base import Session

__all__ = ["LONG_PAUSE_SECONDS", "connection_lost", "final_error", "refusal"]

LONG_PAUSE_SECONDS = 5.0  # servers that ping begin to give a client up after about that long


def refusal(session: Session) -> RunAgentError | None:
    """Return the agent's own error, or the refusal whose head has come, even if its body has not."""
    error = session.error
    by_proxy = isinstance(error, NetworkError) and session.answered
    return error if by_proxy or isinstance(error, AgentError) or type(error) is StreamError else None


def connection_lost(exc: OSError, *, heard: bool) -> RunAgentError:
    """Make the error for a connection that broke; ``heard`` tells that a byte had come over it."""
    from runagent._net.faults import explain_loss  # imports ssl, and only a run that fails needs it

    code, why = explain_loss(exc)
    if heard:
        error: RunAgentError = StreamTruncatedError(
            f"the connection broke in the middle of the answer: {why}"
        )
    else:
        error = NetworkError(f"the connection broke before an answer came: {why}", code=code)
    error.__cause__ = exc
    return error


def final_error(
    error: RunAgentError, report: RunReport, session: Session | None, recovery: Recovery, pause: float
) -> RunAgentError:
    """Return the error that ends the run, with what is known by then.

    Args:
        error: How the last attempt failed.
        report: What the run has come to.
        session: The session of the last attempt.
        recovery: What has been tried.
        pause: The longest time without a reader, in seconds.
    """
    if recovery.begun and isinstance(error, NetworkError | AgentError):
        error = _not_resumed(error)
    _complete(error, report, session, pause)
    if recovery.resumes >= max(recovery.policy.max_resumes, 1) and isinstance(error, StreamError):
        add_remark(error, f"resumed {recovery.resumes} times, which is all that max_resumes= allows")
    return error


def _not_resumed(error: RunAgentError) -> StreamTruncatedError:
    """Make the error for a stream that had begun, and for which there was no way to go on."""
    cut = StreamTruncatedError(
        f"the stream was cut short, and could not be resumed: {error}",
        code=error.code,
        details=error.details,
        request_id=error.request_id,
    )
    cut.retry_after = getattr(error, "retry_after", None)
    cut.__cause__ = error
    return cut


def _complete(error: RunAgentError, report: RunReport, session: Session | None, pause: float) -> None:
    """Add what the run knows to an error."""
    error.request_id = cut_text(error.request_id or report.request_id or "") or None
    if isinstance(error, StreamError):
        error.chunks_received = report.chunks
        point = getattr(session, "resume_point", None)
        error.last_event_id = (cut_text(point.last_event_id) or None) if point is not None else None
    if isinstance(error, StreamTruncatedError) and pause > LONG_PAUSE_SECONDS:
        add_remark(error, f"before, nobody had read the stream for {pause:.0f} s")
    if isinstance(error, StreamTruncatedError | RunTimeoutError):
        last = getattr(session, "last_ignored", "")
        if last:
            add_remark(error, f"the last message that was ignored: {last}")
    if report.retries:
        add_remark(error, f"after {len(report.attempts)} attempts")
