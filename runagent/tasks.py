"""Background work in the running event loop, asyncio's or trio's, and how other threads reach it."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from typing import TYPE_CHECKING, Any, Protocol

import sniffio

from runagent.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = ["Bell", "Scope", "current_library", "new_scope", "run_loop", "spawn"]

_NO_TASK = "the asynchronous client is awaited in a task of asyncio or trio, and none is running here"


def current_library() -> str:
    """Return ``asyncio`` or ``trio``, whichever runs the calling task.

    Raises:
        ConfigurationError: No task is running.
    """
    try:
        return sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        raise ConfigurationError(_NO_TASK) from None


def _on_trio() -> bool:
    return current_library() == "trio"


class Bell:
    """Wakes whoever waits in the event loop in which it was made; rung from any thread."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._event: Any = None  # an asyncio.Event or a trio.Event, made anew for each wait
        self._call_in_loop: Callable[[Callable[[], object]], object]
        if _on_trio():
            import trio

            self._new_event: Callable[[], Any] = trio.Event
            self._call_in_loop = trio.lowlevel.current_trio_token().run_sync_soon
            self._loop_over: type[Exception] = trio.RunFinishedError
        else:
            import asyncio

            self._new_event = asyncio.Event
            self._call_in_loop = asyncio.get_running_loop().call_soon_threadsafe
            self._loop_over = RuntimeError  # the loop is closed

    async def wait(self, seconds: float | None = None) -> None:
        """Wait for the next ring, or until the time is over; rings of before do not count."""
        if self._event is None:
            self._event = self._new_event()
        if seconds is None:
            await self._event.wait()
        elif self._new_event.__module__.startswith("trio"):
            await _trio_wait(self._event.wait, seconds)
        else:
            await _asyncio_wait(self._event.wait, seconds)

    def ring(self) -> None:
        """Wake whoever waits; does nothing where the loop has ended."""
        if threading.get_ident() == self._thread:
            self._ring_here()
        else:
            with contextlib.suppress(self._loop_over):
                self._call_in_loop(self._ring_here)

    def _ring_here(self) -> None:
        event, self._event = self._event, None
        if event is not None:
            event.set()


async def _trio_wait(wait: Callable[[], Awaitable[object]], seconds: float) -> None:
    import trio

    with trio.move_on_after(seconds):
        await wait()


async def _asyncio_wait(wait: Callable[[], Awaitable[object]], seconds: float) -> None:
    import asyncio

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wait()


class Scope(Protocol):
    """What is run in it can be cancelled from any thread."""

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work``; returns early, without a word, where the scope was cancelled."""

    def cancel(self) -> None:
        """End what is being run; a second time does nothing."""

    def limit(self, seconds: float) -> None:
        """Cancel after so many seconds; called inside of ``work``."""


def new_scope() -> Scope:
    """Make a scope in the running event loop."""
    return _TrioScope() if _on_trio() else _AioScope()


class _AioScope:
    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._cancelled = self._over = False
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        import asyncio

        try:
            await work()
        except asyncio.CancelledError:
            # Where the loop itself ends, the task was not cancelled by us, or not only.
            if not self._cancelled or self._task is None or self._task.uncancel():
                raise
        finally:
            self._over = True
            if self._timer is not None:
                self._timer.cancel()

    def cancel(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._cancel_here)

    def limit(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._cancel_here)

    def _cancel_here(self) -> None:
        if self._task is not None and not self._cancelled and not self._over:
            self._cancelled = True
            self._task.cancel()


class _TrioScope:
    def __init__(self) -> None:
        import trio

        self._now, self._loop_over = trio.current_time, trio.RunFinishedError
        self._token = trio.lowlevel.current_trio_token()
        self._scope = trio.CancelScope()

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        with self._scope:
            await work()

    def cancel(self) -> None:
        with contextlib.suppress(self._loop_over):
            self._token.run_sync_soon(self._scope.cancel)

    def limit(self, seconds: float) -> None:
        self._scope.deadline = self._now() + seconds


def spawn(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """Run ``work`` in the background, with the caller's context; it raises nothing but a cancellation."""
    if _on_trio():
        import trio

        trio.lowlevel.spawn_system_task(work, name=name, context=contextvars.copy_context())
        return
    import asyncio

    task = asyncio.get_running_loop().create_task(work(), name=name)
    _tasks.add(task)  # the loop itself keeps only a weak reference
    task.add_done_callback(_tasks.discard)


_tasks: set[Any] = set()


def run_loop(library: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``work`` in an event loop of its own."""
    if library == "trio":
        import trio

        trio.run(work)
    else:
        import asyncio

        asyncio.run(work())
