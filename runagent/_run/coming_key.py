"""The key of an attempt that an async function gives: asked once, however often a read is cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._internal.tracebacks import is_ours
from runagent._net.tasks import Scope, Wakeup, new_scope, spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["ComingKey"]

__tracebackhide__ = is_ours

_TIDY_SECONDS = 1.0
_NEVER = float("inf")


class ComingKey:
    """A key that is awaited in a task, which goes on if the reader is cancelled.

    Args:
        coming: Gives the key.
    """

    def __init__(self, coming: Awaitable[str]) -> None:
        self._coming = coming
        self._wakeup = Wakeup()
        self._scope: Scope | None = None
        self._over = self._cancelled = False
        self._key: str | None = None
        self._error: BaseException | None = None
        spawn(self._work, "runagent-api-key", self._failed)

    async def wait(self, seconds: float) -> str | None:
        """Return the key, or None if it has not come within the time or is not wanted any more.

        Raises:
            BaseException: What the function raised.
        """
        if not self._over:
            await self._wakeup.wait(None if seconds == _NEVER else max(0.0, seconds))
        if not self._over:
            self.cancel()
            await self._wakeup.wait(_TIDY_SECONDS)
        error, self._error = self._error, None
        if error is None:
            return self._key
        try:
            raise error
        finally:
            del error  # otherwise its traceback keeps this frame, and this frame the error

    def cancel(self) -> None:
        """End the task, from any thread; a reader that waits gets no key."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    async def _work(self) -> None:
        self._scope = new_scope()
        if not self._cancelled:
            await self._scope.run(self._take)
        self._end()

    async def _take(self) -> None:
        self._key = await self._coming

    def _failed(self, error: BaseException) -> None:
        error.__traceback__ = None
        self._error = error
        if isinstance(error, GeneratorExit):  # as Python does with a StopIteration
            self._error = RuntimeError("the function that gives the key raised GeneratorExit")
            self._error.__cause__ = error
        self._end()

    def _end(self) -> None:
        self._over = True
        self._wakeup.wake()
