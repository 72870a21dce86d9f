"""The relay of a `Stream`: a WSGI application (PEP 3333)."""

from __future__ import annotations

from http.client import responses
from typing import TYPE_CHECKING, Any, Self

from runagent._errors import ConfigurationError, RunAgentError
from runagent._internal.foreign import let_signals_through
from runagent._public import publish
from runagent._run.stream import Stream
from runagent.relay._core import Opening, RelayCore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Relay"]

_NO_WEBSOCKET = "format='websocket' needs ASGI: WSGI has no WebSockets; stream with AsyncRunAgentClient"


class Relay(RelayCore[Stream]):
    """The answer to a browser for one `Stream`; `relay` makes it.

    It is a WSGI application. Flask, and every framework that takes one as the answer of a view, gets it as it
    is; Django gets ``django()``. It answers one request.

    The browser's leaving shows only when a write fails, and the first write after it still succeeds. So it
    frees the agent within two heartbeats.
    """

    def __init__(self, stream: Stream, *arguments: Any) -> None:
        super().__init__(stream, *arguments)
        if self.format == "websocket":
            raise ConfigurationError(_NO_WEBSOCKET)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request.

        Waits until the service has accepted the run; what it returns is iterated by the server.

        Raises:
            RuntimeError: The relay has answered another request, or its stream was read or closed.
        """
        head = self._open(environ.get("REQUEST_METHOD", "GET"), environ.get("HTTP_LAST_EVENT_ID"))
        start_response(f"{head.status} {responses.get(head.status, 'Error')}", head.headers)
        return Body(self) if head.body is None else [head.body]

    def django(self, request: Any = None) -> Any:
        """Return the response for a view of Django under WSGI, once the service has accepted the run.

        Args:
            request: The view's, for its method and ``Last-Event-ID``.
        """
        from runagent.relay._frameworks import django_facts, django_response

        head = self._open(*django_facts(request))
        return django_response(head, Body(self) if head.body is None else None)

    def _open(self, method: str, last_event_id: str | None) -> Opening:
        """Return the head of the answer, once it is known; one with a body has ended the stream."""
        self._claim()
        head = None
        try:
            head = self._before_the_run(method, last_event_id) or self._accepted()
        finally:
            if head is None or head.body is not None:
                self._stream.close()
        return head

    def _accepted(self) -> Opening:
        stream = self._stream
        try:
            stream.accepted()
            while self._lacks_proof():
                batch = stream._next_batch(None)
                if batch is None:
                    break
                self._held = [*self._held, *batch]
        except RunAgentError as exc:
            return self._refuse_for(exc)
        return self._accept()


class Body:
    """What is written behind the head: the bytes for each read, and the heartbeats."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._next = relay._writer.opening

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        relay = self._relay
        if opening := self._next:
            self._next = b""
            return opening
        try:
            while not relay._ended:
                if frames := self._read():
                    return b"".join(frames)
            relay._stream._next_batch(None)  # the run is over once its end was asked for
        except BaseException:
            relay._stream.close()
            raise
        raise StopIteration

    def close(self) -> None:
        """Free the agent; WSGI servers call it however the answer ends."""
        self._relay._stream.close()

    def _read(self) -> list[bytes]:
        relay = self._relay
        try:
            if relay._held:
                held, relay._held = relay._held, ()
                return relay._frames(held)
            batch = relay._stream._next_batch(relay._patience)
            return relay._failure(None) if batch is None else relay._frames(batch)
        except Exception as exc:  # noqa: BLE001  # every answer ends with done or error
            let_signals_through(exc)
            relay._stream.close()  # a fault in the gateway leaves the run as it is
            return relay._failure(exc)


publish(Relay, module="runagent.relay")
