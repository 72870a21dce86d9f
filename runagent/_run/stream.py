"""Streams: what a user iterates.

`Stream` and `AsyncStream` are the same class in two styles; a test compares them. They are iterators with
``__next__`` or ``__anext__``, not generators: an asynchronous generator is over once a read of it is
cancelled, so a timeout around one chunk would end the stream silently.
"""

from __future__ import annotations

from itertools import islice
from operator import length_hint
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

from runagent._errors import RunAgentError, StreamError, StreamLimitError
from runagent._events import Chunk, Event, StreamEvent
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._report import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from runagent._report import RunReport

__all__ = ["AsyncEvents", "AsyncStream", "Events", "Stream"]

__tracebackhide__ = is_ours

_NOTHING: Iterator[Event] = iter(())  # all streams can share it, as it has ended already
TEXT_LIMIT_BYTES = 16 * 1024 * 1024
_EVENTS_PER_CHECKPOINT = 32
_NO_COPIES = "a stream has a connection and cannot be pickled or copied; collect its chunks instead"


class Source(Protocol):
    """Where a stream's events come from: a pump, or one that reads ahead."""

    def next_batch(self, *, until_connected: bool = False) -> list[Event] | None: ...
    def close(self) -> None: ...
    def drop(self) -> None: ...


class AsyncSource(Protocol):
    """`Source` for asyncio and trio."""

    async def next_batch(self, *, until_connected: bool = False) -> list[Event] | None: ...
    async def checkpoint(self) -> None: ...
    def close(self) -> None: ...
    def drop(self) -> None: ...


class _Text:
    """Collects a text up to a limit."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._size = 0
        self._parts: list[str] = []

    def add(self, content: Any) -> None:
        """Add a chunk; a structured one as its JSON text."""
        if not isinstance(content, str):
            from runagent._wire.jsontext import write_json

            content = write_json(content)
        self._size += len(content.encode("utf-8", "surrogatepass"))
        if self._size > self._max:
            raise StreamLimitError(
                f"the text is larger than {self._max} bytes",
                hint="raise max_bytes= to collect it",
                limit_name="max_bytes",
                limit=self._max,
            )
        self._parts.append(content)

    def value(self) -> str:
        """Return the text so far."""
        return "".join(self._parts)

    def keep_on(self, error: RunAgentError) -> None:
        """Put the text so far into an error."""
        if isinstance(error, StreamError):
            error.partial_text = self.value()


def _describe(stream: Stream | AsyncStream) -> str:
    report = stream.report
    where = (
        f"{report.outcome} over {report.transport}, {counted(report.chunks, 'chunk')}"
        if report.transport
        else "not begun"
    )
    return f"<{type(stream).__name__} {where}>"


class Stream:
    """The stream of a run: iterate it, or use it in a ``with`` block.

    Iterating gives ``str`` for text chunks and the decoded JSON value for structured ones. Nothing is sent
    before the first ``next`` or ``with``. A ``break`` or an exception inside of ``with``, ``close``, or the
    loss of the last reference to the object releases the connection at once.

    One thread reads; another may call ``close``.
    """

    def __init__(self, source: Source, report: RunReport) -> None:
        self._source = source
        self._report = report
        self._batch: Iterator[Event] = _NOTHING
        self._begun = False

    @property
    def report(self) -> RunReport:
        """What the run has come to so far."""
        return self._report

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        while True:
            for event in self._batch:
                if type(event) is Chunk:
                    return event.content
            self._begun = True
            batch = self._source.next_batch()
            if batch is None:
                raise StopIteration
            try:
                self._batch = iter(batch)
            except BaseException:  # raised by a signal handler: the batch is lost
                self.close()
                raise

    def __enter__(self) -> Self:
        if not self._begun:
            self._advance(until_connected=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return _describe(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NO_COPIES)

    def __del__(self) -> None:
        if "_source" in self.__dict__:
            self._source.drop()

    def events(self) -> Events:
        """Iterate the typed events instead, those included that are no content."""
        return Events(self)

    def text(self, *, max_bytes: int = TEXT_LIMIT_BYTES) -> str:
        """Read to the end and return the chunks as one text, structured ones as JSON.

        Args:
            max_bytes: UTF-8 bytes to collect at most.

        Raises:
            StreamError: The run failed; ``partial_text`` has what came before.
        """
        text = _Text(max_bytes)
        try:
            for content in self:
                text.add(content)
        except RunAgentError as exc:
            text.keep_on(exc)
            self.close()
            raise
        return text.value()

    def close(self) -> None:
        """Close the stream; does nothing if it is over.

        A ``next`` that waits in another thread raises a StreamError.
        """
        self._batch = _NOTHING
        self._source.close()

    def _advance(self, *, until_connected: bool = False) -> bool:
        """Get the next events; False at the end."""
        self._begun = True
        batch = self._source.next_batch(until_connected=until_connected)
        try:
            self._batch = iter(batch or ())
        except BaseException:  # see __next__
            self.close()
            raise
        return batch is not None


class Events:
    """The typed events of a `Stream`. An event that one of the two returns, the other does not."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent:
        stream = self._stream
        while True:
            for event in stream._batch:
                return event  # type: ignore[return-value]  # a plain run's alone is a RunResult
            if not stream._advance():
                raise StopIteration


class AsyncStream:
    """`Stream` for asyncio and trio.

    Cancelling a read, for example by a timeout around one ``anext``, loses nothing: the next read continues.
    But if a read is cancelled while the client sends a large input, the stream ends, and its next read
    raises. ``aclose`` waits for nothing; an ``async for`` that ends early needs no ``aclose``.

    One task reads at a time.
    """

    # Frameworks keep the cancellation of a task, and its traceback keeps our frames. Invariant: none of these
    # frames refers to the stream; otherwise nothing would release the connection of a cancelled loop. (`del
    # self` would do the same, but programs that print tracebacks fail on a deleted argument.)

    def __init__(self, source: AsyncSource, report: RunReport) -> None:
        self._source = source
        self._report = report
        self._at_hand: Iterator[Event] = _NOTHING
        self._batch: Iterator[Event] = _NOTHING  # the part of them before the next checkpoint
        self._begun = False
        self._handed_out = 0

    @property
    def report(self) -> RunReport:
        """What the run has come to so far."""
        return self._report

    def __aiter__(self) -> Self:
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
            await self._advance(until_connected=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return _describe(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NO_COPIES)

    def __del__(self) -> None:
        if "_source" in self.__dict__:
            self._source.drop()

    def events(self) -> AsyncEvents:
        """Iterate the typed events instead, those included that are no content."""
        return AsyncEvents(self)

    async def text(self, *, max_bytes: int = TEXT_LIMIT_BYTES) -> str:
        """Read to the end and return the chunks as one text, structured ones as JSON.

        Args:
            max_bytes: UTF-8 bytes to collect at most.

        Raises:
            StreamError: The run failed; ``partial_text`` has what came before.
        """
        text = _Text(max_bytes)
        try:
            async for content in self:
                text.add(content)
        except RunAgentError as exc:
            text.keep_on(exc)
            await self.aclose()
            raise
        except BaseException:
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        return text.value()

    async def aclose(self) -> None:
        """Close the stream; does nothing if it is over, and waits for nothing.

        A read that waits in another task raises a StreamError.
        """
        self._at_hand = self._batch = _NOTHING
        self._source.close()

    async def _advance(self, *, until_connected: bool = False) -> bool:
        """Get the next events, up to the next checkpoint; False at the end.

        A checkpoint after every 32 events lets other tasks run, and a cancellation end the loop, in a burst.
        """
        self._begun = True
        left = length_hint(self._at_hand)
        try:
            if not left:
                batch = await self._source.next_batch(until_connected=until_connected)
                if batch is None:
                    return False
                self._at_hand, left = iter(batch), len(batch)
            if self._handed_out >= _EVENTS_PER_CHECKPOINT:
                self._handed_out = 0
                await self._source.checkpoint()
        except BaseException:
            self = None  # type: ignore[assignment]  # see AsyncStream
            raise
        allowed = min(left, _EVENTS_PER_CHECKPOINT - self._handed_out)
        self._handed_out += allowed
        self._batch = islice(self._at_hand, allowed)
        return True


class AsyncEvents:
    """The typed events of an `AsyncStream`. An event that one of the two returns, the other does not."""

    def __init__(self, stream: AsyncStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
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


publish(Stream, AsyncStream)
