"""Functions that compute replies on a memory network: in the reader's thread, on virtual time."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from runagent_testing._host.answers import Pending
from runagent_testing._internal.clock import now
from runagent_testing._internal.log import log_warning
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._memory.loop import VirtualTimeLoop
from runagent_testing._script.computed import END, Gathering, failure_of, place_of_thread
from runagent_testing._script.steps import Delay

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from runagent_testing._host.parsed import Answer
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._script.computed import Computed

__all__ = ["answered"]

__tracebackhide__ = is_ours

_SLOW = 1.0  # seconds that a function may block the reader's thread before a warning names it


def answered(pending: Pending) -> Answer:
    """Call the function, or several in turn, and make the answer of the steps of the last one."""
    answer: Answer | Pending = pending
    while isinstance(answer, Pending):
        answer = _asked(answer)
    return answer


def _asked(pending: Pending) -> Answer | Pending:
    source = _Source(pending.computed)
    try:
        steps = source.ask(pending.exchange)
        if isinstance(steps, tuple):
            source.close()
            return pending.answer(steps)
        gathering = Gathering(plain=pending.is_plain)
        while gathering.needs_more and (step := source.next_now()) is not END:
            gathering.add(step)
    except Exception as exc:  # noqa: BLE001 - the test's function may raise anything
        source.close()
        return pending.failed(exc)
    if gathering.is_whole or not gathering.steps:
        source.close()
        return pending.answer(tuple(gathering.steps))
    return pending.stream(gathering.steps[0], source)


class _Source:
    """A `runagent_testing._script.computed.Source`."""

    def __init__(self, computed: Computed) -> None:
        self._computed = computed
        self._steps: Any = None
        self._ready: deque[Any] = deque()
        self._loop: VirtualTimeLoop | None = None
        self._is_named = False

    def ask(self, exchange: Exchange) -> Any:
        """Call the function; the virtual time that it waits becomes a delay before its steps."""
        given = self._timed(lambda: self._computed.function(exchange))
        waited = 0.0
        if inspect.isawaitable(given):
            given, waited = self._waited(given)
        rows = self._computed.rows(given)
        first = [Delay(waited)] if waited else []
        if isinstance(rows, tuple):
            return (*first, *rows)
        self._steps = rows
        self._ready.extend(first)
        return rows

    def next_now(self) -> Any:
        """See `runagent_testing._script.computed.Source`."""
        if self._ready:
            return self._ready.popleft()
        if not hasattr(self._steps, "__anext__"):
            return self._timed(lambda: next(self._steps, END))
        step, waited = self._waited(anext(self._steps, END))
        if not waited:
            return step
        self._ready.append(step)
        return Delay(waited)

    async def next(self) -> Any:
        """See `runagent_testing._script.computed.Source`."""
        return self.next_now()

    @property
    def has_ended(self) -> bool:
        """See `runagent_testing._script.computed.Source`."""
        return False

    def close(self) -> None:
        """See `runagent_testing._script.computed.Source`."""
        steps, self._steps = self._steps, iter(())
        if hasattr(steps, "aclose"):
            self._waited(steps.aclose())
        elif hasattr(steps, "close"):
            self._timed(steps.close)
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _timed(self, work: Callable[[], Any]) -> Any:
        began = now()
        try:
            return work()
        except GeneratorExit as exc:
            raise failure_of(exc) from exc
        finally:
            if now() - began > _SLOW and not self._is_named:
                self._is_named = True
                log_warning(
                    f"{self._computed.method} with {self._computed.name} blocked the reader's thread for "
                    f"{now() - began:.1f} s; on a memory network, return "
                    "delay(...) instead of waiting"
                )

    def _waited(self, awaitable: Awaitable[Any]) -> tuple[Any, float]:
        """Run an asyncio awaitable on a separate loop, as the reader's may be another library's.

        Returns:
            The result, and the virtual seconds that it has waited.

        Raises:
            TimeoutError: It has not returned in time.
        """
        if self._loop is None:
            self._loop = VirtualTimeLoop()
        loop, began = self._loop, self._loop.time()
        outcome: list[asyncio.Future[Any]] = []

        def work() -> None:
            outcome.append(task := loop.create_task(_awaited(awaitable)))
            with contextlib.suppress(BaseException):  # the task keeps it
                loop.run_until_complete(task)
            if self._loop is not loop:
                loop.close()

        thread = threading.Thread(target=work, name="fake-agent-responds", daemon=True)
        thread.start()
        thread.join(self._computed.timeout)
        if thread.is_alive():
            self._loop = None
            place = place_of_thread(thread.ident, self._computed.function)
            loop.call_soon_threadsafe(outcome[0].cancel)
            raise TimeoutError(self._computed.is_late(place))
        try:
            return outcome[0].result(), loop.time() - began
        except GeneratorExit as exc:
            raise failure_of(exc) from exc


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
