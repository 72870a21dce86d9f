"""What both pumps have in common: all that waits for nothing.

What the bytes mean, what comes next and how it ends is `Run`'s to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, cast

from runagent._errors import RunAgentError, StreamError
from runagent._internal.foreign import let_signals_through
from runagent._net.base import ConnectAttempt
from runagent._run.spec import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._net.base import AsyncConnection, Connection, DeadlineExceededError
    from runagent._run.run import Run

__all__ = ["PumpCore"]

READ_BYTES = 64 * 1024
_MAX_OVERHEARD = 64 * 1024  # bytes, such as pongs, that are kept for a peer which takes nothing
SAME_CONNECTION = frozenset({Step.READ, Step.SEND, Step.CLOSE_WRITE, Step.PROBE})
TOKEN = (None,)
CLOSED_NOTICED_SECONDS = 0.1  # a wait before another attempt goes by such steps
RESET_SECONDS, RESET_LOOKS = 0.05, 10  # so long a reset is looked for behind the end of a connection
END_OF_ANSWER_SECONDS = 0.02  # the formal end of an answer comes right behind its last event
CLOSED_WHILE_READ = "the stream was closed while it was being read"
TWO_READERS = "the stream is being read by somebody else; one stream has one reader"


class PumpCore:
    """What both styles have: the run, and how it is over.

    Attributes:
        run: The run whose bytes are moved.
    """

    _now: Callable[[], float]
    _connection: Connection | AsyncConnection | None

    def __init__(self, run: Run) -> None:
        self.run = run
        self._closed = False
        self._connect_attempt = ConnectAttempt()
        # While the peer takes nothing: what goes behind the rest, and how long it has to take that.
        self._outgoing = b""
        self._overheard = 0  # bytes to be sent because of what the peer said while it took nothing
        self._send_seconds = 0.0

    def check_process(self) -> None:
        """Refuse to go on with what belongs to the parent process.

        Raises:
            RuntimeError: There was a fork since the run began.
        """
        if self.run.forked:
            raise RuntimeError(
                "this stream was begun before a fork; only the parent process can go on with it"
            )

    def drop(self) -> None:
        """Leave the run for a stream that nobody holds any more; callable from any thread."""
        self._leave()

    def _leave(self) -> None:
        """Drop everything at once, with a word of farewell if the protocol has one."""
        raise NotImplementedError

    def _farewell(self) -> bytes:
        """Return what the protocol sends to a peer whose run is given up early."""
        self.run.session.close()
        return self.run.data_to_send()

    def _check_closed(self) -> None:
        if self._closed:
            raise StreamError(CLOSED_WHILE_READ, chunks_received=self.run.report.chunks)

    def _read_failed(self, exc: DeadlineExceededError | OSError, start: float) -> bytes:
        self._check_closed()
        let_signals_through(exc)
        return self.run.read_failed(exc, start, self._now())

    def _close_write(self) -> None:
        cast("Connection | AsyncConnection", self._connection).close_write()
        self.run.write_closed()

    def _overhear(self, connection: Connection | AsyncConnection) -> bytes:
        """Take what the peer says while it takes nothing; return what is to be sent behind the rest."""
        data, now = connection.poll(READ_BYTES), self._now()
        return self.run.received(data, now, now) if data else b""

    def _stops_sending(self, outgoing: bytes, deadline: float) -> bool:
        """Whether the rest is not sent now: never, or once the events that have come are handed out."""
        if self.run.wants_no_more:
            self.run.attempt.stop_sending()
            return True
        self._overheard += len(outgoing)
        if self._now() >= deadline or self._overheard > _MAX_OVERHEARD:
            self.run.send_failed(None)  # a peer that takes nothing and never pauses
            return True
        if self.run.events:
            self._outgoing, self._send_seconds = outgoing, deadline - self._now()
            self.run.step = Step.SEND
        return bool(self.run.events)

    def _refuse(self) -> NoReturn:
        self.check_process()
        raise RuntimeError(TWO_READERS)

    def _give_up(self, exc: BaseException) -> None:
        if isinstance(exc, RunAgentError):
            self.run.identify(exc)
        failed = isinstance(exc, Exception) and not self._closed
        self.run.finished(self._now(), error=exc if failed else None)
        self._leave()

    def _end(self) -> None:
        """Raise the run's error, once; afterwards the stream is at its end."""
        self.run.finished(self._now())
        self.run.release()
        error, self.run.error = self.run.error, None
        if error is not None:
            try:
                raise self.run.identify(error)
            finally:
                del error  # or the traceback would keep this frame, and the frame the error
