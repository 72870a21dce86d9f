"""Reading ahead: a thread or a task that keeps receiving while the reader of the stream is busy.

Normally the client receives only while the reader waits for the next event. That is the backpressure, but
meanwhile no ping is answered. With ``read_ahead_bytes`` a thread or a task receives up to that many bytes.
"""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, cast

from runagent._errors import NetworkError, StreamError
from runagent._internal.foreign import is_cancellation
from runagent._internal.locks import ThreadWakeup
from runagent._internal.threads import needs_thread
from runagent._internal.tracebacks import is_ours
from runagent._net.loops import current_loop
from runagent._net.tasks import Scope, Wakeup, current_library, new_scope, spawn
from runagent._run.pump_core import OTHER_LOOP, TOKEN, TWO_READERS, ReaderRefusedError
from runagent._run.read_store import Store
from runagent._run.until import ACCEPTED, CONNECTED, Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._events import Event
    from runagent._net.base import AsyncNetwork
    from runagent._net.loops import EventLoop
    from runagent._run.async_pump import AsyncPump
    from runagent._run.handed import Handed
    from runagent._run.pump import Pump
    from runagent._run.run import Run
    from runagent._run.sink import Sink
    from runagent._run.until import Until

__all__ = ["AsyncReadAhead", "ReadAhead"]

__tracebackhide__ = is_ours

_NEVER = float("inf")
_CANCELLED = "the task that reads ahead was cancelled from outside; start a new run"


class ReadAhead:
    """A source for a `Stream` that a separate thread fills."""

    def __init__(self, pump: Pump, max_bytes: int) -> None:
        self._pump = pump
        self._store = Store(pump, max_bytes)
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
        now = self._pump._now
        end = until.end(now()) if isinstance(until, Patience) else _NEVER
        in_time = True
        while (batch := self._take()) is None and not self._closed:
            if self._store.over:
                return self._take()  # a last batch may have come between the two checks
            if until is ACCEPTED and self._pump.run.notes.accepted:
                return []
            left = None if end == _NEVER else end - now()
            if not in_time or (left is not None and left <= 0):
                return []
            in_time = self._news.wait(left)  # in real time, whatever the network's is
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
        self._store = Store(pump, max_bytes)
        # Set when reading begins:
        self._loop: EventLoop | None = None
        self._network: AsyncNetwork
        self._changed: Wakeup | None = None
        # Returns the running loop, for a small part of what `_loop` costs, and what it returned then.
        self._current: Callable[[], object]
        self._home: object = None
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
        if self._loop is None:
            if not self._closed:
                await self._begin()
        elif not self._store.over:
            self._check_loop()
        if until is CONNECTED:
            return []
        if self._reading:
            raise ReaderRefusedError(TWO_READERS)
        if self._closed:
            _end_closed(self)
            return None
        end = until.end(self._network.now()) if isinstance(until, Patience) else _NEVER
        changed, has_waited = self._changed, False
        assert changed is not None
        self._reading = True
        try:
            while (batch := self._store.take()) is None and not self._store.over and not self._closed:
                if until is ACCEPTED and self._pump.run.notes.accepted:
                    return []
                left = None if end == _NEVER else end - self._network.now()
                if left is None or left > 0:
                    await changed.wait(left)
                elif has_waited:
                    return []
                else:  # a poll: without it, the task would never get to read
                    await self._network.checkpoint()
                has_waited = True
        finally:
            self._reading = False
        self._wake()
        if batch is None:
            _check_open(self)
        return batch

    async def _begin(self) -> None:
        loop = await current_loop()
        if current_library() == "trio":
            import trio

            self._current = trio.lowlevel.current_trio_token
        else:
            import asyncio

            self._current = asyncio.get_running_loop
        self._home = self._current()
        self._network = self._pump._given_network or loop.network
        self._loop, self._changed = loop, Wakeup()
        self._pump.run.notes.on_accepted = self._wake
        spawn(self._read_ahead, "runagent-read-ahead", self._failed)

    def _check_loop(self) -> None:
        """Refuse a reader in another event loop than that of the task, which could not wake it."""
        try:
            elsewhere = self._current() is not self._home
        except RuntimeError:  # it is another library's
            elsewhere = True
        if elsewhere:
            raise ReaderRefusedError(OTHER_LOOP)

    def is_elsewhere(self, loop: EventLoop) -> bool:
        """See `AsyncPump.is_elsewhere`."""
        return self._loop not in (None, loop)

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
