"""The base of both pumps: everything that does not wait.

`Run` decides what the bytes mean, what comes next and how the run ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, cast

from runagent._errors import RunAgentError
from runagent._internal.foreign import ENDS_LOOPS, find_stop, let_signals_through
from runagent._internal.tracebacks import is_ours
from runagent._net.base import ConnectAttempt
from runagent._run.spec import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._net.base import AsyncConnection, Connection, DeadlineExceededError
    from runagent._run.handed import Handed
    from runagent._run.run import Run
    from runagent._run.until import Until

__all__ = ["PumpCore", "ReaderRefusedError"]

__tracebackhide__ = is_ours

READ_BYTES = 64 * 1024
_MAX_OVERHEARD = 64 * 1024  # bytes, such as pongs, that are kept for a peer that reads nothing
TOKEN = (None,)
CLOSED_NOTICED_SECONDS = 0.1  # the longest step of a wait before another attempt
RESET_SECONDS, RESET_LOOKS = 0.05, 10  # how long and how often to check for a reset after the end
END_OF_ANSWER_SECONDS = 0.02  # the formal end of an answer comes right after its last event
OTHER_LOOP = "this stream was begun in another event loop; read it there, or start a new one here"
TWO_READERS = "another thread or task is reading this stream; a stream has one reader"


class ReaderRefusedError(RuntimeError):
    """A read that was refused; the run goes on for its reader."""


class PumpCore:
    """The base of both pumps: the run, and how it ends.

    Attributes:
        run: The run whose bytes the pump moves.
    """

    _now: Callable[[], float]
    _connection: Connection | AsyncConnection | None

    def __init__(self, run: Run) -> None:
        self.run = run
        self._closed = self._informed = False  # informed: the reader knows how the run ended
        self._connect_attempt = ConnectAttempt()
        self._until: Until | None = None  # of the last read
        # While the peer reads nothing:
        self._outgoing = b""  # the bytes to send after those that the connection still holds
        self._overheard = 0  # how many bytes were queued in answer to what the peer sent meanwhile
        self._send_seconds = 0.0  # how long the peer has to read them

    def check_process(self) -> None:
        """Refuse to continue a run of the parent process.

        Raises:
            RuntimeError: The process was forked after the run began.
        """
        if self.run.forked:
            raise ReaderRefusedError(
                "this stream was begun before a fork; only the parent process can go on with it"
            )

    def handed(self, unread: int) -> Handed:
        """Return what the reader was handed, except so many events of the last batch."""
        return self.run.handed(unread)

    def drop(self) -> None:
        """Close the run of a stream that was garbage-collected; callable from any thread."""
        if not self.run.is_over or self._connection is not None:
            self._leave()

    def _leave(self) -> None:
        """Drop the connection and the run at once; send the session's closing bytes if they need no wait."""
        raise NotImplementedError

    def _farewell(self) -> bytes:
        """Return the bytes that the protocol sends to the peer if the run is closed early."""
        if self.run.attempt.session is None:  # closed while it connected
            return b""
        try:
            self.run.session.close()
            return self.run.data_to_send()
        except (Exception, *ENDS_LOOPS) as exc:  # noqa: BLE001  # of a third party
            self.run.note_lost(exc, "was closed")
            return b""

    def _check_closed(self) -> None:
        if self._closed:
            self._informed = True
            raise self.run.closed_error()

    def _end_closed(self) -> None:
        """End a read of a closed stream; raise the error of a cancelled one, once."""
        self._leave()
        if self.run.cancelled and not self._informed:
            self._check_closed()

    def _take_up(self, until: Until | None) -> None:
        """Read on until something else than before: what reads were capped at does not count any more."""
        self._until = until
        self.run.cap(None)

    def _gave_way(self, exc: DeadlineExceededError | OSError, start: float) -> bool:
        """Whether a read ended because its reader wanted to wait no longer, not by the run's limits."""
        if isinstance(exc, OSError) or not self.run.deadlines.was_capped(start):
            return False
        self._check_closed()
        self.run.paused(start, self._now())
        return True

    def _put_off(self, exc: RunAgentError) -> None:
        """Keep what a wait has met for the next read."""
        if self.run.action is not Action.END or self._closed:
            raise exc
        self.run.error = exc.with_traceback(None)

    def _read_failed(self, exc: DeadlineExceededError | OSError, start: float) -> bytes:
        self._check_closed()
        let_signals_through(exc)
        return self.run.read_failed(exc, start, self._now())

    def _close_write(self) -> None:
        cast("Connection | AsyncConnection", self._connection).close_write()
        self.run.write_closed()

    def _overhear(self, connection: Connection | AsyncConnection) -> bytes:
        """Receive while the peer reads nothing; return the bytes to send after the unsent rest."""
        data, now = connection.poll(READ_BYTES), self._now()
        outgoing = self.run.received(data, now, now) if data else b""
        while self.run.action is Action.TURN:
            outgoing += self.run.go_on(now, now)
        return outgoing

    def _stops_sending(self, outgoing: bytes, deadline: float) -> bool:
        """Whether to stop sending the rest, for ever or until the reader has taken the events at hand."""
        if self.run.wants_no_more:
            self.run.attempt.stop_sending()
            return True
        self._overheard += len(outgoing)
        if self._now() >= deadline or self._overheard > _MAX_OVERHEARD:
            self.run.send_failed(None)  # the peer reads nothing and never stops sending
            return True
        if self.run.events:
            self._outgoing, self._send_seconds = outgoing, deadline - self._now()
            self.run.action = Action.SEND
        return bool(self.run.events)

    def _refuse(self) -> NoReturn:
        self.check_process()
        raise ReaderRefusedError(TWO_READERS)

    def _give_up(self, exc: BaseException) -> None:
        """Take note that a read has raised.

        Raises:
            RunAgentError: It was what ends a loop, which would take a failed run for a complete one.
        """
        if (stop := find_stop(exc)) is not None:
            error = self.run.ended_by(stop)
            self._give_up(error)
            try:
                raise error from exc
            finally:
                del error  # see _end
        self._informed = True
        if isinstance(exc, RunAgentError):
            self.run.identify(exc)
        failed = isinstance(exc, Exception) and not self._closed
        self.run.finished(self._now(), error=exc if failed else None)
        self._leave()

    def _end(self) -> None:
        """Raise the run's error, once; after that the stream is at its end."""
        self.run.finished(self._now())
        self.run.release()
        self._informed = True
        error, self.run.error = self.run.error, None
        if error is not None:
            try:
                raise self.run.identify(error)
            finally:
                del error  # otherwise the traceback keeps this frame, and this frame the error
