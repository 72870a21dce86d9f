"""How a stream becomes head and body of an answer, in an event loop; `_sync` has the same for WSGI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from runagent._errors import RunAgentError
from runagent._internal.foreign import let_signals_through
from runagent._run.async_stream import EVENTS_PER_CHECKPOINT, AsyncStream
from runagent.relay._core import Opening, RelayCore
from runagent.relay._refusals import LEFT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from runagent._events import Event
    from runagent.relay._watcher import Watcher

    Send = Callable[[dict[str, Any]], Awaitable[None]]

__all__ = ["AsyncAnswer", "AsyncBody", "Send"]


class AsyncAnswer(RelayCore[AsyncStream]):
    """The answer for an `AsyncStream`, for any kind of server."""

    __slots__ = ()

    async def leave(self) -> None:
        """Free the agent; does nothing if the stream is over."""
        await self._stream.aclose()

    async def open(self, method: str, last_event_id: str | None, watcher: Watcher | None = None) -> Opening:
        """Return the head of the answer, once it is known; one with a body has ended the stream."""
        head = None
        try:
            head = self._before_the_run(method, last_event_id) or await self._accepted(watcher)
        finally:
            if head is None or head.body is not None:
                await self._stream.aclose()
        return head

    async def _accepted(self, watcher: Watcher | None) -> Opening:
        stream = self._stream
        try:
            await stream.accepted()
            self._held = stream._take_rest()
            while self._lacks_proof():
                batch = await stream._next_batch(None)
                if batch is None:
                    break
                self._held = [*self._held, *batch]
        except Exception as exc:
            if watcher is not None and watcher.left:
                return self._refuse(LEFT)  # which nobody reads
            if isinstance(exc, RunAgentError):
                return self._refuse_for(exc)
            raise
        return self._accept()


class AsyncBody:
    """What is written behind the head: the frames for each read, and the heartbeats.

    Args:
        relay: The relay, whose head has been sent.
        watcher: Knows whether the browser has left, if the server does not cancel the task for that.
        send: ASGI's. With it, `read` sends the frames of all reads, and returns the last ones.

    Attributes:
        broken: That ``send`` has raised.
    """

    __slots__ = ("_begun", "_opening", "_relay", "_send", "_watcher", "broken")

    def __init__(self, relay: AsyncAnswer, watcher: Watcher | None = None, send: Send | None = None) -> None:
        self._relay = relay
        self._watcher = watcher
        self._send = send
        self._opening = relay._writer.opening
        self._begun = self.broken = False

    async def read(self) -> list[bytes]:
        """Return the next frames; none at the end, or if the browser has left."""
        # In one piece, and at the stream's source, as the frame of each coroutine that waits is memory of a
        # stream, at each of thousands.
        relay, stream = self._relay, self._relay._stream
        sink = None if self._send is None else self
        if opening := self._opening:
            self._opening = b""
            return [opening]
        try:
            while not relay._ended:
                if stream._handed_out >= EVENTS_PER_CHECKPOINT:
                    stream._handed_out = 0
                    await stream._source.checkpoint()
                batch: Sequence[Event] | None = relay._held
                if batch:
                    relay._held = ()
                elif (
                    stream._over or (batch := await stream._source.next_batch(relay._patience, sink)) is None
                ):
                    return self._fail(None)
                stream._handed_out += len(batch)
                if frames := relay._frames(batch):
                    return frames
            await stream._next_batch(None)  # the run is over once its end was asked for
        except Exception as exc:  # every answer ends with done or error
            if self.broken:
                raise
            let_signals_through(exc)
            return self._fail(exc)
        except BaseException:  # also a cancellation, which frameworks have for a browser that has left
            stream._close()
            raise
        return []

    def write(self, batch: Sequence[Event]) -> Awaitable[None]:
        """Send what the events of one read become; see `Sink`."""
        relay, send = self._relay, self._send
        assert send is not None
        try:
            piece = relay._piece(batch)
        except Exception as exc:  # noqa: BLE001  # see `read`
            let_signals_through(exc)
            piece = b"".join(self._fail(exc))
        stream = relay._stream
        stream._handed_out = handed_out = stream._handed_out + len(batch)
        if not piece or handed_out >= EVENTS_PER_CHECKPOINT:
            return self._send_and_rest(send, piece)
        return send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _send_and_rest(self, send: Send, piece: bytes) -> None:
        if piece:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        stream = self._relay._stream
        if stream._handed_out >= EVENTS_PER_CHECKPOINT:
            stream._handed_out = 0
            await stream._source.checkpoint()

    async def read_messages(self) -> list[bytes]:
        """Return the next messages of a WebSocket, the first of which accepts or refuses the run."""
        relay = self._relay
        if not self._begun:
            self._begun = True
            head = await relay.open("GET", None, self._watcher)
            if head.refusal is not None:
                return relay.refusal_frames(head.refusal)
        return await self.read()

    def _fail(self, error: Exception | None) -> list[bytes]:
        """Return what ends the answer of a stream that failed; nothing if the browser has left."""
        relay = self._relay
        relay._stream._close()  # a fault in the gateway leaves the run as it is
        if relay._ended or (self._watcher is not None and self._watcher.left):
            relay._ended = True
            return []
        return relay._failure(error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if frames := await self.read():
            return b"".join(frames)
        raise StopAsyncIteration

    def close(self) -> None:
        """Free the agent; callable from any thread, as frameworks call it for a browser that has left."""
        self._relay._stream._source.drop()
