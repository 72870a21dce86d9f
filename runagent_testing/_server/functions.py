"""Runs the functions of a test apart from the server's loop: none keeps other agents waiting, or the end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import inspect
import queue
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from runagent_testing._host.answers import Pending
from runagent_testing._internal.clock import now
from runagent_testing._internal.log import log_failure
from runagent_testing._script.computed import (
    END,
    Gathering,
    called,
    failure_of,
    place_of,
    place_of_thread,
)
from runagent_testing._script.steps import Ending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from runagent_testing._host.parsed import Answer
    from runagent_testing._script.computed import Computed

__all__ = ["AbandonedError", "DaemonThreads", "FunctionRunner", "raise_in"]

_NAME = "fake-agent-responds"


class AbandonedError(BaseException):
    """Raised in the middle of a function that nobody waits for; ``except Exception`` lets it pass."""


class _NoticedError(BaseException):
    pass


def raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Have an exception raised in another thread between two steps of Python, or no longer."""
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    there, here = ctypes.c_ulong(thread), ctypes.c_ulong(threading.get_ident())
    raised = None if exception is None else ctypes.py_object(exception)
    noticed = ctypes.py_object(_NoticedError)
    try:
        set_exception(there, raised)
        if sys.version_info < (3, 12):
            # A flag has all threads look for the exception. Until one is raised, which may be never if the
            # thread is blocked, every thread that a tracer watches, such as coverage, hangs at the entry of
            # the next function. One that is raised here takes the flag back; the thread sets it again when
            # it goes on. No function may be called in between.
            set_exception(here, noticed)
            for _ in range(100):  # it comes at the end of a call or the first round of a loop
                pass
    except _NoticedError:
        pass


class FunctionRunner:
    """The functions that compute replies of one server, as long as they are at work."""

    def __init__(self) -> None:
        self._sources: set[_Source] = set()
        self._lock = threading.Lock()

    async def answer(self, pending: Pending) -> Answer:
        """Ask the function, or several in turn, and make the answer of what the last one gives."""
        answer: Answer | Pending = pending
        while isinstance(answer, Pending):
            answer = await self._ask(answer)
        return answer

    async def _ask(self, pending: Pending) -> Answer | Pending:
        source = _Source(pending.computed, pending.exchange.agent_id, self._forget)
        with self._lock:
            self._sources.add(source)
        try:
            given = await _given(source, pending)
        except Exception as exc:  # noqa: BLE001 - whatever the test's function raises
            source.close()
            return pending.failed(exc)
        except BaseException:
            source.close()
            raise
        return given

    def runs_in(self, thread: int | None) -> bool:
        """Whether a thread is that of a function."""
        return any(source.worker.ident == thread for source in self._at_work())

    def hung(self, patience: float) -> list[str]:
        """Name the functions that do not return within some seconds, and where they are."""
        until = now() + patience
        at_work = [(source, source.calls) for source in self._at_work()]
        for source, _ in at_work:
            source.idle.wait(max(until - now(), 0.0))
        return [source.place for source, calls in at_work if source.is_in(calls)]

    def abandon(self) -> None:
        """Forget those that are still at work; what runs in Python is stopped."""
        for source in self._at_work():
            source.abandon()
        with self._lock:
            self._sources.clear()

    def _at_work(self) -> list[_Source]:
        with self._lock:
            return [source for source in self._sources if not source.idle.is_set()]

    def _forget(self, source: _Source) -> None:
        with self._lock:
            self._sources.discard(source)


async def _given(source: _Source, pending: Pending) -> Answer | Pending:
    steps = await source.ask(pending.exchange)
    if isinstance(steps, tuple):
        source.close()
        return pending.answer(steps)
    gathering = Gathering(plain=pending.is_plain)
    while gathering.needs_more and (step := await source.next()) is not END:
        gathering.add(step)
    if gathering.is_whole or not gathering.steps:
        source.close()
        return pending.answer(tuple(gathering.steps))
    return pending.stream(gathering.steps[0], source)


class _Source:
    """A `runagent_testing._script.computed.Source`: one function, and what it gives.

    Attributes:
        worker: The thread of a plain function.
        calls: How many have been made.
        idle: Set when none is at work.
    """

    def __init__(self, computed: Computed, agent_id: str, forget: Callable[[_Source], object]) -> None:
        self.worker = _Worker()
        self.calls = 0
        self.idle = threading.Event()
        self.idle.set()
        self._computed = computed
        self._agent_id = agent_id
        self._forget = forget
        self._steps: Iterator[Any] | AsyncIterator[Any] | None = None
        self._task: asyncio.Future[Any] | None = None
        self._last: Any = None
        self._closing = False

    @property
    def place(self) -> str:
        """Who it is, and where, for a report."""
        function = f"{self._computed.method} with {self._computed.name}"
        return f"agent {self._agent_id!r}: {function} has not returned: it is at {self._at}"

    @property
    def _at(self) -> str:
        if self._task is None:
            return place_of_thread(self.worker.ident, self._computed.function)
        stack = self._task.get_stack() if isinstance(self._task, asyncio.Task) else []
        frame = getattr(self._steps, "ag_frame", None) or (stack[0] if stack else None)
        return place_of(frame, self._computed.function)

    @property
    def has_ended(self) -> bool:
        """See `runagent_testing._script.computed.Source`."""
        return self._last is END or isinstance(self._last, Ending)

    def is_in(self, call: int) -> bool:
        """Whether it is still at work with a certain call."""
        return self.calls == call and not self.idle.is_set()

    async def ask(self, exchange: Any) -> Any:
        """Call the function.

        Raises:
            TimeoutError: It has not returned in time.
        """
        function = self._computed.function
        asked = called(function)
        if inspect.iscoroutinefunction(asked) or inspect.isasyncgenfunction(asked):
            given = function(exchange)  # runs nothing of it yet
        else:
            given = await self._in_thread(function, exchange)
        if inspect.isawaitable(given):
            given = await self._in_loop(given)
        rows = self._computed.rows(given)
        self._steps = None if isinstance(rows, tuple) else rows
        return rows

    def next_now(self) -> Any:
        """Not for a server."""
        raise NotImplementedError

    async def next(self) -> Any:
        """See `runagent_testing._script.computed.Source`."""
        if hasattr(self._steps, "__anext__"):
            await asyncio.sleep(0)  # others have their turn
            return await self._in_loop(_anext(self._steps))
        return await self._in_thread(next, self._steps, END)

    def close(self) -> None:
        """See `runagent_testing._script.computed.Source`."""
        if self._closing:
            return
        self._closing = True
        self.idle.clear()
        if self._task is None:
            self.worker.end(self._close_steps, self._ended)
        else:
            self.worker.end(None, lambda: None)
            ending = asyncio.ensure_future(_aclose(self._task, self._steps))
            ending.add_done_callback(lambda _: self._ended())

    def abandon(self) -> None:
        """Stop what can be stopped."""
        if self._task is None and self.worker.ident is not None:
            raise_in(self.worker.ident, AbandonedError)

    def _close_steps(self) -> None:
        self.idle.clear()
        steps: Any = self._steps
        if hasattr(steps, "close"):
            steps.close()

    def _came(self, given: Any = None) -> None:
        self._last = given
        self.idle.set()

    def _begin(self) -> None:
        self.calls += 1
        self.idle.clear()

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        self._begin()
        return await self._limited(self.worker.call(self._came, function, *args))

    async def _in_loop(self, coroutine: Awaitable[Any]) -> Any:
        self._task = self._start(coroutine)
        return await self._limited(self._task)

    def _start(self, coroutine: Awaitable[Any]) -> asyncio.Future[Any]:
        self._begin()
        task = asyncio.ensure_future(coroutine)
        task.add_done_callback(lambda _: self.idle.set())
        return task

    async def _limited(self, future: asyncio.Future[Any]) -> Any:
        try:
            done, _ = await asyncio.wait([future], timeout=self._computed.timeout)
        except asyncio.CancelledError:
            future.cancel()
            raise
        if done:
            try:
                return future.result()
            except GeneratorExit as exc:
                raise failure_of(exc) from exc
        place = self._at
        future.cancel()
        raise TimeoutError(self._computed.is_late(place))

    def _ended(self) -> None:
        self.idle.set()
        self._forget(self)


async def _aclose(before: asyncio.Future[Any], steps: Any) -> None:
    """End an async generator; what it raises then is nobody's."""
    await asyncio.wait([before])
    if hasattr(steps, "aclose"):
        with contextlib.suppress(Exception):
            await steps.aclose()


async def _anext(steps: Any) -> Any:
    return await anext(steps, END)


class _Worker:
    """A thread for one function, which may wait, loop and raise as it likes; made when it is first used.

    It is a daemon: a function that never returns does not keep the process.
    """

    def __init__(self) -> None:
        self.ident: int | None = None
        self._has_started = False
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()

    def call(
        self, then: Callable[[Any], object], function: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Have a function called; ``then`` is called in the thread with what it gives, or None."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def work() -> None:
            try:
                given = function(*args)
            except BaseException as exc:  # noqa: BLE001 - as above
                then(None)
                _hand_over(loop, future, None, failure_of(exc))
            else:
                then(given)
                _hand_over(loop, future, given, None)

        self._calls.put(work)
        self._start()
        return future

    def end(self, last: Callable[[], object] | None, then: Callable[[], object]) -> None:
        """Call one thing more, and end; ``then`` is called in the end."""

        def work() -> None:
            try:
                if last is not None:
                    last()
            except Exception as exc:  # noqa: BLE001 - whatever the test's generator raises
                log_failure("a generator of responds() could not be closed", exc)
            finally:
                then()

        if not self._has_started:
            then()
            return
        self._calls.put(work)
        self._calls.put(None)

    def _start(self) -> None:
        if not self._has_started:
            self._has_started = True
            threading.Thread(target=self._work, name=_NAME, daemon=True).start()

    def _work(self) -> None:
        self.ident = threading.get_ident()
        try:
            while (work := self._calls.get()) is not None:
                work()
        except AbandonedError:
            return


class DaemonThreads(ThreadPoolExecutor):
    """Threads for what async functions call: one that never returns keeps neither loop nor process."""

    def __init__(self) -> None:
        """Make none of the base's queues and locks, which take a while: each thread has one call."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `concurrent.futures.Executor.submit`."""
        future: Future[Any] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as exc:  # noqa: BLE001 - as the executors of the standard library
                future.set_exception(exc)

        threading.Thread(target=work, name=_NAME, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nobody."""


def _hand_over(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], given: Any, failure: Exception | None
) -> None:
    def hand_over() -> None:
        if future.done():
            return
        if failure is None:
            future.set_result(given)
        else:
            future.set_exception(failure)

    try:
        loop.call_soon_threadsafe(hand_over)
    except RuntimeError:  # the server has ended meanwhile
        return
