"""Sessions whose body is lines of JSON, for the protocols of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._errors import ProtocolError, RunAgentError
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._wire.jsontext import quote_value
from runagent._wire.ndjson import NDJSONDecoder
from runagent.transports._base import Wants
from runagent.transports._content_session import ContentSession
from runagent.transports._error_objects import decode_object
from runagent.transports._media import is_lines

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event

__all__ = ["LineStreamSession"]

__tracebackhide__ = is_ours


class LineStreamSession(ContentSession):
    """A streamed run over lines of JSON objects; a subclass defines ``make_request`` and ``take``.

    A line for which `is_error` is true fails the run with the error of `make_error`. The last line may lack
    its line end.

    Attributes:
        decoder: Turns the body into values.
    """

    expects = "application/x-ndjson"

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None = None) -> None:
        super().__init__(call, route, resume)
        self.decoder = NDJSONDecoder(max_line_bytes=call.limits.max_event_bytes)

    def open_body(self, content_type: str, charset: str) -> bool:
        """Accept lines of JSON under each of their media types."""
        return is_lines(content_type)

    def read_body(self, data: bytes) -> list[Event]:
        """Return the events that the bytes complete, up to the line that ends the run."""
        events: list[Event] = []
        self.take_each(self.decoder.feed(data), events)
        if self.decoder.error is not None:
            self.fail(self.decoder.error)
        return events

    def end_body(self, proven: bool) -> list[Event]:
        """Take a last line without its end; then see `ContentSession.end_body`."""
        events: list[Event] = []
        try:
            self.take_each(self.decoder.close(), events)
            if self.wants is Wants.READ and not self.following:
                events += super().end_body(proven)
        except RunAgentError as exc:
            self.fail(exc)
        return events

    def take(self, line: dict[str, Any], events: list[Event]) -> None:
        """See `ContentSession.take`; never called for a line that is an error."""
        raise NotImplementedError

    def _take_checked(self, item: Any, events: list[Event]) -> None:
        if not isinstance(item, dict):
            raise ProtocolError(f"a line of the stream is not an object: {quote_value(item)}")
        if self.is_error(item):
            raise self.make_error(item)
        self.take(item, events)

    def hidden_error(self) -> RunAgentError | None:
        """Return the error in a last line without its end, or None."""
        message = decode_object(self.decoder.partial_line)
        return self.make_error(message) if self.is_error(message) else None


publish(LineStreamSession, module="runagent.transports")
