"""Notices that the browser has left, also while nothing is written to it: one task for each answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from runagent._net.loops import current_loop
from runagent._net.tasks import current_library, spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent._run.async_stream import AsyncStream

    Receive = Callable[[], Awaitable[dict[str, Any]]]

__all__ = ["Watcher", "watch"]

_PATIENCE_SECONDS = 1.0  # with a server that does not end a cancelled wait
_TURNS = 5  # of the event loop, until a message that is ready has come
_GONE = ("http.disconnect", "websocket.disconnect")


class Watcher:
    """Receives what the browser sends, until it leaves; `watch` makes it.

    Attributes:
        left: The browser has left.
    """

    __slots__ = ("_asked", "_receive", "_stream", "left")

    def __init__(self, receive: Receive, stream: AsyncStream) -> None:
        self.left = self._asked = False
        self._receive = receive
        self._stream = stream

    async def stop(self) -> None:
        """End the task and wait for its end."""
        raise NotImplementedError

    async def is_asked(self) -> bool:
        """Whether a WebSocket waits for its acceptance, a message that servers have ready at the start."""
        network = (await current_loop()).network
        for _ in range(_TURNS):
            if self._asked:
                break
            await network.checkpoint()
        return self._asked

    async def _watch(self) -> None:
        try:
            while (kind := (await self._receive())["type"]) not in _GONE:
                self._asked = self._asked or kind == "websocket.connect"
        except Exception:  # noqa: BLE001  # servers raise what they like for a browser that has left
            pass
        self.left = True
        await self._stream.aclose()


class _AioWatcher(Watcher):
    __slots__ = ("_task",)

    def __init__(self, receive: Receive, stream: AsyncStream) -> None:
        super().__init__(receive, stream)
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="runagent-relay")

    async def stop(self) -> None:
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=_PATIENCE_SECONDS)


class _TrioWatcher(Watcher):
    def __init__(self, receive: Receive, stream: AsyncStream) -> None:
        import trio

        super().__init__(receive, stream)
        self._scope, self._ended = trio.CancelScope(), trio.Event()
        spawn(self._work, "runagent-relay", self._failed)

    async def _work(self) -> None:
        try:
            with self._scope:
                await self._watch()
        finally:
            self._ended.set()

    def _failed(self, error: BaseException) -> None:
        """Take whatever ends the task for the browser's leaving."""
        self.left = True

    async def stop(self) -> None:
        import trio

        self._scope.cancel()
        with trio.move_on_after(_PATIENCE_SECONDS):
            await self._ended.wait()


def watch(receive: Receive, stream: AsyncStream) -> Watcher:
    """Begin to watch, in the running event loop.

    Args:
        receive: ASGI's, or any function that returns a message with its ``type``.
        stream: Closed once the browser has left.
    """
    return _TrioWatcher(receive, stream) if current_library() == "trio" else _AioWatcher(receive, stream)
