"""Streams in event loops: `Stream` for asyncio and trio."""

from __future__ import annotations

from itertools import islice
from operator import length_hint
from typing import TYPE_CHECKING, Any, NoReturn, Self

from runagent._errors import RunAgentError
from runagent._events import Chunk, Event, StreamEvent
from runagent._internal.styles import AsynchronousOnly
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
    from collections.abc import Generator, Iterator
    from types import TracebackType

    from runagent._report import RunReport
    from runagent._run.notes import RunNotes
    from runagent._run.sources import AsyncSource
    from runagent._run.until import Until

__all__ = ["EVENTS_PER_CHECKPOINT", "AsyncBatches", "AsyncEvents", "AsyncStream", "AsyncTexts"]

__tracebackhide__ = is_ours

EVENTS_PER_CHECKPOINT = 32


class AsyncStream(StreamCore, AsynchronousOnly):
    """`Stream` for asyncio and trio.

    Cancelling a read, for example by a timeout around one ``anext``, loses nothing: the next read continues.
    But if a read is cancelled while the client sends a large input, the stream ends, and its next read
    raises. ``aclose`` waits for nothing; an ``async for`` that ends early needs no ``aclose``.

    ``await stream`` is ``await stream.accepted()`` and returns the stream. One task reads at a time.
    """

    # Frameworks keep a task's cancellation, and so our frames. Invariant: none of them refers to the stream;
    # else nothing would release its connection. (What prints tracebacks fails on an argument after `del`.)

    _source: AsyncSource

    def __init__(self, source: AsyncSource, report: RunReport, notes: RunNotes | None = None) -> None:
        super().__init__(source, report, notes)
        self._at_hand: Iterator[Event] = NOTHING  # `_batch` is the part of them before the next checkpoint
        self._handed_out = 0

    def __aiter__(self) -> Self:
        self._check_readable()
        return self

    async def __anext__(self) -> Any:
        while True:
            for event in self._batch:
                if type(event) is Chunk:
                    return event.content
            try:
                more = await self._advance()
            except BaseException:
                self = None  # type: ignore[assignment]  # see AsyncStream
                raise
            if not more:
                raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        if not self._begun:
            await self._advance(CONNECTED)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __await__(self) -> Generator[Any, Any, Self]:
        try:
            yield from self.accepted().__await__()
        except BaseException:
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        return self

    if not TYPE_CHECKING:  # no `__getattr__`, which slows down every look-up of an attribute

        @property
        def close(self) -> NoReturn:
            raise AttributeError("an asynchronous stream has aclose(), to be awaited")

    async def accepted(self) -> None:
        """Return once the service has accepted the run; every event is kept for the reader.

        The service has accepted it with a good head of the answer (HTTP), or with the first event (protocols
        that refuse inside of an answer, WebSockets). Connecting and retries before that are part of the wait.
        May be called again: returns at once, or raises the same error. A refusal that comes later, to an
        attempt to go on, is a StreamError. Cancelling it loses nothing.

        Raises:
            AgentError: The service rejected the request.
            TransportError: The agent could not be reached or understood.
            RunTimeoutError: Nothing came in time.
            RuntimeError: The stream was closed before.
        """
        notes = self._notes
        try:
            if not notes.accepted and not self._over:
                await self._advance(ACCEPTED)
                self._kept = self._count_unread()
            if not notes.accepted:
                raise self._refusal()
        except BaseException:
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        notes.awaited = True

    async def wait(self, seconds: float) -> bool:
        """Wait until the next step of ``events()`` does not wait, for so many seconds at most.

        True if an event, the end or an error is at hand; it is read by the next step, and ``wait`` does not
        raise it. False after the time; heartbeats do not count as events. ``wait(0)`` looks without waiting.
        The run's own limits go on, and a wait between attempts is interrupted, not ended. Opening a
        connection or sending a request is not interrupted: await ``accepted()`` before. Cancelling it loses
        nothing.

        Iterating chunks may still wait if what is at hand is another event.

        Raises:
            ValueError: The seconds are below 0, or not a number.
        """
        if self._is_at_hand(seconds):
            return True
        self._begun = True
        try:
            batch = await self._source.wait(seconds)
        except BaseException:
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        if batch is None:
            return True
        self._at_hand, self._kept = iter(batch), self._kept + len(batch)
        return bool(batch)

    def events(self) -> AsyncEvents:
        """Iterate the typed events instead: ``Started``, ``Chunk``, ``Reasoning``, …, ``Completed``.

        Raises:
            RuntimeError: The stream is over.
        """
        self._check_readable()
        return AsyncEvents(self)

    def texts(self) -> AsyncTexts:
        """Iterate the chunks as ``str``, structured ones as JSON.

        Raises:
            RuntimeError: The stream is over.
        """
        self._check_readable()
        return AsyncTexts(self)

    def batches(self, *, within: float | None = None) -> AsyncBatches:
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
        return AsyncBatches(self, check_seconds(within))

    async def text(self, *, max_bytes: int = TEXT_LIMIT_BYTES) -> str:
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
            async for content in self:
                text.add(content)
        except RunAgentError as exc:
            text.keep_on(exc, self._report)
            await self.aclose()
            raise
        except BaseException:
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        return text.value()

    async def result(self, *, max_bytes: int = TEXT_LIMIT_BYTES) -> StreamResult:
        """Read to the end and return text, tool calls, last event and report; raises as ``text`` does."""
        try:
            text = await self.text(max_bytes=max_bytes)
        except BaseException:
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        return self._result(text)

    async def cancel(self) -> bool:
        """Ask the service to stop the run, and close the stream.

        Leaving a stream is enough for most protocols; if a run outlives its stream, only this ends it. The
        service is asked by a separate request, which takes 5 s at most. A stream that has not begun sends
        nothing. Callable in any task, and on an attached stream that was not read. The reader of the stream,
        now or when it reads on, gets a StreamError (code ``CANCELLED``), once. Cancelling ``cancel`` closes
        the stream at once.

        Returns:
            True if the service confirmed; False if the run was over, or if closing the stream is all that can
            be done: its protocol has no request for it, or has not sent the run's ids yet.

        Raises:
            RunAgentError: The service rejected the request or could not be reached: the agent may go on. The
                stream is closed all the same.
        """
        from runagent._run.cancelling import ask_to_stop_async  # most streams are not cancelled

        try:
            confirmed = await ask_to_stop_async(self._source)
        except BaseException:
            self._close()
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        self._close()
        return confirmed

    async def aclose(self) -> None:
        """Close the stream; does nothing if it is over, and waits for nothing.

        A read that waits in another task raises a StreamError.
        """
        self._close()

    def _close(self) -> None:
        self._over = True
        self._left_unread = self._count_unread() or self._left_unread
        self._at_hand = self._batch = NOTHING
        self._source.close()

    def _count_unread(self) -> int:
        return length_hint(self._at_hand)  # `_batch` is a view of it

    async def _next_batch(self, until: Until | None) -> list[Event] | None:
        """Return the events at hand, else the next ones, or [] if that comes first; None at the end.

        As in `_advance`, a checkpoint after every 32 events lets other tasks run.
        """
        if self._over:
            return None
        self._begun = True
        try:
            if self._handed_out >= EVENTS_PER_CHECKPOINT:
                self._handed_out = 0
                await self._source.checkpoint()
            batch: list[Event] | None = self._take_rest() or await self._source.next_batch(until)
        except BaseException as exc:
            self._note_failure(exc)
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        if batch is None:
            self._over = True
        else:
            self._handed_out += len(batch)
        return batch

    def _take_rest(self) -> list[Event]:
        """Take the events at hand."""
        if self._at_hand is NOTHING:
            return []
        rest = [*self._batch, *self._at_hand]
        self._at_hand = self._batch = NOTHING
        return rest

    async def _advance(self, until: Until | None = None) -> bool:
        """Get the next events, up to the next checkpoint; False at the end.

        A checkpoint after every 32 events lets other tasks run, and a cancellation end the loop, in a burst.
        """
        self._begun, self._read = True, self._read or until is None
        try:
            # Before the next batch is taken: a wait behind that could be cancelled, and all of it be unread.
            if self._handed_out >= EVENTS_PER_CHECKPOINT:
                self._handed_out = 0
                await self._source.checkpoint()
            left = length_hint(self._at_hand)
            if not left:
                batch = await self._source.next_batch(until)
                if batch is None:
                    self._over = True
                    return False
                self._at_hand, left = iter(batch), len(batch)
        except BaseException as exc:
            self._note_failure(exc)
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        allowed = min(left, EVENTS_PER_CHECKPOINT - self._handed_out)
        self._handed_out += allowed
        self._batch = islice(self._at_hand, allowed)
        return True


class AsyncEvents:
    """The typed events of an `AsyncStream`. An event that one of the two returns, the other does not."""

    def __init__(self, stream: AsyncStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        self._stream._check_readable()
        return self

    async def __anext__(self) -> StreamEvent:
        stream = self._stream
        while True:
            for event in stream._batch:
                return event  # type: ignore[return-value]  # a plain run's alone is a RunResult
            try:
                more = await stream._advance()
            except BaseException:
                self = stream = None  # type: ignore[assignment]  # see AsyncStream
                raise
            if not more:
                raise StopAsyncIteration


class AsyncBatches:
    """The typed events of an `AsyncStream`, a list for each read.

    Attributes:
        within: Seconds after which the next step gives an empty list; may be changed between two steps.
    """

    def __init__(self, stream: AsyncStream, within: float | None) -> None:
        self._stream = stream
        self.within = within
        self._patience = Patience(0.0)

    def __aiter__(self) -> Self:
        self._stream._check_readable()
        return self

    async def __anext__(self) -> list[StreamEvent]:
        try:
            within, self._stream._read = self.within, True
            batch = await self._stream._next_batch(None if within is None else self._patience.renew(within))
        except BaseException:
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        if batch is None:
            raise StopAsyncIteration
        return batch  # type: ignore[return-value]  # a plain run's alone is a RunResult


class AsyncTexts:
    """The chunks of an `AsyncStream` as text. A chunk that one of the two returns, the other does not."""

    def __init__(self, stream: AsyncStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        self._stream._check_readable()
        return self

    async def __anext__(self) -> str:
        stream = self._stream
        try:
            content = await anext(stream)
        except BaseException:
            self = stream = None  # type: ignore[assignment]  # see AsyncStream
            raise
        return as_text(content)


publish(AsyncStream)
