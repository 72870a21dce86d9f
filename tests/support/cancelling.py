"""Cancelling at the n-th wait, for every n: what a user's timeout may hit, in the order of its chances."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

__all__ = ["Moment", "cancelled_at"]

Moment = Literal["waiting", "woken"]


class _Stepping:
    """Awaits a coroutine, and interferes at its n-th wait."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], n: int, cancel: Callable[[], object], moment: Moment
    ) -> None:
        self._coroutine = coroutine
        self._n = n
        self._cancel = cancel
        self._moment = moment

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        step: Callable[[], Any] = partial(next, steps)
        waits = 0
        while True:
            try:
                wish = step()
            except StopIteration as done:
                return done.value
            waits += 1
            if waits == self._n and self._moment == "waiting":
                self._cancel()
            try:
                value = yield wish
            except BaseException as exc:  # noqa: BLE001  # handed on, whatever it is
                step = partial(steps.throw, exc)
            else:
                woken = waits == self._n and self._moment == "woken"
                step = partial(steps.throw, asyncio.CancelledError()) if woken else partial(steps.send, value)


async def cancelled_at(
    n: int, function: Callable[[], Coroutine[Any, Any, Any]], library: str, moment: Moment = "waiting"
) -> bool:
    """Run a function and cancel it at its n-th wait; False if it came to its end before.

    Args:
        n: From 1.
        function: What is run.
        library: "trio", or anything else for asyncio.
        moment: "waiting" while it waits; "woken" when what it waited for has come and it has not gone on
            yet, which asyncio allows.
    """
    if library == "trio":
        with trio.CancelScope() as scope:
            await _Stepping(function(), n, scope.cancel, moment)
        return scope.cancelled_caught
    task = asyncio.current_task()
    assert task is not None
    try:
        await _Stepping(function(), n, task.cancel, moment)
    except asyncio.CancelledError:
        task.uncancel()
        return True
    return False
