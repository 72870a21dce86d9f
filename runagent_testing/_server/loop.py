"""The event loop of a fake agent server."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.clock import now
from runagent_testing._internal.log import log_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["RealTimeLoop"]


class RealTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose timers go on while a test has frozen its dates."""

    def __init__(self) -> None:
        super().__init__()
        self.set_exception_handler(_log_error)
        self._begun: set[asyncio.Task[None]] = set()

    def time(self) -> float:
        """Return the real time."""
        return now()

    def submit(self, work: Callable[[], Coroutine[Any, Any, None] | None]) -> Future[None]:
        """Do something in the loop's thread, for another thread.

        Args:
            work: Called with a turn of the loop in between, in which it notices what has happened in the
                meantime. It returns what takes longer, or None, which costs no task.

        Returns:
            What the other thread can wait for.
        """
        done: Future[None] = Future()
        self.call_soon_threadsafe(self.call_soon, self._begin, work, done)
        return done

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None] | None], done: Future[None]) -> None:
        rest = work()
        if rest is None:
            done.set_result(None)
        else:
            task = self.create_task(_finish(rest, done))
            self._begun.add(task)
            task.add_done_callback(self._begun.discard)


async def _finish(rest: Coroutine[Any, Any, None], done: Future[None]) -> None:
    try:
        await rest
    except BaseException as exc:
        done.set_exception(exc)
        raise
    done.set_result(None)


def _log_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio reports of a callback or task; its own handler would quote what they hold."""
    log_failure(f"the fake agent server: {context['message']}", context.get("exception"))
