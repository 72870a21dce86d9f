"""The state of one attempt, made for each attempt: nothing of an earlier one can be left in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runagent._report import bare_copy
from runagent._wire.jsontext import quote

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from runagent._report import Attempt, RunReport
    from runagent.transports._base import ConnectingSession, Session, Transport

__all__ = ["AttemptState"]

_NEVER = float("inf")


class AttemptState(msgspec.Struct, eq=False):
    """What is known of an attempt, or of the connection that an attempt goes on over after a redirect.

    Attributes:
        transport: What makes its session.
        report: What the run's report has of it.
        began_at: When it began.
        session: Its session, once that is open.
        key_to_come: Gives the key, for `Run.open_session`; None if the session is open.
        connecting: The same, if it brings its own connection.
        ended: It is over, and the run's report has what its session knows.
        connected: There is a connection.
        heard: A byte has come.
        progressed: A chunk has come.
        steady: A chunk has come, and what was to be sent has been.
        send_error: Why sending failed.
        send_late: Sending took too long.
        send_stopped: Something stays unsent, because the peer wants no more.
        write_closed: The peer knows that nothing more will be sent.
        unread: The peer has provably not read the request.
        late_at: When the first read after a send that took too long began.
    """

    transport: Transport
    report: Attempt
    began_at: float
    session: Session | None = None
    connecting: ConnectingSession | None = None
    key_to_come: Awaitable[str] | None = None
    ended: bool = False
    connected: bool = False
    heard: bool = False
    progressed: bool = False
    steady: bool = False
    send_error: OSError | None = None
    send_late: bool = False
    send_stopped: bool = False
    write_closed: bool = False
    unread: bool = False
    late_at: float = _NEVER

    __repr__ = object.__repr__  # a session's may show secrets

    def over_another_connection(self, transport: Transport, now: float) -> AttemptState:
        """Return the state of this attempt for the next connection that its session wants."""
        return AttemptState(transport, self.report, now, self.session, self.connecting)

    @property
    def sends(self) -> bool:
        """Whether all that was to be sent on this connection has been."""
        return self.send_error is None and not (self.send_late or self.send_stopped)

    @property
    def refused(self) -> bool:
        """Whether the peer's answer makes it pointless to send it the rest: the end, or a refusal."""
        session = self.session
        if session is None:
            return True
        return session.answered and session.status is not None and session.status >= 300

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection is in order once the session is done."""
        session = self.session
        return self.sends and session is not None and session.error is None and session.keeps_connection

    def stop_sending(self) -> None:
        """Note that something stays unsent, because the peer wants no more."""
        self.send_stopped, self.steady = True, False

    def note_answer(self, report: RunReport) -> None:
        """Put into the report what the session knows of the answer so far."""
        session = self.session
        if session is None:
            return
        if session.status is not None:
            report.status = self.report.status = session.status
            report.headers = session.headers
        report.request_id = session.request_id or report.request_id
        if session.usage is not None and session.usage is not report.usage:
            report.usage, report.tokens = session.usage, session.tokens

    def end(self, report: RunReport, seconds: float | None, error: BaseException | None) -> None:
        """Put what is known of it into the report.

        Args:
            report: The run's.
            seconds: How long it took; None if there is no clock any more.
            error: What ended it, if it did not end well.
        """
        self.ended = True
        self.report.seconds = seconds
        self.report.error = None if error is None else bare_copy(error)
        if self.session is None:
            return
        self.note_answer(report)
        for kind, count in self.session.ignored.items():
            report.ignored[kind] = report.ignored.get(kind, 0) + count

    def describe_failure(self, number: int) -> str:
        """Describe how it failed in one line that nothing a peer sent can break."""
        failure = f"{type(self.report.error).__name__}: {self.report.error}"
        return f"attempt {number} over {self.report.transport} failed with {quote(failure)}"

    def release(self) -> None:
        """Drop what leads to frames or holds the connection."""
        self.session = self.connecting = self.send_error = None
