"""Notices that the browser has left, also while nothing is written to it: one task for each answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._internal.foreign import is_cancellation
from runagent._net.loops import current_loop
from runagent._net.tasks import Scope, Wakeup, new_scope, spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Watcher"]

_TURNS = 5  # of the event loop, until a message that is ready has come
_PATIENCE_SECONDS = 1.0  # with a server that does not end a cancelled wait
_GONE = ("http.disconnect", "websocket.disconnect")


class Watcher:
    """Receives what the browser sends, until it leaves.

    Args:
        receive: ASGI's, or any function that returns a message with its ``type``.
        leave: Called once the browser has left.

    Attributes:
        left: The browser has left.
    """

    def __init__(
        self, receive: Callable[[], Awaitable[dict[str, Any]]], leave: Callable[[], Awaitable[None]]
    ) -> None:
        self.left = self._asked = False
        self._receive = receive
        self._leave = leave
        self._scope: Scope | None = None
        self._stopped = self._over = False
        self._ended = Wakeup()
        spawn(self._work, "runagent-relay", self._failed)

    async def is_asked(self) -> bool:
        """Whether a WebSocket waits for its acceptance, a message that servers have ready at the start."""
        network = (await current_loop()).network
        for _ in range(_TURNS):
            if self._asked:
                break
            await network.checkpoint()
        return self._asked

    async def stop(self) -> None:
        """End the task and wait for its end."""
        self._stopped = True
        if self._scope is not None:
            self._scope.cancel()
        if not self._over:
            await self._ended.wait(_PATIENCE_SECONDS)

    async def _work(self) -> None:
        try:
            if not self._stopped:
                self._scope = new_scope()
                await self._scope.run(self._watch)
        finally:
            self._over = True
            self._ended.wake()

    async def _watch(self) -> None:
        try:
            while (kind := (await self._receive())["type"]) not in _GONE:
                self._asked = self._asked or kind == "websocket.connect"
        except Exception:  # noqa: BLE001  # servers and frameworks raise what they like for a browser that has left
            pass
        self.left = True
        await self._leave()

    def _failed(self, error: BaseException) -> None:
        """Take an error of the task itself for the browser's leaving, unless the event loop ends."""
        if not is_cancellation(error):
            self.left = True
