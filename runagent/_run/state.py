"""The state of a run, and how it ends; `Run` makes the decisions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from runagent._errors import ConfigurationError, PluginError, StreamError
from runagent._events import Completed, Event, RunResult
from runagent._internal.agents import are_several
from runagent._internal.foreign import ENDS_LOOPS, find_hook, let_signals_through
from runagent._net.base import track_descriptor
from runagent._redact import hide_secrets
from runagent._report import RunAgentError, RunReport, bare_copy, set_run
from runagent._run.endings import CANCELLED
from runagent._run.notes import RunNotes
from runagent._run.recovery import Recovery
from runagent._run.spec import Action, RunContext, RunSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent._address.route import Address
    from runagent._call import AgentCall, ResumePoint
    from runagent._limits import Limits
    from runagent._plugins.call_observers import CallObservers
    from runagent._plugins.observers import Observers
    from runagent._run.attempt import AttemptState
    from runagent._run.deadlines import Deadlines
    from runagent._run.handed import Handed
    from runagent.transports._base import Session, Transport

__all__ = ["RunState"]

_logger = logging.getLogger("runagent.run")

CLOSED_WHILE_READ = "the stream was closed while it was being read"
CANCELLED_TEXT = "the run was cancelled"
_RAISED = "run %s: the transport %r raised in %s: %r, as its session %s"
_ENDS_LOOP = "which a loop would take for the end of the run"

_FACTS = (
    "run_id",
    "agent_id",
    "transport",
    "outcome",
    "status",
    "error",
    "first_chunk_seconds",
    "total_seconds",
    "chunks",
    "retries",
    "tokens",
)


def _facts(report: RunReport) -> dict[str, Any]:
    """Return what the line of a run in the log shows, as attributes of its record."""
    facts = report.as_dict()
    return {name: facts[name] for name in _FACTS}


# Many methods: pumps, streams, handles and `Run` each ask for a fact or two.
class RunState:
    """The state of one run.

    Attributes:
        action: What the pump has to do next.
        events: Events for the reader.
        error: Why the run failed, once ``action`` is END; None if it did not.
        report: The report so far.
        notes: What stays of its events, for the stream.
        recovery: The state that is kept from one attempt to the next.
        address: The address of the current attempt.
        attempt: The current attempt.
        deadlines: The limits, for all attempts.
        forked: The process was forked, and the run belongs to the parent process.
        attaches: The transport can attach to a run, so the place of the reader is kept.
        cancelled: The reader's side has cancelled the run: no other attempt is made.
        place: Where a reader goes on who has read all batches before the last one; None for the beginning.
        resume_point: The last session's, once that has ended or while it lasts.
    """

    # Once an attempt has begun; plain attributes, as all of the run reads them.
    address: Address
    attempt: AttemptState
    deadlines: Deadlines

    # Class attributes: most runs never set them.
    attaches: bool = False
    cancelled: bool = False
    place: ResumePoint | None = None
    _ids: Mapping[str, str] | None = None
    _last_point: ResumePoint | None = None
    _lost_events = False

    def __init__(self, spec: RunSpec) -> None:
        call = spec.call
        self.action = Action.CONNECT
        self.events: list[Event] = []
        self.error: RunAgentError | None = None
        self.notes = RunNotes()
        self.report = RunReport(call.run_id, call.agent_id)
        self.forked = False
        context = spec.context
        self.recovery = Recovery(
            spec.policy,
            context.known_unsupported,
            call.base.origin,
            spec.transports,
            call.idempotency_key or call.run_id,
            asked=spec.resume if spec.resume is not None and spec.resume.proof == "index" else None,
            resume=spec.resume,
            asks_key=context.asks_key,
        )
        self._context = context
        self._timeouts = spec.timeouts
        self._observers: Observers | None = spec.observers
        self._call = call  # of the current attempt, once there is one
        self._prepared = call  # as observers have changed it, for every attempt
        self._watch: CallObservers | None = None  # the observers of this run, once it has begun
        self._watches_reads = False  # one of them wants the events of each read
        self._unreported = [self.report]  # until observers know that the run is over
        self._taken: list[Event] = []
        self._attempt: AttemptState | None = None
        self._has_begun = False  # there are deadlines
        self._started_at = 0.0
        self._last_event = RunResult if call.mode == "invoke" else Completed
        self._complete = False  # the last event has come
        self._read_at = 0.0  # when the last read ended, or whatever else was last noted
        self._quiet = 0.0  # seconds from the last read that brought events to that
        self._notable_gap = 0.0  # a gap between reads that is not longer changes nothing here
        self._longest_pause = 0.0  # the longest time without a reader
        if call.attach_to is not None:
            self._ids, self.report.attached = call.attach_to, True
            self.place = self._last_point = spec.resume
        track_descriptor(self)

    def cap(self, end: float | None) -> None:
        """Have reads end at that moment, if not before; None: have only the run's own limits end them."""
        if self._has_begun:
            deadlines = self.deadlines
            deadlines.cap = deadlines.total if end is None or end > deadlines.total else end

    def take_events(self) -> list[Event]:
        """Take the events for the reader."""
        self._taken, self.events = self.events, []
        return self._taken

    def handed(self, unread: int) -> Handed:
        """Return what the reader was handed.

        Args:
            unread: How many events of the last batch it has not taken.
        """
        from runagent._run.handed import Handed  # most streams have no handle

        return Handed(self._taken, unread, self.place, lost=bool(self.events) or self._lost_events)

    def keep_place(self) -> None:
        """Note the place behind the last batch, all of which was read, before another one takes its place."""
        if self.attaches and self._taken:
            from runagent._run.handed import place_after

            self.place = place_after(self._taken, self.place)
            self._taken = []

    def forget(self) -> None:
        """Drop the events, which belong to the parent process; see `track_descriptor`."""
        self.forked = True
        self._taken.clear()
        self.events.clear()

    @property
    def limits(self) -> Limits:
        """The limits of what the peer may send."""
        return self._call.limits

    @property
    def call(self) -> AgentCall:
        """The call of the current attempt, or of the run before its first one."""
        return self._call

    @property
    def prepared_call(self) -> AgentCall:
        """The call as observers have changed it, for every attempt."""
        return self._prepared

    @property
    def context(self) -> RunContext:
        """What the run needs of its client."""
        return self._context

    @property
    def transport(self) -> Transport:
        """The transport of the current attempt, or of the first one to come."""
        if self._attempt is not None:
            return self._attempt.transport
        return self._context.find(self.recovery.names[0])

    @property
    def ids(self) -> Mapping[str, str] | None:
        """The protocol's ids of the run, as soon as its session knows them."""
        self._keep_ids()
        return self._ids

    @property
    def resume_point(self) -> ResumePoint | None:
        """The resume point of the current session, or of the last one."""
        self._keep_ids()
        return self._last_point

    def _keep_ids(self) -> None:
        """Keep what a handle needs of the session, which is dropped at the end of the run."""
        session = None if self._attempt is None else self._attempt.session
        if session is not None:
            ids = getattr(session, "handle_ids", None) or self._ids  # other people's classes may have none
            if ids:
                self._ids, point = ids, session.resume_point
                if (
                    point is not None or self.attempt.begun
                ):  # until then a resumption is where it was asked for
                    self._last_point = point

    @property
    def session(self) -> Session:
        """The session of the current attempt."""
        session = self.attempt.session
        assert session is not None
        return session

    @property
    def wants_no_more(self) -> bool:
        """Whether the peer's answer makes it useless to send the rest of the request."""
        return self.action not in (Action.READ, Action.TURN) or self.attempt.refused

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection may serve other runs now that this one is over."""
        return self.action is Action.END and self.error is None and self.attempt.keeps_connection

    def end_attempt(self, now: float | None, error: BaseException | None = None) -> None:
        """Note the end of the current attempt, once."""
        attempt = self._attempt
        if attempt is None or attempt.ended:
            return
        seconds = None if now is None else now - self._started_at - attempt.report.started_at
        attempt.end(self.report, seconds, error)
        self._keep_ids()
        self._report("attempt_ended", attempt.report)

    def _end_last_attempt(self, now: float | None, error: BaseException | None) -> None:
        """End an attempt together with its run; what its session does not give any more stays unknown."""
        try:
            self.end_attempt(now, error)
        except (Exception, *ENDS_LOOPS) as exc:  # noqa: BLE001  # of a third party
            self.note_lost(exc, "was asked about its answer")

    def note_lost(self, exc: BaseException, when: str) -> None:
        """Log what the session of a run that is over has raised, as it cannot change how the run ended."""
        let_signals_through(exc)
        _logger.warning(_RAISED, self.report.run_id, self.report.transport, find_hook(exc), exc, when)

    def ended_by(self, exc: BaseException) -> RunAgentError:
        """Return the error for what a loop would take for its end."""
        attempt, hook = self._attempt, find_hook(exc)
        what = f"raised {type(exc).__name__}{f' in {hook}' if hook else ''}, {_ENDS_LOOP}"
        if attempt is not None and attempt.asks_key:
            return ConfigurationError(f"api_key() {what}")
        name = self.report.transport or self.recovery.names[0]
        return PluginError(f"the transport {name!r} {what}", plugin=name)

    def finished(self, now: float | None, *, error: BaseException | None = None) -> None:
        """Note the end of the run, once, and report it to observers.

        Args:
            now: The time; None if there is no clock any more.
            error: An exception that ended the run, if it is not the run's own error.
        """
        if not self._unreported or not self._has_begun or self.forked:
            return
        try:
            report = self._unreported.pop()
        except IndexError:  # reported already, perhaps by another thread
            return
        if error is not None:
            error = report.error = bare_copy(error)
            hide_secrets(error, self.secrets)
        self._end_last_attempt(now, error)
        over = error is not None or self.action is Action.END
        good = self._complete and self.error is None and error is None
        report.outcome = "closed" if not over or (self.cancelled and not good) else "failed"
        if over and good:
            report.outcome = "completed"
        report.total_seconds = None if now is None else now - self._started_at
        if _logger.isEnabledFor(logging.INFO):
            _logger.info("%s", str(report), extra=_facts(report))
        self._report("finished", report)

    def _report(self, hook: str, *facts: object) -> None:
        """Call a method of the run's observers, if it has any."""
        if self._watch is not None:
            self._watch.report(hook, *facts)

    def closed_error(self) -> StreamError:
        """Return the error for a reader whose stream was closed or cancelled by somebody else."""
        text, code = (CANCELLED_TEXT, CANCELLED) if self.cancelled else (CLOSED_WHILE_READ, None)
        return StreamError(text, code=code, chunks_received=self.report.chunks)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended and its reader has been given how."""
        return not self._unreported

    @property
    def is_complete(self) -> bool:
        """Whether the run's last event has come."""
        return self._complete

    def identify(self, error: RunAgentError) -> RunAgentError:
        """Put the run's ids into an error and return it."""
        set_run(error, self.report, names_agent=are_several())
        return error

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets that no error may show, even if it quotes a peer's text."""
        address: Address | None = getattr(self, "address", None)
        return *self._call.secrets, *(address.secrets if address is not None else ())

    def release(self) -> None:
        """Drop references to errors and sessions.

        An error's traceback refers to frames that refer to this object: the cycle would keep all of them
        alive.
        """
        self.recovery.forget_errors()
        if self._attempt is not None:
            self._attempt.release()

    def abandon(self) -> None:
        """End the run, as its reader has closed the stream."""
        self.finished(None)
        self.action = Action.END
        self._lost_events = bool(self.events)
        self.events = []
        self.release()
