"""The errors of failed runs, with what is known when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from runagent._call import NOT_RESUMED
from runagent._config.parsers import TRANSPORT_GROUPS
from runagent._cutting import cut_text
from runagent._errors import (
    AgentError,
    NetworkError,
    ProtocolError,
    RunAgentError,
    RunTimeoutError,
    StreamError,
    StreamTimeoutError,
    StreamTruncatedError,
    TransportError,
)
from runagent._report import add_hint, add_remark

if TYPE_CHECKING:
    from runagent._report import RunReport
    from runagent._run.attempt import AttemptState
    from runagent._run.recovery import Recovery
    from runagent.transports._base import Session

__all__ = ["CANCELLED", "LONG_PAUSE_SECONDS", "advise", "connection_lost", "final_error", "refusal"]

S = TypeVar("S", bound=StreamError)

CANCELLED = "CANCELLED"  # the code of the error for a run that was cancelled
LONG_PAUSE_SECONDS = 5.0  # servers that send pings may close the connection after about that long
_MAX_QUOTED = 1024  # characters of an earlier error in the message of the last one
_NOT_TRIED_AGAIN = "not tried again, because the agent may have begun the run"
_TRY_AGAIN = "retry_unsafe=True tries it again all the same"
_OTHER_TRANSPORT = 'or choose another transport: "auto" tries them all'


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


def advise(error: RunAgentError, attempt: AttemptState, recovery: Recovery, hint: str) -> None:
    """Append to the error of a run's last attempt what the operator can do.

    Args:
        error: How the attempt failed.
        attempt: The attempt.
        recovery: The retries and resumptions so far.
        hint: What the client's settings have to do with the error; "" if nothing is known.
    """
    if not recovery.begun and recovery.policy.holds_back(error, connected=attempt.may_have_begun):
        add_remark(error, _NOT_TRIED_AGAIN)
        add_hint(error, _TRY_AGAIN)
    if hint:
        add_hint(error, hint)
    unsupported = attempt.session is not None and attempt.session.unsupported
    if unsupported and recovery.names[0] in TRANSPORT_GROUPS["auto"]:
        add_hint(error, _OTHER_TRANSPORT)


def final_error(
    error: RunAgentError,
    report: RunReport,
    attempt: AttemptState,
    recovery: Recovery,
    pause: float,
    *,
    awaited: bool,
) -> RunAgentError:
    """Return the error that ends the run, completed with what is known.

    Args:
        error: How the last attempt failed.
        report: The report so far.
        attempt: The last attempt.
        recovery: The retries and resumptions so far.
        pause: The longest time without a reader, in seconds.
        awaited: The reader knows that the service has accepted the run.
    """
    # What broke the stream is of interest until the resumed one has brought something.
    broken = None if attempt.begun or error.code == CANCELLED else recovery.broken
    if isinstance(broken, RunTimeoutError) and _keeps_from_resuming(error):
        error = _still_silent(broken, error)
    elif (recovery.begun or awaited) and isinstance(error, NetworkError | AgentError):
        error = (
            _reported(error)
            if attempt.begun and isinstance(error, AgentError)
            else _cut_short(error, attempt, broken)
        )
    elif broken is not None and broken.message != error.message:
        add_remark(error, f"the stream had broken before: {broken.message}")
    elif recovery.asked is not None and error.code == NOT_RESUMED and not report.chunks:
        error = _not_where_asked(error)
    _complete(error, report, attempt.session, pause)
    if recovery.resumes >= max(recovery.policy.max_resumes, 1) and isinstance(error, StreamError):
        add_remark(error, f"resumed {recovery.resumes} times, the most that max_resumes= allows")
    return error


def _reported(error: AgentError) -> StreamError:
    """Make the error for a refusal by which an agent ends a stream that it has begun."""
    return _as_stream_error(StreamError, error.message, error)


def _cut_short(error: RunAgentError, attempt: AttemptState, broken: RunAgentError | None) -> StreamError:
    """Make the error for a stream that had begun in this attempt, or before it and could not be resumed."""
    how = "the stream was cut short"
    if not attempt.begun:
        why = "" if broken is None else f" ({cut_text(broken.message, _MAX_QUOTED)})"
        how = f"{how}{why}, and could not be resumed"
    return _as_stream_error(StreamTruncatedError, f"{how}: {error.message}", error)


def _keeps_from_resuming(error: RunAgentError) -> bool:
    """Whether it is the way to the agent, a refusal or a missing proof that ended a resumption."""
    failed = isinstance(error, TransportError | AgentError | StreamTruncatedError)
    return failed or error.code == NOT_RESUMED


def _still_silent(silence: RunTimeoutError, error: RunAgentError) -> StreamTimeoutError:
    """Make the error for an agent that fell silent, if the stream could not be resumed after that.

    It remains a timeout, as only the silence shows its reader which limit to raise.
    """
    how = f"{cut_text(silence.message, _MAX_QUOTED)}; the stream could not be resumed"
    late = _as_stream_error(StreamTimeoutError, f"{how}: {error.message}", error)
    late.phase, late.code, late.hint = silence.phase, silence.code, silence.hint
    if error.hint:
        add_hint(late, error.hint)
    return late


def _as_stream_error(kind: type[S], message: str, cause: RunAgentError) -> S:
    error = kind(
        message,
        hint=cause.hint,
        code=cause.code,
        details=cause.details,
        request_id=cause.request_id,
        retry_after=getattr(cause, "retry_after", None),
    )
    error.__cause__ = cause
    return error


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
