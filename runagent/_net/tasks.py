"""Background work in the running event loop or in a thread with its own, and how other threads reach it.

Whatever ends it badly is reported to the one who waits for it, also before the first line of its code.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

import sniffio

from runagent._errors import ConfigurationError
from runagent._internal.foreign import is_cancellation
from runagent._internal.threads import needs_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    Work = Callable[[], Coroutine[Any, Any, None]]
    Failed = Callable[[BaseException], None]

__all__ = ["Scope", "Wakeup", "current_library", "new_scope", "spawn", "start_loop"]

_PATCHED_SELECT = (
    "the transport {!r} needs trio, which does not run where gevent has patched select;"
    " call gevent.monkey.patch_all(select=False)"
)
_SAME_THREAD = (
    "the transport {!r} runs an event loop in another thread, but threads are greenlets here;"
    " leave threads unpatched, for example by eventlet.monkey_patch(thread=False)"
)
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


class Wakeup:
    """Wakes the waiter in the event loop in which it was made; rung from any thread."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._event: Any = None  # an asyncio.Event or a trio.Event, a new one for each wait
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

    def wake(self) -> None:
        """Wake the waiter; does nothing if the loop has ended."""
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
        """Run ``work``; returns early and silently if the scope was cancelled."""

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


def spawn(work: Work, name: str, failed: Failed) -> None:
    """Run ``work`` in the background, with the caller's context.

    Args:
        work: Runs as a task.
        name: The task's.
        failed: Is given whatever ``work`` raises.
    """
    if _on_trio():
        import trio

        context = contextvars.copy_context()
        trio.lowlevel.spawn_system_task(_run_reported, work, failed, name=name, context=context)
        return
    import asyncio

    task = asyncio.get_running_loop().create_task(_run_reported(work, failed), name=name)
    _tasks.add(task)  # the loop itself keeps only a weak reference
    task.add_done_callback(_let_go)


_tasks: set[Any] = set()


def _let_go(task: Any) -> None:
    """Drop a task that is done; what it has raised was reported, and asyncio need not log it as well."""
    _tasks.discard(task)
    if not task.cancelled():
        task.exception()


async def _run_reported(work: Work, failed: Failed) -> None:
    try:
        await work()
    except BaseException as exc:
        failed(exc)
        # These two end a loop of asyncio at once; out of a task of trio they would be an internal error.
        ends_loop = isinstance(exc, KeyboardInterrupt | SystemExit) and not _on_trio()
        # One that the task's own code has raised is no loop's affair either.
        if ends_loop or (is_cancellation(exc) and not isinstance(exc, GeneratorExit)):
            raise


def start_loop(library: str, work: Work, failed: Failed, transport: str) -> None:
    """Run ``work`` in a new event loop, in a thread that ends with it, with the caller's context.

    Args:
        library: ``asyncio`` or ``trio``.
        work: Runs as the loop's main task.
        failed: Is given whatever ``work`` raises, and what keeps the loop from running it.
        transport: The name of the transport that it is for.

    Raises:
        NetworkError: There is no thread to be had.
        ConfigurationError: The library cannot run in this process.
    """
    monkey = sys.modules.get("gevent.monkey")
    if library == "trio" and monkey is not None and monkey.is_module_patched("select"):
        raise ConfigurationError(_PATCHED_SELECT.format(transport))
    context, own = contextvars.copy_context(), threading.get_native_id()
    target = functools.partial(_run_in_thread, context, library, work, failed, transport, own)
    with needs_thread(f"run the transport {transport!r}"):
        if (start := _thread_starter(monkey)) is not None:
            start(target, ())
        else:
            threading.Thread(target=target, name=f"runagent-{transport}", daemon=True).start()


def _run_in_thread(
    context: contextvars.Context, library: str, work: Work, failed: Failed, transport: str, starter: int
) -> None:
    try:
        if threading.get_native_id() == starter:  # under eventlet, for example
            raise ConfigurationError(_SAME_THREAD.format(transport))
        context.run(_run_loop, library, work)
    except BaseException as exc:  # noqa: BLE001  # reported to the reader, whose thread is another one
        failed(exc)


def _thread_starter(monkey: Any) -> Callable[[Callable[[], None], tuple[()]], object] | None:
    """Return what starts a thread of the operating system if gevent makes greenlets of all others.

    Greenlets share one thread, in which only one event loop can run.
    """
    if monkey is None or not monkey.is_module_patched("threading"):
        return None
    start: Callable[[Callable[[], None], tuple[()]], object]
    start = monkey.get_original("_thread", "start_new_thread")
    return start


def _run_loop(library: str, work: Work) -> None:
    if library == "trio":
        import trio

        trio.run(work)
    else:
        import asyncio

        asyncio.run(work())
