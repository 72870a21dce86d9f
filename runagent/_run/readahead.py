"""Reading ahead: a thread or a task that keeps a run going while its reader is busy elsewhere.

Nobody reads a stream that nobody asks, which is back-pressure; but then nobody answers pings
either. ``read_ahead_bytes`` opts into a helper that reads on, up to that many bytes.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, cast

from runagent._errors import NetworkError, StreamError
from runagent._internal.foreign import is_cancellation
from runagent._internal.locks import ThreadWakeup
from runagent._internal.threads import needs_thread
from runagent._net.base import track_descriptor
from runagent._net.tasks import Scope, Wakeup, new_scope, spawn
from runagent._run.pump_core import CLOSED_WHILE_READ, TOKEN, TWO_READERS

if TYPE_CHECKING:
    from runagent._events import Event
    from runagent._run.async_pump import AsyncPump
    from runagent._run.pump import Pump

__all__ = ["AsyncReadAhead", "ReadAhead"]

_CANCELLED = "the task that reads ahead was cancelled by somebody else; begin the run anew"


class _Store:
    """The batches read and not yet asked for, and how the run ended."""

    def __init__(self, pump: Pump | AsyncPump, max_bytes: int) -> None:
        self.over = False
        self.error: BaseException | None = None
        self._report = pump.run.report
        self._max = max_bytes
        self._batches: deque[tuple[list[Event], int]] = deque()
        self._size = 0
        self._seen = 0
        track_descriptor(self)

    @property
    def full(self) -> bool:
        """Whether reading has to wait for the reader."""
        return self._size >= self._max

    def put(self, batch: list[Event]) -> None:
        """Keep a batch; its size is what came over the network for it."""
        size, self._seen = self._report.bytes_received - self._seen, self._report.bytes_received
        self._batches.append((batch, size))
        self._size += size

    def take(self) -> list[Event] | None:
        """Take the next batch; None where there is none at hand."""
        if not self._batches:
            return None
        batch, size = self._batches.popleft()
        self._size -= size
        return batch

    def end(self) -> None:
        """Raise what ended the run badly, once."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error

    def forget(self) -> None:
        """Drop what the parent process will hand out; see `track_descriptor`."""
        self._batches.clear()


class ReadAhead:
    """A source for a `Stream` that a thread of its own fills."""

    def __init__(self, pump: Pump, max_bytes: int) -> None:
        self._pump = pump
        self._store = _Store(pump, max_bytes)
        self._lock = threading.RLock()  # of the store; a finalizer may close in the middle of anything
        self._news, self._room = ThreadWakeup(), ThreadWakeup()
        self._thread: threading.Thread | None = None
        self._token: list[None] = [None]  # who takes it reads; see `Pump`
        self._closed = False

    def next_batch(self, *, until_connected: bool = False) -> list[Event] | None:
        """Return the next events, waiting for them if need be; see `Pump.next_batch`."""
        self._pump.check_process()
        try:
            del self._token[0]
        except IndexError:
            raise RuntimeError(TWO_READERS) from None
        try:
            if self._closed:
                return None
            if self._thread is None:
                self._start()
            batch = [] if until_connected else self._wait_for_batch()
        except NetworkError:  # no thread is to be had yet
            raise
        except BaseException:  # a signal handler's, which may have lost a batch
            self.close()
            raise
        finally:
            self._token += TOKEN
        if batch is None:
            if self._closed:
                raise StreamError(CLOSED_WHILE_READ, chunks_received=self._pump.run.report.chunks)
            self._store.end()
        return batch

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="runagent-read-ahead", daemon=True)
        with needs_thread("read ahead"):
            thread.start()
        self._thread = thread

    def _wait_for_batch(self) -> list[Event] | None:
        while (batch := self._take()) is None and not self._closed:
            if self._store.over:
                return self._take()  # put there before it was over
            self._news.wait()
        self._room.wake()
        return batch

    def _take(self) -> list[Event] | None:
        with self._lock:
            return self._store.take()

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

    def _work(self) -> None:
        try:
            while (batch := self._pump.next_batch()) is not None:
                with self._lock:
                    self._store.put(batch)
                self._news.wake()
                while self._store.full and not self._closed:
                    self._room.wait()
        except BaseException as exc:  # noqa: BLE001  # handed to the reader, whose thread is another one
            self._store.error = exc.with_traceback(None)
        finally:
            self._store.over = True
            self._news.wake()


class AsyncReadAhead:
    """A source for an `AsyncStream` that a task of its own fills."""

    def __init__(self, pump: AsyncPump, max_bytes: int) -> None:
        self._pump = pump
        self._store = _Store(pump, max_bytes)
        self._changed: Wakeup | None = None  # there is one once reading has begun
        self._scope: Scope | None = None
        self._reading = self._closed = False

    async def next_batch(self, *, until_connected: bool = False) -> list[Event] | None:
        """Return the next events, waiting for them if need be; see `AsyncPump.next_batch`."""
        self._pump.check_process()
        if self._changed is None and not self._closed:
            self._changed = Wakeup()
            spawn(self._read_ahead, "runagent-read-ahead", self._failed)
        if until_connected:
            return []
        if self._reading:
            raise RuntimeError(TWO_READERS)
        self._reading = True
        try:
            while (batch := self._store.take()) is None and not self._store.over and not self._closed:
                await cast("Wakeup", self._changed).wait()
        finally:
            self._reading = False
        self._wake()
        if batch is None:
            self._store.end()
        return batch

    async def checkpoint(self) -> None:
        """See `AsyncPump.checkpoint`."""
        await self._pump.checkpoint()

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
        """Hand over what ended the task, perhaps before it began."""
        if not is_cancellation(error):
            self._store.error = error.with_traceback(None)
        elif not self._closed:
            self._store.error = StreamError(_CANCELLED, chunks_received=self._pump.run.report.chunks)
        self._end()

    def _end(self) -> None:
        self._store.over = True
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
