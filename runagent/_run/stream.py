"""Streams in synchronous code; `async_stream` has the same for event loops, and a test compares them.

They are iterators with ``__next__`` or ``__anext__``, not generators: an asynchronous generator is over once
a read of it is cancelled, so a timeout around one chunk would end the stream silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from runagent._errors import RunAgentError
from runagent._events import Chunk, Event, StreamEvent
from runagent._internal.styles import SynchronousOnly
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._run.stream_core import (
    NOTHING,
    TEXT_LIMIT_BYTES,
    StreamCore,
    StreamResult,
    Text,
    as_text,
    check_seconds,
)
from runagent._run.until import ACCEPTED, CONNECTED, Patience

if TYPE_CHECKING:
    from types import TracebackType

    from runagent._run.sources import Source
    from runagent._run.until import Until

__all__ = ["Batches", "Events", "Stream", "Texts"]

__tracebackhide__ = is_ours


class Stream(StreamCore, SynchronousOnly):
    """The stream of a run: iterate it, or use it in a ``with`` block.

    Iterating gives ``str`` for text chunks and the decoded JSON value for structured ones; ``texts()`` gives
    text only. Nothing is sent before the first ``next``, ``with``, ``accepted()`` or ``wait()``. A ``break``
    or an exception inside of ``with``, ``close``, or the loss of the last reference to the object releases
    the connection at once.

    One thread reads; another may call ``close``.
    """

    _source: Source

    def __iter__(self) -> Self:
        self._check_readable()
        return self

    def __next__(self) -> Any:
        while True:
            for event in self._batch:
                if type(event) is Chunk:
                    return event.content
            self._begun = self._read = True
            try:
                batch = self._source.next_batch()
            except BaseException as exc:
                self._note_failure(exc)
                raise
            if batch is None:
                self._over = True
                raise StopIteration
            try:
                self._batch = iter(batch)
            except BaseException:  # raised by a signal handler: the batch is lost
                self.close()
                raise

    def __enter__(self) -> Self:
        if not self._begun:
            self._advance(CONNECTED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    if not TYPE_CHECKING:  # no `__getattr__`, which slows down every look-up of an attribute

        @property
        def aclose(self) -> NoReturn:
            raise AttributeError("a synchronous stream has close()")

    def accepted(self) -> None:
        """Return once the service has accepted the run; every event is kept for the reader.

        The service has accepted it with a good head of the answer (HTTP), or with the first event (protocols
        that refuse inside of an answer, WebSockets). Connecting and retries before that are part of the wait.
        May be called again: returns at once, or raises the same error. A refusal that comes later, to an
        attempt to go on, is a StreamError.

        Raises:
            AgentError: The service rejected the request.
            TransportError: The agent could not be reached or understood.
            RunTimeoutError: Nothing came in time.
            RuntimeError: The stream was closed before.
        """
        notes = self._notes
        if not notes.accepted and not self._over:
            self._advance(ACCEPTED)
            self._kept = self._count_unread()
        if not notes.accepted:
            raise self._refusal()
        notes.awaited = True

    def wait(self, seconds: float) -> bool:
        """Wait until the next step of ``events()`` does not wait, for so many seconds at most.

        True if an event, the end or an error is at hand; it is read by the next step, and ``wait`` does not
        raise it. False after the time; heartbeats do not count as events. ``wait(0)`` looks without waiting.
        The run's own limits go on, and a wait between attempts is interrupted, not ended. Opening a
        connection or sending a request is not interrupted: call ``accepted()`` before.

        Iterating chunks may still wait if what is at hand is another event.

        Raises:
            ValueError: The seconds are below 0, or not a number.
        """
        if self._is_at_hand(seconds):
            return True
        self._begun = True
        batch = self._source.wait(seconds)
        if batch is None:
            return True
        self._batch, self._kept = iter(batch), self._kept + len(batch)
        return bool(batch)

    def events(self) -> Events:
        """Iterate the typed events instead: ``Started``, ``Chunk``, ``Reasoning``, …, ``Completed``.

        Raises:
            RuntimeError: The stream is over.
        """
        self._check_readable()
        return Events(self)

    def texts(self) -> Texts:
        """Iterate the chunks as ``str``, structured ones as JSON.

        Raises:
            RuntimeError: The stream is over.
        """
        self._check_readable()
        return Texts(self)

    def batches(self, *, within: float | None = None) -> Batches:
        """Iterate lists of typed events instead: all that one read of the connection has brought.

        A relay that writes a list in one piece writes a burst in a tenth of the time. A read brings at most
        64 KiB.

        Args:
            within: Seconds after which an empty list is given if nothing has come, for a heartbeat to send;
                the run's own limits go on. None waits for events.

        Raises:
            RuntimeError: The stream is over.
            ValueError: The seconds are below 0, or not a number.
        """
        self._check_readable()
        return Batches(self, check_seconds(within))

    def text(self, *, max_bytes: int = TEXT_LIMIT_BYTES) -> str:
        """Read to the end and return the chunks as one text, structured ones as JSON.

        After some chunks were read, it returns the rest.

        Args:
            max_bytes: UTF-8 bytes to collect at most.

        Raises:
            StreamError: The run failed; ``partial_text`` has what came before.
            StreamLimitError: The text is larger than ``max_bytes``.
            RuntimeError: The stream is over.
        """
        text = Text(max_bytes)
        try:
            for content in self:
                text.add(content)
        except RunAgentError as exc:
            text.keep_on(exc, self._report)
            self.close()
            raise
        return text.value()

    def result(self, *, max_bytes: int = TEXT_LIMIT_BYTES) -> StreamResult:
        """Read to the end and return text, tool calls, last event and report; raises as ``text`` does."""
        return self._result(self.text(max_bytes=max_bytes))

    def cancel(self) -> bool:
        """Ask the service to stop the run, and close the stream.

        Leaving a stream is enough for most protocols; if a run outlives its stream, only this ends it. The
        service is asked by a separate request, which takes 5 s at most; leaving the program right after it
        is safe. A stream that has not begun sends nothing. Callable from any thread, and on an attached
        stream that was not read. The reader of the stream, now or when it reads on, gets a StreamError (code
        ``CANCELLED``), once.

        Returns:
            True if the service confirmed; False if the run was over, or if closing the stream is all that can
            be done: its protocol has no request for it, or has not sent the run's ids yet.

        Raises:
            RunAgentError: The service rejected the request or could not be reached: the agent may go on. The
                stream is closed all the same.
        """
        from runagent._run.cancelling import ask_to_stop  # most streams are not cancelled

        try:
            return ask_to_stop(self._source)
        finally:
            self.close()

    def close(self) -> None:
        """Close the stream; does nothing if it is over.

        A ``next`` that waits in another thread raises a StreamError.
        """
        self._over = True
        self._left_unread = self._count_unread() or self._left_unread
        self._batch = NOTHING
        self._source.close()

    def _next_batch(self, until: Until | None) -> list[Event] | None:
        """Return the events at hand, else the next ones, or [] if that comes first; None at the end."""
        if self._over:
            return None
        self._begun = True
        if rest := list(self._batch):
            return rest
        try:
            batch = self._source.next_batch(until)
        except BaseException as exc:
            self._note_failure(exc)
            raise
        self._over = batch is None
        return batch

    def _advance(self, until: Until | None = None) -> bool:
        """Get the next events; False at the end."""
        self._begun, self._read = True, self._read or until is None
        try:
            batch = self._source.next_batch(until)
        except BaseException as exc:
            self._note_failure(exc)
            raise
        try:
            self._batch = iter(batch or ())
        except BaseException:  # see __next__
            self.close()
            raise
        self._over = batch is None
        return batch is not None


class Events:
    """The typed events of a `Stream`. An event that one of the two returns, the other does not."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Self:
        self._stream._check_readable()
        return self

    def __next__(self) -> StreamEvent:
        stream = self._stream
        while True:
            for event in stream._batch:
                return event  # type: ignore[return-value]  # a plain run's alone is a RunResult
            if not stream._advance():
                raise StopIteration


class Batches:
    """The typed events of a `Stream`, a list for each read.

    Attributes:
        within: Seconds after which the next step gives an empty list; may be changed between two steps.
    """

    def __init__(self, stream: Stream, within: float | None) -> None:
        self._stream = stream
        self.within = within
        self._patience = Patience(0.0)

    def __iter__(self) -> Self:
        self._stream._check_readable()
        return self

    def __next__(self) -> list[StreamEvent]:
        within, self._stream._read = self.within, True
        batch = self._stream._next_batch(None if within is None else self._patience.renew(within))
        if batch is None:
            raise StopIteration
        return batch  # type: ignore[return-value]  # a plain run's alone is a RunResult


class Texts:
    """The chunks of a `Stream` as text. A chunk that one of the two returns, the other does not."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Self:
        self._stream._check_readable()
        return self

    def __next__(self) -> str:
        return as_text(next(self._stream))


publish(Stream)
