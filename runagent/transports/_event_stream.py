"""Sessions whose body is server-sent events, for the protocols of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._errors import ProtocolError, RunAgentError
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._wire.jsontext import InvalidJSONError, decode_json
from runagent._wire.sse import ServerSentEvent, SSEDecoder
from runagent.transports._base import Wants
from runagent.transports._content_session import ContentSession

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event

__all__ = ["EventStreamSession"]

__tracebackhide__ = is_ours


class EventStreamSession(ContentSession):
    """A streamed run over server-sent events; a subclass defines ``make_request`` and ``take``.

    An event named ``error`` fails the run with the error of `make_error`. If the stream breaks off, the
    unfinished event and lines that are not fields are searched for the service's error, too: some gateways
    write it so.

    Attributes:
        decoder: Turns the body into events; ``decoder.incomplete`` is whether it ends inside of one.

    Example:
        >>> class Session(EventStreamSession):
        ...     end_marker = "done"
        ...
        ...     def make_request(self):
        ...         path = self.call.path("/ask", "stream_path")
        ...         return post_json(self.call, path, self.call.input, accept=self.expects)
        ...
        ...     def take(self, event, events):
        ...         if event.event == "done":
        ...             self.complete(events)
        ...         else:
        ...             self.add_text(event.data, events)
    """

    expects = "text/event-stream"

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None = None) -> None:
        super().__init__(call, route, resume)
        self.decoder = SSEDecoder(max_event_bytes=call.limits.max_event_bytes)

    def open_body(self, content_type: str, charset: str) -> bool:
        """Accept an event stream, which is UTF-8 whatever its charset parameter is."""
        return content_type == "text/event-stream"

    def read_body(self, data: bytes) -> list[Event]:
        """Return the events that the bytes complete, up to the one that ends the run."""
        events: list[Event] = []
        self.take_each(self.decoder.feed_apart(data), events)
        if self.decoder.error is not None and self.wants is Wants.READ and not self.following:
            self.fail(self.decoder.error)
        return events

    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        """See `ContentSession.take`; never called for an event named ``error``."""
        raise NotImplementedError

    def hidden_error(self) -> RunAgentError | None:
        """Return the error in the unfinished event or in lines that are not fields, or None."""
        found: RunAgentError | None = None
        for event in self.decoder.flush():
            message = _decode(event.data)
            if isinstance(message, dict) and (event.event == "error" or self.is_error(message)):
                found = self.make_error(message)
        return self._stray_error() or found

    def _take_checked(self, item: ServerSentEvent, events: list[Event]) -> None:
        if item.event == "error":
            message = _decode(item.data)
            raise self.make_error(message if isinstance(message, dict) else {"message": item.data})
        self.take(item, events)

    def _stray_error(self) -> RunAgentError | None:
        """Find an error in lines that are not fields, in one of them or in all together; count the rest."""
        text = bytes(self.decoder.stray).strip()
        for part in (text, *text.splitlines()) if text else ():
            message = _decode(part)
            if isinstance(message, dict) and self.is_error(message):
                return self.make_error(message)
        for line in text.splitlines():
            if fault := _undecodable(line):
                return ProtocolError(f"a line of the stream that is no field is {fault}")
            self.leave_out("a line that is no field", line.decode("utf-8", "replace"))
        return None


def _decode(text: bytes | str) -> Any:
    try:
        return decode_json(text)
    except InvalidJSONError:
        return None


def _undecodable(text: bytes) -> str:
    """Return why a text that may be JSON is too large to be decoded; "" for any other text."""
    try:
        decode_json(text)
    except InvalidJSONError as exc:
        return str(exc) if exc.undecodable else ""
    return ""


publish(EventStreamSession, module="runagent.transports")
