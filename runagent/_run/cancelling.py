"""Asking the service to stop a run: a separate request, of one attempt and five seconds."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from runagent._call import RunIds
from runagent._config.timeouts import Timeouts
from runagent._errors import RunAgentError, RunTimeoutError
from runagent._internal.tracebacks import is_ours
from runagent._report import add_remark
from runagent._run.policy import RetryPolicy
from runagent._run.run import Run
from runagent._run.spec import RunSpec
from runagent.capabilities import Capability

if TYPE_CHECKING:
    from runagent._run.async_pump import AsyncPump
    from runagent._run.pump import Pump
    from runagent._run.state import RunState
    from runagent.transports._base import Session, Transport

__all__ = ["ask_to_stop", "ask_to_stop_async"]

__tracebackhide__ = is_ours

_logger = logging.getLogger("runagent.run")

CANCEL_SECONDS = 5.0
GONE = "GONE"  # the code of the error for a run that the service does not know, or that is over
_TIMEOUTS = Timeouts(connect=CANCEL_SECONDS, first_event=None, idle=None, total=CANCEL_SECONDS)
_POLICY = RetryPolicy(max_retries=0, max_resumes=0)
_REMARK = "the service was asked to stop the run, which may go on"


class _Source(Protocol):
    @property
    def run(self) -> Run: ...
    def for_run(self, run: Run) -> Pump: ...


class _AsyncSource(Protocol):
    @property
    def run(self) -> Run: ...
    def for_run(self, run: Run) -> AsyncPump: ...


class CancelRun(Run):
    """The request that asks to stop a run. It is no run for observers and for the log."""

    def _open(self, transport: Transport) -> Session:
        session: Session = transport.open_cancel(self._call, self.address.route)  # type: ignore[attr-defined]
        return session

    def finished(self, now: float | None, *, error: BaseException | None = None) -> None:
        """Note the end."""
        self._unreported.clear()
        self._end_last_attempt(now, error)


def ask_to_stop(source: _Source) -> bool:
    """Ask the service to stop the run of a stream; return whether it confirmed.

    Raises:
        RunAgentError: The service rejected the request, or could not be reached.
    """
    run = source.run
    if (request := _begin(run)) is None:
        return False
    pump = source.for_run(request)
    try:
        while pump.next_batch() is not None:
            pass
    except RunAgentError as exc:
        return _note_failure(run, exc)
    finally:
        pump.close()
    return True


async def ask_to_stop_async(source: _AsyncSource) -> bool:
    """See `ask_to_stop`."""
    run = source.run
    if (request := _begin(run)) is None:
        return False
    pump = source.for_run(request)
    try:
        while await pump.next_batch() is not None:
            pass
    except RunAgentError as exc:
        return _note_failure(run, exc)
    finally:
        pump.close()
    return True


def _begin(run: RunState) -> CancelRun | None:
    """Mark a run as cancelled and return the request that asks for it, or None if there is none."""
    if not run.is_over:
        run.cancelled = True
    ids = run.ids
    if run.is_complete or not ids:
        return None
    transport = run.transport
    if Capability.CANCEL not in transport.capabilities:
        return None
    call = run.prepared_call.replace(attach_to=RunIds(ids), input={}, args=(), timeout_seconds=CANCEL_SECONDS)
    request = CancelRun(
        RunSpec(
            call=call, transports=(transport.name,), timeouts=_TIMEOUTS, policy=_POLICY, context=run.context
        )
    )
    request.recovery.first_key = f"{run.recovery.first_key}-cancel"  # the run's key belongs to its request
    return request


def _note_failure(run: RunState, error: RunAgentError) -> bool:
    """Return False if the run was over; otherwise raise why it could not be stopped."""
    run.identify(error)
    if error.code == GONE:
        return False
    add_remark(error, _REMARK)
    if isinstance(error, RunTimeoutError):
        error.hint = ""  # this limit is nobody's setting
    _logger.warning("run %s: %s", run.report.run_id, error)
    raise error
