"""One run from its first attempt to its outcome, without I/O.

The two pumps move bytes. This module decides what the bytes mean, what comes next and how the run ends, once
for every style.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runagent._errors import NetworkError, PluginError, ProtocolError, RunAgentError
from runagent._events import Chunk, Completed, Event
from runagent._internal.tracebacks import is_ours
from runagent._redact import hide_secrets
from runagent._report import add_remark, bare_copy
from runagent._run.attempt import shortcut_of
from runagent._run.endings import LONG_PAUSE_SECONDS, advise, connection_lost, final_error, refusal
from runagent._run.sending import FAREWELL_SECONDS, Sending
from runagent._run.spec import SAME_CONNECTION, Action
from runagent.transports._base import Session, Wants
from runagent.transports._request import name_transport
from runagent.transports._returned import UNREPEATABLE, split_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent._net.base import DeadlineExceededError

__all__ = ["Run"]

__tracebackhide__ = is_ours

_logger = logging.getLogger("runagent.run")

_READ, _TURN = Wants.READ, Wants.TURN
_INCOMPLETE = "the transport {!r} ended the run without its last event ({})"
_UNENDED = "the transport {!r} left wants at {} in receive_eof, and set no error"


class Run(Sending):
    """The decisions of one run: a pump reports what happened, and asks for the next action."""

    # Time

    def _note_gap(self, gap: float, waited: float, *, events: bool) -> None:
        """Note the time since the read before, and how much of it the client waited."""
        report = self.report
        self._longest_pause = max(self._longest_pause, gap - waited)
        self._quiet += gap
        if not events:
            return
        if report.first_event_seconds is not None and self._quiet > report.longest_gap_seconds:
            report.longest_gap_seconds = self._quiet
            self._notable_gap = min(self._quiet, LONG_PAUSE_SECONDS)  # a pause is part of a gap
        self._quiet = 0.0

    # Receiving

    def take_one(self, data: bytes, end: float) -> list[Event] | None:
        """Return the chunk that a read has brought if that is all; None, without any effect, if not.

        Invariant: `received` and `take_events` would come to the same, and have nothing to send.

        Args:
            data: The bytes.
            end: When they came.
        """
        receive_one = self.attempt.receive_one
        if (
            receive_one is None
            or not self.deadlines.steady
            or end - self._read_at > self._notable_gap
            or (chunk := receive_one(data)) is None
        ):
            return None
        self._read_at = end
        report = self.report
        report.bytes_received += len(data)
        report.chunks += 1
        batch: list[Event] = [chunk]
        self._taken = batch
        return batch

    def received(self, data: bytes, start: float, end: float) -> bytes:
        """Take bytes from the connection, b"" for its end, and return the bytes to send now.

        Args:
            data: The bytes.
            start: When the wait for them began.
            end: When they came.
        """
        attempt, deadlines = self.attempt, self.deadlines
        session = attempt.session
        assert session is not None
        gap, self._read_at = end - self._read_at, end
        if data:
            events = session.receive_data(data)
            report = self.report
            if attempt.connecting is None:
                report.bytes_received += len(data)
            try:
                if (
                    gap <= self._notable_gap
                    and attempt.steady
                    and deadlines.steady
                    and len(events) == 1
                    and type(events[0]) is Chunk
                    and session.wants is _READ
                    and session.error is None
                ):
                    report.chunks += 1
                    self.events.append(events[0])
                    return session.data_to_send()
            except (TypeError, LookupError):
                if type(events) is list:
                    raise  # else `_note` finds fault with it
            attempt.heard = True
            self._note_gap(gap, end - start, events=bool(events))
        else:
            self._quiet += gap
            if attempt.send_error is not None:  # the peer closed in the middle of the request
                self._lost(attempt.send_error)
                return self.data_to_send()
            if attempt.over_used_connection and attempt.unanswered and not self.recovery.replaced:
                self.action = Action.PROBE
                return b""
            events = session.receive_eof()
        deadlines.received(end - start, events=bool(events))
        self._take(session, events, start, end)
        if not data:
            self._check_ended(session)
        return self.data_to_send()

    def go_on(self, start: float, end: float) -> bytes:
        """Let the session go on with the bytes that it has, and return the bytes to send now.

        Args:
            start: When the session got them, or last went on with them.
            end: The time.
        """
        self.action, self._read_at = Action.READ, end
        events = self.session.go_on()
        self.deadlines.received(end - start, events=bool(events))
        self.deadlines.read(end)  # which notes that it is too late
        self._take(self.session, events, start, end)
        return self.data_to_send()

    def probed(self, *, reset: bool) -> bytes:
        """Note whether a reset followed the end of a pooled connection, and return the bytes to send now.

        A reset proves that the peer closed the connection before it read everything that we sent.
        """
        session = self.session
        self.action, self.attempt.unread = Action.READ, reset
        self._take(session, session.receive_eof(), self._read_at, self._read_at)
        self._check_ended(session)
        return self.data_to_send()

    def _take(self, session: Session, events: list[Event], start: float, end: float) -> None:
        attempt, deadlines, wants = self.attempt, self.deadlines, session.wants
        fault = None
        if events or type(events) is not list:
            fault = self._note(events)
        if not self.notes.accepted and (self.events or session.accepted):
            self.notes.accept()
        over = wants is Wants.DONE or fault is not None or session.error is not None
        if not over:  # else the end of the attempt does it
            attempt.note_answer(self.report)
        if fault is not None:
            self._failed(fault)
        elif over or (wants is not _READ and wants is not _TURN):
            self._follow(session)
        elif deadlines.overdue or (not events and deadlines.spent):
            self.timed_out(end, 0.0)  # a peer that never pauses
        elif wants is _TURN:
            self.action = Action.TURN
        elif attempt.send_late:
            attempt.late_at = min(attempt.late_at, start)
            if end - attempt.late_at > FAREWELL_SECONDS:
                self.timed_out(end, 0.0)  # a peer that reads nothing and goes on sending
        steady = attempt.progressed and attempt.sends and not (self._complete or self._watches_reads)
        if steady is not attempt.steady:
            attempt.steady = steady
            attempt.receive_one = shortcut_of(session) if steady else None

    def _note(self, events: list[Event]) -> PluginError | ProtocolError | None:
        """Keep a session's events for the reader, up to a fault, which is returned."""
        fault, report = None, self.report
        others: Sequence[Event] = ()
        if type(events) is not list or self._complete or not _are_chunks(events):
            events, others, fault = split_events(events, self._last_event, over=self._complete)
        if not events:
            return fault
        chunks = len(events) - len(others)
        if chunks and not report.chunks and (wrong := self.recovery.check_first(events)):
            return wrong
        seconds = self._read_at - self._started_at
        if report.first_event_seconds is None:
            self._report("first_event", seconds)
        report.note_events(chunks, seconds)
        if chunks:
            self.attempt.begun = self.attempt.progressed = True
            if self.recovery.note_progress():
                self.deadlines.renew()
        elif any(type(event) in UNREPEATABLE for event in others):
            self.attempt.begun = self.recovery.begun = True
        if type(last := events[-1]) is self._last_event:
            self._complete = True
            if self.session.usage is None:
                report.usage = last.usage
        if others:
            self.notes.take(others)
            self.keep_place()
        if self._watch is not None:
            self._report_read(events, seconds)
        self.events += events
        return fault

    def _report_read(self, events: list[Event], seconds: float) -> None:
        self._report("received", tuple(events), seconds)
        if self._complete:
            self._report("completed", events[-1])

    def _follow(self, session: Session) -> None:
        """Set the next action by what the session wants."""
        wants = session.wants
        if session.error is not None:
            self._failed(session.error)
        elif wants is Wants.DONE:
            self._finish()
        elif wants is Wants.RECONNECT:
            self.action = Action.CONNECT
        else:
            half_close = wants is Wants.CLOSE_WRITE and not self.attempt.write_closed
            self.action = Action.CLOSE_WRITE if half_close else Action.READ

    def _check_ended(self, session: Session) -> None:
        """Fail a session that wants more of a connection that has ended: it would be read for ever."""
        if self.action in SAME_CONNECTION:
            self._failed(PluginError(_UNENDED.format(self.report.transport, session.wants)))

    def _finish(self) -> None:
        """End the run; it fails if its last event has not come, even if the session reports no error."""
        if not self._complete:
            self._failed(ProtocolError(_INCOMPLETE.format(self.report.transport, self._last_event.__name__)))
            return
        self.action = Action.END
        self.end_attempt(self._read_at)

    def paused(self, start: float, end: float) -> None:
        """Note that a reader has waited in vain as long as it wanted to."""
        self._pass(end)
        self.deadlines.waited(end - start)

    # Failures

    def read_failed(self, exc: DeadlineExceededError | OSError, start: float, end: float) -> bytes:
        """Note that a read failed, and return the bytes to send now.

        Args:
            exc: The reason: a deadline has passed, or the connection broke after the last bytes were
                received.
            start: When the read began.
            end: When it failed.
        """
        self._pass(end)
        if isinstance(exc, OSError):
            self._lost(exc)
        else:
            self.timed_out(max(end, self.deadlines.read(start)), end - start)
        return self.data_to_send()

    def _lost(self, exc: OSError) -> None:
        session = self.session
        events = session.receive_eof()
        # A Completed that only the connection's end proves does not count if the connection broke.
        proven = [e for e in events if not (type(e) is Completed and not e.proven)]
        fault = self._note(proven)
        if not self.notes.accepted and self.events:
            self.notes.accept()
        if fault is not None:
            self._failed(fault)
        elif session.error is None and len(proven) == len(events):
            self._follow(session)
            self._check_ended(session)
        else:
            self._failed(refusal(session) or connection_lost(exc, heard=not self.attempt.unanswered))

    def connect_failed(self, exc: NetworkError, now: float) -> None:
        """Note that no connection could be opened."""
        self._pass(now)
        self.deadlines.waited(now - self.attempt.began_at)
        self._failed(exc.with_traceback(None))  # its frames hold a proxy's answer, and perhaps our password

    def timed_out(self, now: float, waited: float) -> None:
        """Note that a deadline has passed."""
        self._pass(now)
        attempt, deadlines = self.attempt, self.deadlines
        if not attempt.connected:
            now = max(now, deadlines.connect(attempt.began_at))  # a timer may fire early
            late = deadlines.error(deadlines.phase(now, connected=False), chunks=self.report.chunks)
            add_remark(
                late, "waiting for api_key()" if attempt.session is None else f"on the way to {self.address}"
            )
            self._failed(late)
            return
        if attempt.send_error is not None:
            self._lost(attempt.send_error)
            return
        deadlines.waited(waited)
        error = deadlines.error(deadlines.phase(now), chunks=self.report.chunks)
        # Bytes that have not been sent yet, perhaps as the peer reads nothing, come too late.
        attempt.send_late = True
        self.session.receive_eof()
        self._failed(refusal(self.session) or error)

    def _failed(self, error: RunAgentError) -> None:
        """Note a failed attempt, and let `Recovery` decide whether to make another one."""
        attempt, recovery = self.attempt, self.recovery
        if self.cancelled:
            reason, error = error, self.closed_error()
            error.__cause__ = reason
        name_transport(self.identify(error), recovery.names[0])
        if attempt.session is not None and attempt.session.following:
            attempt.begun = recovery.begun = True
        error.__cause__ = error.__cause__ or attempt.send_error or recovery.last_error
        hide_secrets(error, self.secrets)
        self.action = Action.END
        if not self.cancelled:
            self.action = recovery.decide(error, attempt, self.deadlines, self._read_at)
        self.end_attempt(self._read_at, error)  # only now it is known whether the error is retryable
        if self.action is Action.END:
            self._give_up(error)
            return
        recovery.last_error = error
        _logger.debug(
            "run %s: %s; trying again in %.3g s",
            self.report.run_id,
            attempt.describe_failure(len(self.report.attempts)),
            attempt.report.waited_seconds,
        )

    def _give_up(self, error: RunAgentError) -> None:
        attempt, recovery = self.attempt, self.recovery
        advise(error, attempt, recovery, self._context.hint_at(error))
        self.error = final_error(
            error,
            self.report,
            attempt,
            recovery,
            self._longest_pause,
            awaited=self.notes.awaited,
        )
        self.identify(self.error)
        hide_secrets(self.error, self.secrets)
        if not self.cancelled:
            self.report.error = bare_copy(self.error)
        number = len(self.report.attempts)
        _logger.debug("run %s: %s; giving up", self.report.run_id, attempt.describe_failure(number))


def _are_chunks(events: list[Event]) -> bool:
    """Whether all of the events are chunks, as mostly in a burst; without a loop of Python."""
    if not events or type(events[0]) is not Chunk or type(events[-1]) is not Chunk:
        return False
    return list(map(type, events)).count(Chunk) == len(events)
