"""Streams over chunked HTTP: NDJSON or plain text, as the answer's content type declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._errors import ProtocolError, StreamTruncatedError
from runagent._events import Chunk, Completed, Event, Started
from runagent._internal.tracebacks import is_ours
from runagent._wire.jsontext import quote_value
from runagent._wire.ndjson import LineRow, NDJSONDecoder
from runagent._wire.plaintext import text_decoder
from runagent.transports._error_objects import decode_object
from runagent.transports._media import is_lines
from runagent.transports._messages import is_error
from runagent.transports._request import HttpRequest
from runagent.transports._rows import TYPED_CHUNKS
from runagent.transports._stream import StreamSession, StreamTransport, stream_body

if TYPE_CHECKING:
    import codecs

    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._errors import RunAgentError

__all__ = ["ChunkedSession", "ChunkedTransport"]

__tracebackhide__ = is_ours


class ChunkedSession(StreamSession):
    """One streamed run over NDJSON or plain text."""

    expects = "application/x-ndjson or text/plain"

    _text: codecs.IncrementalDecoder | None = None
    _started = False

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, route, resume)
        self._lines = NDJSONDecoder(max_line_bytes=call.limits.max_event_bytes)

    def make_request(self) -> HttpRequest:
        """Ask for NDJSON, or plain text if the agent has no NDJSON."""
        headers = self.call.request_headers(accept="application/x-ndjson, text/plain;q=0.5")
        headers.append(("Content-Type", "application/json"))
        path = self.call.path("/v1/agents/{agent_id}/stream", "stream_path")
        return HttpRequest("POST", path, headers, stream_body(self.call, self.resume))

    def open_body(self, content_type: str, charset: str) -> bool:
        """Accept NDJSON and plain text."""
        if content_type == "text/plain":
            if self.resume is not None:
                raise ProtocolError("the agent answered the rest of an NDJSON stream in plain text")
            self._text = text_decoder(charset or "utf-8")
            return True
        return is_lines(content_type)

    def read_body(self, data: bytes) -> list[Event]:
        """Decode the lines, or the text."""
        if self._text is not None:
            return self._text_events(self._text.decode(data))
        events: list[Event] = []
        for part in self._lines.feed_rows(data):
            if not isinstance(part, LineRow):
                self._take_lines(part, events)
            elif self.messages.take_row(TYPED_CHUNKS, part.lines, part.count, events):
                self._lines.skip(part.count)
            else:
                self._take_lines(self._lines.feed(part.lines + b"\n"), events)
            if self.messages.over:
                break
        self.settle_messages(self._lines.error)
        return events

    def end_body(self, proven: bool) -> list[Event]:
        """End a plain text with the body; NDJSON ends only with ``done``, which may lack its line end."""
        if self._text is not None:
            events = self._text_events(self._text.decode(b"", True))
            return [*events, Completed(proven=proven)]
        events = []
        self._take_lines(self._lines.close(), events)
        if not self.messages.over:
            raise StreamTruncatedError("the stream ended without a done message")
        self.settle_messages(None)
        return events

    def hidden_error(self) -> RunAgentError | None:
        """Return the agent's error if an ignored message holds one, or a last line without its end."""
        message = decode_object(self._lines.partial_line)
        return self.messages.error_of(message) if is_error(message) else super().hidden_error()

    def _take_lines(self, values: list[object], events: list[Event]) -> None:
        messages = self.messages
        for value in values:
            if not isinstance(value, dict):
                messages.error = ProtocolError(f"a line of the stream is not an object: {quote_value(value)}")
            else:
                messages.take_untyped(value, events)
            if messages.over:
                break

    def _text_events(self, text: str) -> list[Event]:
        events: list[Event] = [Chunk(text)] if text else []
        if events and not self._started:
            self._started = True
            events.insert(0, Started())
        return events


class ChunkedTransport(StreamTransport):
    """Chooses between a stream over chunked HTTP and a plain run."""

    name = "chunked"
    session = ChunkedSession
