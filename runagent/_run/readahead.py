"""Reading ahead: a thread or a task that keeps receiving while the reader of the stream is busy.

Normally the client receives only while the reader waits for the next event. That is the backpressure, but
meanwhile no ping is answered. With ``read_ahead_bytes`` a thread or a task receives up to that many bytes.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from typing import TYPE_CHECKING, cast

from msgspec import structs

from runagent._cutting import size_of
from runagent._errors import NetworkError, StreamError
from runagent._internal import clock
from runagent._internal.foreign import is_cancellation
from runagent._internal.locks import ThreadWakeup
from runagent._internal.threads import needs_thread
from runagent._internal.tracebacks import is_ours
from runagent._net.base import track_descriptor
from runagent._net.tasks import Scope, Wakeup, new_scope, spawn
from runagent._run.handed import Handed, place_after
from runagent._run.pump_core import TOKEN, TWO_READERS, ReaderRefusedError
from runagent._run.until import ACCEPTED, CONNECTED, Patience

if TYPE_CHECKING:
    from runagent._events import Event
    from runagent._net.loops import EventLoop
    from runagent._run.async_pump import AsyncPump
    from runagent._run.pump import Pump
    from runagent._run.run import Run
    from runagent._run.sink import Sink
    from runagent._run.until import Until

__all__ = ["AsyncReadAhead", "ReadAhead"]

__tracebackhide__ = is_ours

_NEVER = float("inf")
_CANCELLED = "the task that reads ahead was cancelled from outside; start a new run"


class _Store:
    """The batches that were received but not yet taken, and how the run ended."""

    def __init__(self, pump: Pump | AsyncPump, max_bytes: int) -> None:
        self.over = False
        self.error: BaseException | None = None
        self._report = pump.run.report
        self._max = max_bytes
        self._batches: deque[tuple[list[Event], int]] = deque()
        self._size = 0
        self._seen = 0
        self._taken: list[Event] = []
        self._place = pump.run.place
        track_descriptor(self)

    @property
    def full(self) -> bool:
        """Whether reading has to wait for the reader."""
        return self._size >= self._max

    def put(self, batch: list[Event]) -> None:
        """Keep a batch; its size is the number of bytes received for it.

        If there are none, its size is about that of its events: libraries show no bytes, and one read of a
        compressed answer may bring many batches.
        """
        size, self._seen = self._report.bytes_received - self._seen, self._report.bytes_received
        if not size:
            size = size_of([structs.astuple(event) for event in batch], self._max)
        self._batches.append((batch, size))
        self._size += size

    def take(self) -> list[Event] | None:
        """Take the next batch, or None if there is none yet."""
        if not self._batches:
            return None
        batch, size = self._batches.popleft()
        self._size -= size
        self._place, self._taken = place_after(self._taken, self._place), batch
        return batch

    def handed(self, unread: int) -> Handed:
        """See `RunState.handed`; the session has received more than the reader was handed."""
        return Handed(self._taken, unread, self._place, lost=True)

    def end(self) -> None:
        """Raise the run's error, once."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error

    def forget(self) -> None:
        """Drop the batches, which belong to the parent process; see `track_descriptor`."""
        self._batches.clear()


class ReadAhead:
    """A source for a `Stream` that a separate thread fills."""

    def __init__(self, pump: Pump, max_bytes: int) -> None:
        self._pump = pump
        self._store = _Store(pump, max_bytes)
        self._lock = threading.RLock()  # guards the store; reentrant, as a finalizer may close at any moment
        self._news, self._room = ThreadWakeup(), ThreadWakeup()
        self._thread: threading.Thread | None = None
        self._token: list[None] = [None]  # the thread that has it is the reader; see `Pump`
        self._closed = self._informed = False

    def next_batch(self, until: Until | None = None) -> list[Event] | None:
        """Return the next events, waiting for them if need be; see `Pump.next_batch`."""
        batch = self._read(until)
        if batch is None and not self._closed:
            self._store.end()
        return batch

    def wait(self, seconds: float) -> list[Event] | None:
        """See `Pump.wait`."""
        return self._read(Patience(seconds))

    def _read(self, until: Until | None) -> list[Event] | None:
        self._pump.check_process()
        try:
            del self._token[0]
        except IndexError:
            raise ReaderRefusedError(TWO_READERS) from None
        try:
            if self._closed:
                _end_closed(self)
                return None
            if self._thread is None:
                self._start()
            if until is CONNECTED:
                return []
            batch = self._wait_for_batch(until)
            if batch is None:
                _check_open(self)
            return batch
        except NetworkError:  # no thread could be started yet: the next call may try again
            raise
        except BaseException:  # raised by a signal handler, perhaps between two steps, so a batch may be lost
            self.close()
            raise
        finally:
            self._token += TOKEN

    def _start(self) -> None:
        # Observers and a key function find the variables of the reader, as in the task of `AsyncReadAhead`.
        context = contextvars.copy_context()
        thread = threading.Thread(target=self._work, args=(context,), name="runagent-read-ahead", daemon=True)
        self._pump.run.notes.on_accepted = self._news.wake
        with needs_thread("read ahead"):
            thread.start()
        self._thread = thread

    def _wait_for_batch(self, until: Until | None) -> list[Event] | None:
        end = until.end(clock.now()) if isinstance(until, Patience) else _NEVER
        while (batch := self._take()) is None and not self._closed:
            if self._store.over:
                return self._take()  # a last batch may have come between the two checks
            if (until is ACCEPTED and self._pump.run.notes.accepted) or (left := end - clock.now()) <= 0:
                return []
            self._news.wait(None if left == _NEVER else left)
        self._room.wake()
        return batch

    def _take(self) -> list[Event] | None:
        with self._lock:
            return self._store.take()

    @property
    def run(self) -> Run:
        """The run whose events are read."""
        return self._pump.run

    def for_run(self, run: Run) -> Pump:
        """See `Pump.for_run`."""
        return self._pump.for_run(run)

    def handed(self, unread: int) -> Handed:
        """See `PumpCore.handed`."""
        return self._store.handed(unread)

    def close(self) -> None:
        """See `Pump.close`."""
        self._closed = True
        with self._lock:
            self._store.forget()
        self._news.wake()
        self._room.wake()
        self._pump.close()

    def drop(self) -> None:
        """See `Pump.drop`."""
        if self._thread is not None:
            self.close()

    def _work(self, context: contextvars.Context) -> None:
        try:
            context.run(self._read_all)
        except BaseException as exc:  # noqa: BLE001  # raised for the reader, in another thread
            self._store.error = exc.with_traceback(None)
        finally:
            self._store.over = True
            self._pump.run.notes.on_accepted = None
            self._news.wake()

    def _read_all(self) -> None:
        while (batch := self._pump.next_batch()) is not None:
            with self._lock:
                self._store.put(batch)
            self._news.wake()
            while self._store.full and not self._closed:
                self._room.wait()


class AsyncReadAhead:
    """A source for an `AsyncStream` that a separate task fills."""

    def __init__(self, pump: AsyncPump, max_bytes: int) -> None:
        self._pump = pump
        self._store = _Store(pump, max_bytes)
        self._changed: Wakeup | None = None  # made when reading begins
        self._scope: Scope | None = None
        self._reading = self._closed = self._informed = False

    async def next_batch(self, until: Until | None = None, sink: Sink | None = None) -> list[Event] | None:
        """Return the next events, waiting for them if need be; see `AsyncPump.next_batch`."""
        while (batch := await self._read(until)) is not None:
            if sink is None:
                return batch
            try:
                await sink.write(batch)
            except BaseException:
                sink.broken = True
                raise
        if not self._closed:
            self._store.end()
        return None

    async def wait(self, seconds: float) -> list[Event] | None:
        """See `AsyncPump.wait`."""
        return await self._read(Patience(seconds))

    async def _read(self, until: Until | None) -> list[Event] | None:
        self._pump.check_process()
        end = until.end(clock.now()) if isinstance(until, Patience) else _NEVER
        if self._changed is None and not self._closed:
            self._changed = Wakeup()
            self._pump.run.notes.on_accepted = self._wake
            spawn(self._read_ahead, "runagent-read-ahead", self._failed)
        if until is CONNECTED:
            return []
        if self._reading:
            raise ReaderRefusedError(TWO_READERS)
        if self._closed:
            _end_closed(self)
            return None
        self._reading = True
        try:
            while (batch := self._store.take()) is None and not self._store.over and not self._closed:
                if (until is ACCEPTED and self._pump.run.notes.accepted) or (left := end - clock.now()) <= 0:
                    return []
                await cast("Wakeup", self._changed).wait(None if left == _NEVER else left)
        finally:
            self._reading = False
        self._wake()
        if batch is None:
            _check_open(self)
        return batch

    def is_elsewhere(self, loop: EventLoop) -> bool:
        """See `AsyncPump.is_elsewhere`."""
        return self._pump.is_elsewhere(loop)

    async def checkpoint(self) -> None:
        """See `AsyncPump.checkpoint`."""
        await self._pump.checkpoint()

    @property
    def run(self) -> Run:
        """The run whose events are read."""
        return self._pump.run

    def for_run(self, run: Run) -> AsyncPump:
        """See `AsyncPump.for_run`."""
        return self._pump.for_run(run)

    def handed(self, unread: int) -> Handed:
        """See `PumpCore.handed`."""
        return self._store.handed(unread)

    def close(self) -> None:
        """See `AsyncPump.close`."""
        self._closed = True
        self._store.forget()
        if self._scope is not None:
            self._scope.cancel()
        self._pump.close()
        self._wake()

    def drop(self) -> None:
        """See `AsyncPump.drop`."""
        self._closed = True
        if self._scope is not None:
            self._scope.cancel()
        self._pump.drop()

    async def _read_ahead(self) -> None:
        self._scope = new_scope()
        if not self._closed:
            await self._scope.run(self._read_on)
        self._end()

    def _failed(self, error: BaseException) -> None:
        """Keep the error that ended the task, perhaps before its first step, for the reader."""
        if not is_cancellation(error):
            self._store.error = error.with_traceback(None)
        elif not self._closed:
            run = self._pump.run
            self._store.error = run.identify(StreamError(_CANCELLED, chunks_received=run.report.chunks))
        self._end()

    def _end(self) -> None:
        self._store.over = True
        self._pump.run.notes.on_accepted = None
        self._wake()

    async def _read_on(self) -> None:
        while (batch := await self._pump.next_batch()) is not None:
            self._store.put(batch)
            self._wake()
            while self._store.full:
                await cast("Wakeup", self._changed).wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.wake()


def _end_closed(source: ReadAhead | AsyncReadAhead) -> None:
    """See `PumpCore._end_closed`."""
    if source._pump.run.cancelled and not source._informed:
        _check_open(source)


def _check_open(source: ReadAhead | AsyncReadAhead) -> None:
    """Raise if the stream was closed while its reader waited."""
    if source._closed:
        source._informed = True
        run = source._pump.run
        raise run.identify(run.closed_error())
