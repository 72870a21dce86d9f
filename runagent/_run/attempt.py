"""The state of one attempt; each attempt has a new one, so that nothing of an earlier one is left in it."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING

import msgspec

from runagent._report import bare_copy
from runagent._wire.jsontext import quote

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent._events import Chunk
    from runagent._report import Attempt, RunReport
    from runagent.transports._base import ConnectingSession, Session, Transport

__all__ = ["AttemptState", "shortcut_of"]

_NEVER = float("inf")


class AttemptState(msgspec.Struct, eq=False):
    """The state of one attempt on one connection; after a redirect, the attempt has a new state.

    Attributes:
        transport: The transport that opens the session.
        report: The attempt's part of the run's report.
        began_at: When the attempt, or its current connection, began; later by the time in which no reader
            waited for it.
        paused_at: When the reader that waited for the connection was cancelled.
        session: The session, once it is open.
        asks_key: The function that gives the key is at work.
        key_to_come: An awaitable of the key for `Run.open_session`; None if the session is open.
        connecting: The session, if it has its own connection.
        only_reads: It reads on in a run that has begun, and begins none.
        ended: The attempt is over, and the run's report has everything that its session knows.
        connected: The connection is established.
        heard: A byte has come.
        begun: An event has come that another attempt must not repeat: a chunk, or one that is no content.
        progressed: A chunk has come.
        steady: A chunk has come, and all queued bytes have been sent.
        receive_one: If so, the shortcut of the session, if it has one. It returns the chunk that is all of
            a read, or None, without any effect; it never ends the run, and has nothing to send.
        send_error: Why sending failed.
        send_late: Sending took too long.
        send_stopped: Some bytes stay unsent, because the peer wants no more.
        write_closed: The sending direction has been closed.
        unread: The peer has provably not read the request.
        late_at: When the first read after a send that took too long began.
    """

    transport: Transport
    report: Attempt
    began_at: float
    session: Session | None = None
    connecting: ConnectingSession | None = None
    asks_key: bool = False
    key_to_come: Awaitable[str] | None = None
    paused_at: float | None = None
    headers: tuple[tuple[str, str], ...] = ()
    only_reads: bool = False
    ended: bool = False
    connected: bool = False
    heard: bool = False
    begun: bool = False
    progressed: bool = False
    steady: bool = False
    receive_one: Callable[[bytes], Chunk | None] | None = None
    send_error: OSError | None = None
    send_late: bool = False
    send_stopped: bool = False
    write_closed: bool = False
    unread: bool = False
    late_at: float = _NEVER

    __repr__ = object.__repr__  # the repr of a session may show secrets

    def over_another_connection(self, transport: Transport, now: float) -> AttemptState:
        """Return the state of this attempt for the next connection that its session wants."""
        return AttemptState(
            transport,
            self.report,
            now,
            self.session,
            self.connecting,
            only_reads=self.only_reads,
            begun=self.begun,
            progressed=self.progressed,
        )

    @property
    def over_used_connection(self) -> bool:
        """Whether another request was answered over the connection before the current one."""
        return self.report.reused or (self.session is not None and self.session.asks_again)

    @property
    def unanswered(self) -> bool:
        """Whether no byte of an answer to the current request has come."""
        return not self.heard or (self.session is not None and self.session.asks_again)

    @property
    def may_have_begun(self) -> bool:
        """Whether the agent may have begun the run: the request for it has been sent, or a part of it."""
        return self.connected and self.session is not None and not self.session.preparing

    @property
    def sends(self) -> bool:
        """Whether sending works on this connection: it has not failed, been late or been stopped."""
        return self.send_error is None and not (self.send_late or self.send_stopped)

    @property
    def refused(self) -> bool:
        """Whether it is useless to send the rest: the peer refused the request, or there is no session."""
        session = self.session
        if session is None:
            return True
        return session.answered and session.status is not None and session.status >= 300

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection can be kept once the session is done."""
        session = self.session
        return self.sends and session is not None and session.error is None and session.keeps_connection

    def stop_sending(self) -> None:
        """Note that some bytes stay unsent, because the peer wants no more."""
        self.send_stopped, self.steady, self.receive_one = True, False, None

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
        """Note the end of the attempt and complete the report.

        Args:
            report: The run's report.
            seconds: How long the attempt took; None if there is no clock any more.
            error: How it failed, or None.
        """
        self.report.seconds = seconds
        self.report.error = None if error is None else bare_copy(error)
        if self.session is not None:
            self.note_answer(report)
            for kind, count in self.session.ignored.items():
                report.ignored[kind] = report.ignored.get(kind, 0) + count
        self.ended = True

    def describe_failure(self, number: int) -> str:
        """Describe the failure in one line, with control characters of a peer's text escaped."""
        error = self.report.error
        failure = f"{type(error).__name__}: {error.message if error is not None else ''}"
        return f"attempt {number} over {self.report.transport} failed with {quote(failure)}"

    def release(self) -> None:
        """Drop references to frames and to the connection."""
        self.session = self.connecting = self.send_error = self.receive_one = None


def shortcut_of(session: Session) -> Callable[[bytes], Chunk | None] | None:
    """Return the shortcut of `receive_data` that a session has, if its very class defines it.

    The subclass of a session and a session that wraps another may do more with the bytes.
    """
    method = vars(type(session)).get("_receive_one")
    return None if method is None else MethodType(method, session)
