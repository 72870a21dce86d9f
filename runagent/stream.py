"""Streams: what a user iterates, and the only two loops that move bytes.

`Stream` and `AsyncStream` are the same class in two colours; a test compares them. They are
iterators with a ``__next__`` of their own and no generators: a generator whose read is cancelled
once is over for good, which would turn a timeout around one chunk into a silent end.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Self, cast

from runagent.errors import NetworkError, RunAgentError, StreamError, StreamLimitError
from runagent.events import Chunk, Event
from runagent.net.base import (
    Address,
    AsyncConnection,
    AsyncNetwork,
    Connection,
    DeadlineExceededError,
    Network,
    fork_generation,
)
from runagent.net.loops import EventLoop, current_loop
from runagent.run import Run, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from runagent.net.pool import Pool
    from runagent.report import RunReport

__all__ = ["AsyncEvents", "AsyncStream", "Events", "Stream"]

READ_BYTES = 64 * 1024
TEXT_LIMIT_BYTES = 16 * 1024 * 1024
_EVENTS_PER_CHECKPOINT = 32
_CLOSED_NOTICED_SECONDS = 0.1  # a wait before another attempt goes by such steps
_END_OF_ANSWER_SECONDS = 0.02  # the formal end of an answer comes right behind its last event
_CLOSED_WHILE_READ = "the stream was closed while it was being read"
_CANCELLED_WHILE_SENT = "the run was cancelled while something was being sent to the agent; begin it anew"
_TWO_READERS = "the stream is being read by somebody else; one stream has one reader"


class _StreamCore:
    """What both colours have: the run, the events at hand, and how a stream is over."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._batch: Iterator[Event] = iter(())
        self._closed = False

    @property
    def report(self) -> RunReport:
        """What the run has come to so far."""
        return self._run.report

    def _check_process(self) -> None:
        if self._run.generation != fork_generation():
            raise RuntimeError(
                "this stream was begun before a fork; only the parent process can go on with it"
            )

    def _end(self, now: float) -> bool:
        """Raise the run's error, once; afterwards the stream is at its end."""
        self._run.finished(now)
        self._run.let_go()
        error, self._run.error = self._run.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # or the traceback would keep this frame, and the frame the error
        return False


class _Text:
    """Collects a text up to a limit."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._size = 0
        self._parts: list[str] = []

    def add(self, content: Any) -> None:
        """Add a chunk; a structured one as its JSON text."""
        if not isinstance(content, str):
            from runagent.wire.jsontext import encode_json

            content = encode_json(content).decode()
        self._size += len(content.encode("utf-8", "surrogatepass"))
        if self._size > self._max:
            raise StreamLimitError(
                f"the text is larger than {self._max} bytes; raise max_bytes= to collect it",
                limit_name="max_bytes",
                limit=self._max,
            )
        self._parts.append(content)

    def value(self) -> str:
        """Return what has been collected."""
        return "".join(self._parts)

    def keep_on(self, error: RunAgentError) -> None:
        """Give an error what had been collected before it."""
        if isinstance(error, StreamError):
            error.partial_text = self.value()


class Stream(_StreamCore):
    """The answer of a run, as it comes: iterate it, or use it in a ``with`` block.

    Iterating gives ``str`` for text chunks and the decoded JSON value for structured ones.
    Nothing is sent before the first ``next`` or ``with``. Leaving early, by ``break``, an
    exception, ``close`` or by dropping the object, releases the connection at once.

    One thread reads; ``close`` may be called by another.
    """

    def __init__(self, run: Run, network: Network, pool: Pool[Connection]) -> None:
        super().__init__(run)
        self._network = network
        self._pool = pool
        self._connection: Connection | None = None
        self._reading = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        while True:
            for event in self._batch:
                if type(event) is Chunk:
                    return event.content
            if not self._advance():
                raise StopIteration

    def __enter__(self) -> Self:
        if self._run.step is Step.CONNECT:
            self._advance(until_connected=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self.__dict__.get("_connection") is not None and self._run.generation == fork_generation():
            self._leave()

    def events(self) -> Events:
        """Iterate the typed events instead: ``Started``, ``Chunk``, ``Completed``."""
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
        """Leave the stream; does nothing where it is over.

        A ``next`` that waits in another thread raises a StreamError.
        """
        self._closed = True
        if self._reading.acquire(blocking=False):
            try:
                self._run.finished(self._network.now())
                self._leave()
            finally:
                self._reading.release()
        elif (connection := self._connection) is not None:
            connection.interrupt()

    # The pump

    def _advance(self, *, until_connected: bool = False) -> bool:
        """Move bytes until there are events to hand out; False at the end."""
        self._check_process()
        if not self._reading.acquire(blocking=False):
            raise RuntimeError(_TWO_READERS)
        try:
            run = self._run
            while not self._closed and not run.has_events:
                if run.step is Step.READ:
                    if until_connected:
                        return True
                    self._read()
                elif run.step is Step.CONNECT:
                    self._connect()
                elif run.step is Step.CLOSE_WRITE:
                    self._close_write()
                elif run.step is Step.BACK_OFF:
                    self._back_off()
                else:
                    return self._end(self._network.now())
                self._check_closed()
            if self._closed:
                self._leave()
                return False
            self._batch = iter(run.take_events())
            return True
        except BaseException:
            self._leave()
            raise
        finally:
            self._reading.release()

    def _check_closed(self) -> None:
        if self._closed:
            raise StreamError(_CLOSED_WHILE_READ, chunks_received=self._run.report.chunks)

    def _back_off(self) -> None:
        """Wait before the next attempt; by small steps, because closing the stream wakes no sleeper."""
        now = self._network.now
        until = now() + self._run.delay
        while not self._closed and (left := until - now()) > 0:
            self._network.sleep(min(left, _CLOSED_NOTICED_SECONDS))
        self._run.step = Step.CONNECT

    def _connect(self) -> None:
        run, now = self._run, self._network.now
        address = run.begin_attempt(now())
        try:
            self._connection, reused = self._acquire(address, run.deadlines.connect(now()))
        except DeadlineExceededError:
            run.timed_out(now(), 0.0)
        except NetworkError as exc:
            run.connect_failed(exc)
        else:
            run.connected(now(), reused=reused)
            self._flush()

    def _acquire(self, address: Address, deadline: float) -> tuple[Connection, bool]:
        while idle := self._pool.take(address):
            if not idle.refresh() and idle.waits_for_end:
                with contextlib.suppress(DeadlineExceededError, OSError):
                    idle.feed(
                        idle.connection.receive(READ_BYTES, self._network.now() + _END_OF_ANSWER_SECONDS)
                    )
            if idle.reusable:
                return idle.connection, True
            idle.connection.abort()
        return self._network.connect(address, deadline), False

    def _read(self) -> None:
        run, connection, now = self._run, cast("Connection", self._connection), self._network.now
        start = now()
        try:
            data = connection.receive(READ_BYTES, run.read_deadline(start))
        except DeadlineExceededError:
            self._check_closed()
            run.timed_out(end := now(), end - start)
        except OSError as exc:
            self._check_closed()
            run.lost(exc)
        else:
            self._check_closed()
            run.received(data, start, now())
        self._flush()

    def _flush(self) -> None:
        """Send what the session has to say; then let go of a connection that has served."""
        run, connection = self._run, cast("Connection", self._connection)
        while data := run.data_to_send():
            try:
                connection.send(data, run.send_deadline(self._network.now()))
            except DeadlineExceededError:
                run.send_failed(None)
            except OSError as exc:
                run.send_failed(exc)
        if run.step not in (Step.READ, Step.CLOSE_WRITE):
            self._release(connection)

    def _close_write(self) -> None:
        cast("Connection", self._connection).close_write()
        self._run.write_closed()

    def _release(self, connection: Connection) -> None:
        self._connection = None
        if self._run.keeps_connection:
            self._pool.put(self._run.address, connection, self._run.session)
        else:
            connection.abort()

    def _leave(self) -> None:
        """Drop everything at once, with a word of farewell where the protocol has one."""
        run, connection = self._run, self._connection
        self._batch, self._connection = iter(()), None
        if connection is not None and run.generation == fork_generation():
            connection.abort(run.farewell())
        run.abandon()


class Events:
    """The typed events of a `Stream`, which they share: what one gives, the other does not."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        stream = self._stream
        while True:
            for event in stream._batch:
                return event
            if not stream._advance():
                raise StopIteration


class AsyncStream(_StreamCore):
    """`Stream` for asyncio and trio.

    Cancelling a read, for example by a timeout around one ``anext``, loses nothing: the next one
    goes on where it was. Cancelling it while a large input is being sent ends the stream, whose
    next read raises. ``aclose`` waits for nothing; an ``async for`` that is left early needs none.

    One task reads at a time.
    """

    def __init__(
        self,
        run: Run,
        pool_of: Callable[[EventLoop], Pool[AsyncConnection]],
        network: AsyncNetwork | None = None,
    ) -> None:
        super().__init__(run)
        self._pool_of = pool_of
        self._given_network = network
        self._loop: EventLoop | None = None
        self._connection: AsyncConnection | None = None
        self._reading = False
        self._handed_out = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while True:
            await self._let_others_run()
            for event in self._batch:
                if type(event) is Chunk:
                    return event.content
            if not await self._advance():
                raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        if self._run.step is Step.CONNECT:
            await self._advance(until_connected=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self.__dict__.get("_connection") is not None and self._run.generation == fork_generation():
            self._leave()

    def events(self) -> AsyncEvents:
        """Iterate the typed events instead: ``Started``, ``Chunk``, ``Completed``."""
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
        return text.value()

    async def aclose(self) -> None:
        """Leave the stream; does nothing where it is over, and waits for nothing.

        A read that waits in another task raises a StreamError.
        """
        self._closed = True
        if self._loop is not None:
            self._run.finished(self._network.now())
        self._leave()

    # The pump

    async def _let_others_run(self) -> None:
        """A burst of events at hand must neither starve other tasks nor outlive a cancellation."""
        self._handed_out += 1
        if self._handed_out >= _EVENTS_PER_CHECKPOINT and self._loop is not None:
            self._handed_out = 0
            await self._network.checkpoint()

    async def _advance(self, *, until_connected: bool = False) -> bool:
        """Move bytes until there are events to hand out; False at the end."""
        self._check_process()
        if self._reading:
            raise RuntimeError(_TWO_READERS)
        self._reading = True
        try:
            run = self._run
            while not self._closed and not run.has_events:
                if run.step is Step.READ:
                    if until_connected:
                        return True
                    await self._read()
                elif run.step is Step.CONNECT:
                    await self._connect()
                elif run.step is Step.CLOSE_WRITE:
                    self._close_write()
                elif run.step is Step.BACK_OFF:
                    await self._back_off()
                else:
                    return self._end(self._network.now())
                self._check_closed()
            if self._closed:
                self._leave()
                return False
            self._batch = iter(run.take_events())
            return True
        finally:
            self._reading = False

    def _check_closed(self) -> None:
        if self._closed:
            self._leave()
            raise StreamError(_CLOSED_WHILE_READ, chunks_received=self._run.report.chunks)

    @property
    def _network(self) -> AsyncNetwork:
        return self._given_network or cast("EventLoop", self._loop).network

    async def _back_off(self) -> None:
        """Wait before the next attempt; by small steps, because closing the stream wakes no sleeper."""
        run, now = self._run, self._network.now
        until = now() + run.delay
        try:
            while not self._closed and (left := until - now()) > 0:
                await self._network.sleep(min(left, _CLOSED_NOTICED_SECONDS))
        finally:
            run.delay = until - now()  # a read that is cancelled while it waits has waited all the same
        run.step = Step.CONNECT

    async def _connect(self) -> None:
        self._loop = loop = await current_loop()
        run, now, pool = self._run, self._network.now, self._pool_of(loop)
        address = run.begin_attempt(now())
        try:
            self._connection, reused = await self._acquire(pool, address, run.deadlines.connect(now()))
        except DeadlineExceededError:
            run.timed_out(now(), 0.0)
        except NetworkError as exc:
            run.connect_failed(exc)
        else:
            pool.in_use(self._connection)
            run.connected(now(), reused=reused)
            await self._flush()

    async def _acquire(
        self, pool: Pool[AsyncConnection], address: Address, deadline: float
    ) -> tuple[AsyncConnection, bool]:
        while idle := pool.take(address):
            try:
                if not idle.refresh() and idle.waits_for_end:
                    with contextlib.suppress(DeadlineExceededError, OSError):
                        idle.feed(
                            await idle.connection.receive(
                                READ_BYTES, self._network.now() + _END_OF_ANSWER_SECONDS
                            )
                        )
                if idle.reusable:
                    return idle.connection, True
            except BaseException:
                idle.connection.abort()
                raise
            idle.connection.abort()
        return await self._network.connect(address, deadline), False

    async def _read(self) -> None:
        run, connection, now = self._run, cast("AsyncConnection", self._connection), self._network.now
        start = now()
        try:
            data = await connection.receive(READ_BYTES, run.read_deadline(start))
        except DeadlineExceededError:
            self._check_closed()
            run.timed_out(end := now(), end - start)
        except OSError as exc:
            self._check_closed()
            run.lost(exc)
        except BaseException:
            run.deadlines.waited(now() - start)
            raise
        else:
            self._check_closed()
            run.received(data, start, now())
        await self._flush()

    async def _flush(self) -> None:
        """Send what the session has to say; then let go of a connection that has served."""
        run, connection = self._run, cast("AsyncConnection", self._connection)
        while data := run.data_to_send():
            try:
                await connection.send(data, run.send_deadline(self._network.now()))
            except DeadlineExceededError:
                run.send_failed(None)
            except OSError as exc:
                run.send_failed(exc)
            except BaseException:
                self._leave()
                run.error = StreamError(_CANCELLED_WHILE_SENT, chunks_received=run.report.chunks)
                raise
        if run.step not in (Step.READ, Step.CLOSE_WRITE):
            self._release(connection)

    def _close_write(self) -> None:
        cast("AsyncConnection", self._connection).close_write()
        self._run.write_closed()

    def _release(self, connection: AsyncConnection) -> None:
        self._connection = None
        if self._run.keeps_connection:
            self._pool_of(cast("EventLoop", self._loop)).put(self._run.address, connection, self._run.session)
        else:
            connection.abort()

    def _leave(self) -> None:
        """Drop everything at once, with a word of farewell where the protocol has one."""
        run, connection = self._run, self._connection
        self._batch, self._connection = iter(()), None
        if connection is not None and run.generation == fork_generation():
            connection.abort(run.farewell())
        run.abandon()


class AsyncEvents:
    """The typed events of an `AsyncStream`, which they share: what one gives, the other does not."""

    def __init__(self, stream: AsyncStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        stream = self._stream
        while True:
            await stream._let_others_run()
            for event in stream._batch:
                return event
            if not await stream._advance():
                raise StopAsyncIteration
