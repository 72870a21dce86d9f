"""One run from its first attempt to its verdict, without I/O.

The two pumps in ``pump`` move bytes; what they mean, what comes next and how it ends is decided
here, once for every concurrency style.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from runagent._errors import (
    AgentError,
    ConfigurationError,
    NetworkError,
    PluginError,
    ProtocolError,
    RunAgentError,
    RunTimeoutError,
    StreamError,
)
from runagent._events import Chunk, Completed, Event, RunResult
from runagent._net.base import DeadlineExceededError, track_descriptor
from runagent._redact import hide_secrets
from runagent._report import Attempt, RunReport, counted
from runagent._run.deadlines import Deadlines
from runagent._run.endings import complete, connection_lost, not_resumed, refusal
from runagent._run.spec import RunSpec, Step
from runagent._wire.jsontext import quote
from runagent.capabilities import Capability
from runagent.transports._base import Session, Transport, Wants
from runagent.transports._request import check_bytes, check_session, name_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from runagent._address.route import Address
    from runagent._call import AgentCall, ResumePoint
    from runagent._limits import Limits
    from runagent._plugins.observers import Observers
    from runagent.transports._base import ConnectingSession

__all__ = ["Run"]

_logger = logging.getLogger("runagent.run")

_NEVER = float("inf")
_READ = Wants.READ
_FAREWELL_SECONDS = 1.0
_NOT_TRIED_AGAIN = "not tried again, because the agent may have begun the run; retry_unsafe=True would"
_INCOMPLETE = "the transport {!r} ended the run without the event that says so ({})"


class Run:
    """The state of one run.

    Attributes:
        step: What the pump has to do next.
        events: What there is to hand out.
        session: The session of the current attempt.
        connecting: The same, if it brings its own connection.
        error: Why the run ended badly, once ``step`` is END.
        report: What the run has come to so far.
        address: Where the current attempt goes.
        delay: Seconds to wait, while ``step`` is BACK_OFF.
        fresh: The attempt needs a new connection: a kept one has not carried it.
        forked: It belongs to the parent of this process.
        key_to_come: Gives the key, for `open_session`; None if the session of the attempt is open.
    """

    # What few runs ever change; with thirty attributes of its own, each would have a dictionary for itself.
    error: RunAgentError | None = None
    delay = 0.0
    fresh = False
    connecting: ConnectingSession | None = None
    key_to_come: Awaitable[str] | None = None
    _asked: AgentCall | None = None  # the call without the key, for observers
    _resume: ResumePoint | None = None
    _failures = 0  # attempts in a row without a new chunk
    _resumes = 0
    _replaced = False  # a kept connection that died, by a fresh one
    _unread = False  # the peer has provably not read the request of this attempt
    _last_error: RunAgentError | None = None
    _send_error: OSError | None = None
    _send_late = _send_stopped = _write_closed = False
    _observers: Observers | None = None
    _late_at = _NEVER  # when the first read behind a send that took too long began

    # What is there once an attempt has begun.
    address: Address
    _transport: Transport
    _attempt: Attempt

    def __init__(self, spec: RunSpec) -> None:
        self.step = Step.CONNECT
        self.report = RunReport()
        self.forked = False
        self._terms = spec.terms
        self._policy = spec.policy
        self._timeouts = spec.timeouts
        if spec.observers is not None:
            self._observers = spec.observers
        self._call = spec.call  # of the current attempt, once there is one
        self._untold = [self.report]  # until it is told that the run is over
        self.events: list[Event] = []
        self._taken: list[Event] = []
        self._session: Session | None = None
        self._deadlines: Deadlines | None = None
        self._started_at = self._attempt_at = 0.0
        self._names = spec.transports  # of the transports that are left to try, the current one first
        self._key = _new_key()
        self._last_event = RunResult if spec.call.mode == "invoke" else Completed
        self._complete = False  # it has come
        self._begun = False  # a chunk has come, in this or an earlier attempt
        self._progressed = False  # a chunk has come in this attempt
        self._heard = False  # a byte has come in this attempt
        self._steady = False  # a chunk has come in it, and what was to be sent has been
        self._connected = False
        self._accounted = False  # for what the session knows
        self._read_at = 0.0  # when the last read ended
        self._longest_pause = 0.0  # how long nobody read at a stretch
        track_descriptor(self)

    # For the pump

    def take_events(self) -> list[Event]:
        """Take what there is to hand out."""
        self._taken, self.events = self.events, []
        return self._taken

    def forget(self) -> None:
        """Drop what the parent process will hand out; see `track_descriptor`."""
        self.forked = True
        self._taken.clear()
        self.events.clear()

    @property
    def limits(self) -> Limits:
        """The bounds of what the peer may make us hold."""
        return self._call.limits

    @property
    def session(self) -> Session:
        """The session of the current attempt."""
        assert self._session is not None
        return self._session

    @property
    def deadlines(self) -> Deadlines:
        """The limits, once the first attempt has begun."""
        assert self._deadlines is not None
        return self._deadlines

    def begin_attempt(self, now: float) -> Address:
        """Open a session, unless the last one only wants another connection; say where to connect.

        Raises:
            RunAgentError: The call cannot be made; the run is over.
        """
        self.step = Step.END
        address = self._begin_attempt(now)
        self.step = Step.CONNECT
        return address

    def _begin_attempt(self, now: float) -> Address:
        if self._deadlines is None:
            self._started_at = now
            self._deadlines = Deadlines(self._timeouts, now)
            self._names = self._terms.verdicts.choose(self._call.base.origin, self._names, now)
            if self._observers is not None:
                self._asked = self._call
                self._asked = self._call = self._observers.prepare(self._call)
                self._observers.started(self._call)
        transport = self._find_capable()
        self.address = address = self._terms.address(transport.tunnels)
        if self._session is not None:
            self._forget_attempt()
        if self._session is None or self._session.wants is not Wants.RECONNECT:
            self._session = None
            key = self._terms.api_key()
            if key is None or isinstance(key, str):
                self.open_session(key)
            else:
                self.key_to_come = key
            self._attempt = Attempt(self._names[0])
            self.report.attempts.append(self._attempt)
            self._deadlines.begin_attempt()
            self._accounted = False
        self.report.transport = self._names[0]
        self._attempt_at = now
        return address

    def open_session(self, key: str | None) -> None:
        """Open the session of an attempt.

        Args:
            key: The API key of this attempt.

        Raises:
            RunAgentError: The call cannot be made; the run is over.
        """
        transport = self._transport
        self._call = replace(
            self._call, api_key=key, idempotency_key=self._key, opened_at=self._terms.clock()
        )
        try:
            session = transport.open(self._call, self.address.route, self._resume)
            check_session(session)
        except PluginError as exc:
            name_transport(exc, self._names[0])
            raise
        self._session = session
        connects = getattr(transport, "brings_connection", False)
        if connects or self.connecting is not None:
            self.connecting = cast("ConnectingSession", session) if connects else None

    def _forget_attempt(self) -> None:
        self._heard = self._connected = self._progressed = self._steady = False
        self._send_error = None
        self._send_late = self._send_stopped = self._write_closed = self._unread = False
        self._late_at = _NEVER

    def _find_capable(self) -> Transport:
        """Return the first transport of the choice that can make such a run.

        Raises:
            ConfigurationError: None of them can.
        """
        asked = self._names
        while self._names:
            self._transport = self._terms.find(self._names[0])
            if self._call.mode == "stream" or Capability.INVOKE in self._transport.capabilities:
                return self._transport
            self._names = self._names[1:]
        raise ConfigurationError(
            f"no plain run can be made over {' or '.join(map(repr, asked))}: stream it (run_generic_stream),"
            " or choose another transport",
            code="NO_PLAIN_RUN",
        )

    def connected(self, now: float, *, reused: bool) -> None:
        """Note that the connection stands."""
        self._connected = True
        self.fresh = False
        self._attempt.reused = reused
        self._attempt.connect_seconds = None if reused else now - self._attempt_at
        _logger.debug(
            "%s connection to %s over %s", "kept" if reused else "new", self.address, self._attempt.transport
        )
        self.report.connect_seconds = self._attempt.connect_seconds
        self.deadlines.connected(now - self._attempt_at)
        self._read_at, self._longest_pause = now, 0.0
        self.step = Step.READ

    def send_deadline(self, now: float) -> float:
        """Return the deadline of a send that begins now; a farewell gets little time."""
        return self.deadlines.read(now) if self.step is Step.READ else now + _FAREWELL_SECONDS

    def data_to_send(self) -> bytes:
        """Take what is to be sent on the connection at hand: nothing behind what did not get through."""
        if self.step is Step.CONNECT:
            return b""
        session = self._session
        assert session is not None
        data = session.data_to_send()
        if not isinstance(data, bytes):
            self._refuse_bytes(data)
            return b""
        return data if data and self._sends else b""

    def _refuse_bytes(self, data: object) -> None:
        try:
            check_bytes(data, "data_to_send")
        except PluginError as exc:
            self._failed(exc.with_traceback(None))

    def farewell(self) -> bytes:
        """Return what the protocol says to a peer that is left early."""
        self.session.close()
        return self.data_to_send()

    @property
    def _sends(self) -> bool:
        """Whether all that was to be sent on this connection has been."""
        return self._send_error is None and not (self._send_late or self._send_stopped)

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection may serve other runs now that this one is over."""
        over = self.step is Step.END and self.error is None
        return over and self._sends and self.session.error is None and self.session.keeps_connection

    def received(self, data: bytes, start: float, end: float) -> bytes:
        """Take bytes from the connection, b"" for its end, and return what is to be sent now.

        Args:
            data: The bytes.
            start: When they began to be waited for.
            end: When they came.
        """
        session, deadlines = self._session, self._deadlines
        assert session is not None
        assert deadlines is not None
        pause, self._read_at = start - self._read_at, end
        if pause > self._longest_pause:
            self._longest_pause = pause
        if data:
            events = session.receive_data(data)
            report = self.report
            if self.connecting is None:
                report.bytes_received += len(data)
            if (
                self._steady
                and deadlines.steady
                and len(events) == 1
                and type(events[0]) is Chunk
                and session.wants is _READ
                and session.error is None
            ):
                report.chunks += 1
                self.events.append(events[0])
                return session.data_to_send()
            self._heard = True
        elif self._send_error is not None:  # the peer left in the middle of the request
            self._lost(self._send_error)
            return self.data_to_send()
        elif self._attempt.reused and not self._heard and not self._replaced:
            self.step = Step.PROBE
            return b""
        else:
            events = session.receive_eof()
        deadlines.received(end - start, events=bool(events))
        self._take(session, events, start, end)
        return self.data_to_send()

    def probed(self, *, reset: bool) -> bytes:
        """Note whether a reset followed the end of a kept connection, and return what is to be sent now.

        It proves that the peer had closed the connection before it read all that we sent.
        """
        self.step, self._unread = Step.READ, reset
        self._take(self.session, self.session.receive_eof(), self._read_at, self._read_at)
        return self.data_to_send()

    def _take(self, session: Session, events: list[Event], start: float, end: float) -> None:
        if events:
            self._note(events)
            if self.report.first_chunk_seconds is None and self.report.chunks:
                self.report.first_chunk_seconds = end - self._started_at
        self._note_answer(session)
        deadlines = self.deadlines
        if session.wants is not _READ or session.error is not None:
            self._follow(session)
        elif deadlines.overdue or (not events and deadlines.spent):
            self.timed_out(end, 0.0)  # a peer that never pauses
        elif self._send_late:
            self._late_at = min(self._late_at, start)
            if end - self._late_at > _FAREWELL_SECONDS:
                self.timed_out(end, 0.0)  # a peer that takes nothing and goes on talking
        self._steady = self._progressed and self._sends

    def read_failed(self, exc: DeadlineExceededError | OSError, start: float, end: float) -> bytes:
        """Note that nothing was received, and return what is to be sent now.

        Args:
            exc: Why: a deadline has passed, or the connection broke and all that had arrived was received.
            start: When the read began.
            end: When it failed.
        """
        if isinstance(exc, OSError):
            self._lost(exc)
        else:
            self.timed_out(end, end - start)
        return self.data_to_send()

    def _lost(self, exc: OSError) -> None:
        session = self.session
        events = session.receive_eof()
        # An end that only the connection's end could tell is none where the connection broke.
        proven = [e for e in events if not (isinstance(e, Completed) and not e.proven)]
        self._note(proven)
        if session.error is None and len(proven) == len(events):
            self._follow(session)
        else:
            self._failed(refusal(session) or connection_lost(exc, heard=self._heard))

    def sent(self, waited: float) -> None:
        """Note that something was sent, and how long that took: it is the network that was waited for."""
        self.deadlines.waited(waited)

    def send_failed(self, exc: OSError | None) -> None:
        """Note that sending failed, or with None that it took too long.

        It is never the verdict: the peer may have said why, and is read first.
        """
        # The frames that it has passed through hold what was being sent, the key with it.
        self._send_error = exc.with_traceback(None) if exc is not None else self._send_error
        if exc is None:
            self._send_late = True
            self.deadlines.hurry()
        self._steady = False

    @property
    def wants_no_more(self) -> bool:
        """Whether what the peer has said makes it pointless to send it the rest: the end, or a refusal."""
        session = self._session
        if self.step is not Step.READ or session is None:
            return True
        return session.answered and session.status is not None and session.status >= 300

    def send_stopped(self) -> None:
        """Note that something stays unsent, because the peer wants no more."""
        self._send_stopped, self._steady = True, False

    def write_closed(self) -> None:
        """Note that our side has said that it sends nothing more."""
        self._write_closed = True
        self.step = Step.READ

    def connect_failed(self, exc: NetworkError, now: float) -> None:
        """Note that no connection could be opened."""
        self.deadlines.waited(now - self._attempt_at)
        self._failed(exc.with_traceback(None))  # what a proxy has said is in its frames, our password perhaps

    def timed_out(self, now: float, waited: float) -> None:
        """Note that a deadline has passed."""
        if not self._connected:
            phase = self.deadlines.phase(now, connected=False)
            late = self.deadlines.error(phase, begun=self._begun)
            late.add("waiting for api_key()" if self._session is None else f"on the way to {self.address}")
            self._failed(late)
            return
        if self._send_error is not None:
            self._lost(self._send_error)
            return
        self.deadlines.waited(waited)
        error: RunAgentError = self.deadlines.error(self.deadlines.phase(now), begun=self._begun)
        self._send_late = (
            True  # what is still to be sent, to a peer that takes nothing perhaps, comes too late
        )
        self.session.receive_eof()
        self._failed(refusal(self.session) or error)

    def finished(self, now: float | None, *, failed: bool = False) -> None:
        """Note the end, once, and tell those who observe.

        Args:
            now: The time; None where there is no clock any more.
            failed: It ends by an exception that is not the run's own.
        """
        if not self._untold or self._deadlines is None or self.forked:
            return
        try:
            report = self._untold.pop()
        except IndexError:  # told already, perhaps by another thread
            return
        if self._session is not None:
            self._account(self._session)
        over = failed or self.step is Step.END
        good = self._complete and self.error is None and not failed
        report.outcome = ("completed" if good else "failed") if over else "left"
        report.total_seconds = None if now is None else now - self._started_at
        _logger.debug("run %s after %s", report.outcome, counted(report.chunks, "chunk"))
        if self._observers is not None and self._asked is not None:
            self._observers.finished(self._asked, report)

    def let_go(self) -> None:
        """Drop what is of no use any more.

        An error's traceback leads to the frames that lead here: kept, it would keep all of us alive.
        """
        self._session = self._last_error = self._send_error = None

    def abandon(self) -> None:
        """End the run because its reader has left it."""
        self.finished(None)
        self.step = Step.END
        self.events = []
        self.let_go()

    # What follows from what

    @property
    def _secrets(self) -> tuple[str, ...]:
        """What an error must not show, whoever says it."""
        return *self._call.secrets, *self.address.secrets

    def _note(self, events: list[Event]) -> None:
        chunks = list(map(type, events)).count(Chunk)
        if chunks:
            self.report.chunks += chunks
            self._begun = self._progressed = True
            if self._failures:
                self._failures = 0
                self.deadlines.renew()
        if events and isinstance(events[-1], self._last_event):
            self._complete = True
        self.events += events

    def _follow(self, session: Session) -> None:
        """Do what the session wants next."""
        wants = session.wants
        if session.error is not None:
            self._failed(session.error)
        elif wants is Wants.DONE:
            self._finish(session)
        elif wants is Wants.RECONNECT:
            self.step = Step.CONNECT
        else:
            half_close = wants is Wants.CLOSE_WRITE and not self._write_closed
            self.step = Step.CLOSE_WRITE if half_close else Step.READ

    def _finish(self, session: Session) -> None:
        """A session that stops without the last event would pass for a good end."""
        if not self._complete:
            self._failed(ProtocolError(_INCOMPLETE.format(self.report.transport, self._last_event.__name__)))
            return
        self.step = Step.END
        self._account(session)

    def _note_answer(self, session: Session) -> None:
        report = self.report
        report.status = session.status if session.status is not None else report.status
        report.request_id = session.request_id or report.request_id

    def _account(self, session: Session) -> None:
        """Put what the session knows into the report, once."""
        if self._accounted:
            return
        self._accounted = True
        self._note_answer(session)
        report = self.report
        for kind, count in session.ignored.items():
            report.ignored[kind] = report.ignored.get(kind, 0) + count

    def _failed(self, error: RunAgentError) -> None:
        """Decide whether there is another attempt: elsewhere, again, or from where the stream broke."""
        name_transport(error, self._names[0])
        error.__cause__ = error.__cause__ or self._send_error or self._last_error
        hide_secrets(error, self._secrets)
        session = self._session
        if session is not None:
            self._account(session)
        self._attempt.error = f"{type(error).__name__}: {error}"
        if self._try_elsewhere() or self._try_fresh(error) or self._try_again(error):
            self._last_error = error
            _logger.info("attempt %s; trying again in %.3g s", self._told(), self._attempt.waited_seconds)
        else:
            self.step = Step.END
            if not self._begun and self._policy.holds_back(error, connected=self._connected):
                error.add(_NOT_TRIED_AGAIN)
            self.error = self._final(error)
            _logger.info("attempt %s; giving up", self._told())

    def _told(self) -> str:
        """Tell of the attempt in one line that nothing a peer said can break."""
        attempt = self._attempt
        return (
            f"{len(self.report.attempts)} over {attempt.transport} failed with {quote(attempt.error or '')}"
        )

    def _try_elsewhere(self) -> bool:
        """Move on to the next transport, on proof that the peer does not speak this one."""
        session = self._session
        if session is None or self._begun or not session.unsupported or len(self._names) < 2:
            return False
        origin = self._call.base.origin
        self._terms.verdicts.add(origin, self._names[0], self._attempt_at)
        self._names = self._names[1:]
        self.step = Step.CONNECT
        return True

    def _try_fresh(self, error: RunAgentError) -> bool:
        """Once a run, repeat on a new connection what a kept one provably did not carry to the agent.

        Proof is a write that failed while part of the request was unsent, a reset behind the end of the
        connection, or the peer's own word that it no longer waited for a request (RFC 9110 §15.5.9).
        A connection that ends after it has taken the whole request proves nothing, however soon it ends.
        """
        if not self._attempt.reused or self._replaced:
            return False
        if self._was_too_late(error):
            if self._failures >= self._policy.max_retries:
                return False
            self._failures += 1
        elif self._heard or not (self._unread or self._send_error is not None):
            return False
        self._replaced = self.fresh = True
        self.step = Step.CONNECT
        return True

    def _was_too_late(self, error: RunAgentError) -> bool:
        closes = self._session is not None and not self._session.keeps_connection
        return isinstance(error, AgentError) and error.status == 408 and closes

    def _try_again(self, error: RunAgentError) -> bool:
        policy, session = self._policy, self._session
        may_retry = policy.may_retry(error, connected=self._connected)
        point = None
        if self._begun:
            if Capability.RESUME not in self._transport.capabilities:
                return False
            last = session.resume_point if session is not None and self._progressed else self._resume
            point = policy.resume_from(error, last, may_retry=may_retry)
            if point is None or (
                isinstance(error, RunTimeoutError) and not self.deadlines.may_follow_silence
            ):
                return False
        elif not may_retry:
            return False
        resumes = self._resumes + 1 if point is not None else 0
        suggested = session.retry_delay if session is not None else None
        wait = policy.wait(self._failures + 1, error, suggested, resumes=resumes)
        if wait is None or max(self._attempt_at, self._read_at) + wait >= self.deadlines.total:
            return False
        self._failures += 1
        if point is not None:
            self._resume, self._resumes, self._key = point, resumes, _new_key()
        if isinstance(error, RunTimeoutError) and error.phase is not None:
            self.deadlines.follow_silence(error.phase)
        self._attempt.waited_seconds = self.delay = wait
        self.step = Step.BACK_OFF
        return True

    def _final(self, error: RunAgentError) -> RunAgentError:
        if self._begun and isinstance(error, NetworkError | AgentError):
            error = not_resumed(error)
        complete(error, self.report, self._session, self._longest_pause)
        if self._resumes >= max(self._policy.max_resumes, 1) and isinstance(error, StreamError):
            error.add(f"resumed {self._resumes} times, which is all that max_resumes= allows")
        hide_secrets(error, self._secrets)
        return error


def _new_key() -> str:
    """Make a random UUID (RFC 9562 §5.4), in a third of the time that the standard library takes."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
