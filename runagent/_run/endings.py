"""The errors of failed runs, with what is known when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._call import NOT_RESUMED
from runagent._cutting import cut_text
from runagent._errors import (
    AgentError,
    NetworkError,
    ProtocolError,
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

LONG_PAUSE_SECONDS = 5.0  # servers that send pings may close the connection after about that long


def refusal(session: Session) -> RunAgentError | None:
    """Return the agent's error, or the error for a refusal of which at least the head has come, or None."""
    error = session.error
    by_proxy = isinstance(error, NetworkError) and session.answered
    return error if by_proxy or isinstance(error, AgentError) or type(error) is StreamError else None


def connection_lost(exc: OSError, *, heard: bool) -> RunAgentError:
    """Make the error for a connection that broke; ``heard`` means that a byte had come over it."""
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
    error: RunAgentError,
    report: RunReport,
    session: Session | None,
    recovery: Recovery,
    pause: float,
    *,
    awaited: bool,
) -> RunAgentError:
    """Return the error that ends the run, completed with what is known.

    Args:
        error: How the last attempt failed.
        report: The report so far.
        session: The session of the last attempt.
        recovery: The retries and resumptions so far.
        pause: The longest time without a reader, in seconds.
        awaited: The reader knows that the service has accepted the run.
    """
    if (recovery.begun or awaited) and isinstance(error, NetworkError | AgentError):
        error = _not_resumed(error)
    elif recovery.asked is not None and error.code == NOT_RESUMED and not report.chunks:
        error = _not_where_asked(error)
    _complete(error, report, session, pause)
    if recovery.resumes >= max(recovery.policy.max_resumes, 1) and isinstance(error, StreamError):
        add_remark(error, f"resumed {recovery.resumes} times, the most that max_resumes= allows")
    return error


def _not_resumed(error: RunAgentError) -> StreamTruncatedError:
    """Make the error for a stream that had begun and could not be resumed."""
    cut = StreamTruncatedError(
        f"the stream was cut short, and could not be resumed: {error.message}",
        hint=error.hint,
        code=error.code,
        details=error.details,
        request_id=error.request_id,
    )
    cut.retry_after = getattr(error, "retry_after", None)
    cut.__cause__ = error
    return cut


def _not_where_asked(error: RunAgentError) -> ProtocolError:
    """Make the error for a stream that did not go on behind the chunk that its caller has."""
    wrong = ProtocolError(error.message, hint=error.hint, code=error.code, request_id=error.request_id)
    wrong.__cause__ = error.__cause__
    return wrong


def _complete(error: RunAgentError, report: RunReport, session: Session | None, pause: float) -> None:
    """Complete an error with ids, counts and remarks."""
    error.request_id = cut_text(error.request_id or report.request_id or "") or None
    if isinstance(error, StreamError):
        error.chunks_received = report.chunks
        point = getattr(session, "resume_point", None)
        error.last_event_id = (cut_text(point.last_event_id) or None) if point is not None else None
    if isinstance(error, StreamTruncatedError) and pause > LONG_PAUSE_SECONDS:
        add_remark(error, f"before that, the stream had not been read for {pause:.0f} s")
    if isinstance(error, StreamTruncatedError | RunTimeoutError):
        last = getattr(session, "last_ignored", "")
        if last:
            add_remark(error, f"the last message that was ignored: {last}")
    if report.retries:
        add_remark(error, f"after {len(report.attempts)} attempts")
