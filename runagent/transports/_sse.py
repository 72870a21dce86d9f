"""Server-sent events: the documented streaming API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._address.fields import header_value
from runagent._errors import ConfigurationError, ProtocolError, StreamTruncatedError
from runagent._internal.tracebacks import is_ours
from runagent._wire.http1_body import SHORT_BYTES, short_chunk_head
from runagent._wire.jsontext import quote
from runagent._wire.sse import EventRow, ServerSentEvent, SSEDecoder
from runagent.transports._base import Wants
from runagent.transports._error_objects import decode_object
from runagent.transports._messages import is_error
from runagent.transports._request import HttpRequest
from runagent.transports._rows import CHUNKS
from runagent.transports._stream import StreamSession, StreamTransport, stream_body

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._errors import RunAgentError
    from runagent._events import Chunk, Event

__all__ = ["SSESession", "SSETransport"]

__tracebackhide__ = is_ours

_CHUNK = b"event: chunk"
_LF, _CR = b"\n\r"
_READ = Wants.READ
_END = b"\n\n\r\n"  # of an event, and of the HTTP chunk that it fills


class _Shapes(dict[int, tuple[bytes, slice] | None]):
    """Maps the length of a short HTTP chunk to its shape if it is one event with a chunk in it.

    The shape is how it begins, and where the event's data is.
    """

    def __missing__(self, length: int) -> tuple[bytes, slice] | None:
        head = short_chunk_head(length)
        begin = b"" if head is None else head + _CHUNK + b"\ndata: "
        self[length] = shape = (begin, slice(len(begin), length - len(_END))) if begin else None
        return shape


_shape_of = _Shapes().__getitem__


class SSESession(StreamSession):
    """One streamed run over SSE."""

    expects = "text/event-stream"

    _at_event = False  # the next byte begins an HTTP chunk, and in it an event

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, route, resume)
        self._decoder = SSEDecoder(max_event_bytes=call.limits.max_event_bytes)

    def make_request(self) -> HttpRequest:
        """Return the request of the stream, with ``Last-Event-ID`` if the last attempt had an event id."""
        headers = self.call.request_headers(accept="text/event-stream")
        headers += [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        if self.resume and self.resume.last_event_id:
            headers += _last_event_id(self.resume)
        path = self.call.path("/v1/agents/{agent_id}/stream", "stream_path")
        return HttpRequest("POST", path, headers, stream_body(self.call, self.resume))

    def open_body(self, content_type: str, charset: str) -> bool:
        """Accept an event stream, which is always UTF-8, even if a parameter names another charset."""
        return content_type == "text/event-stream"

    def _receive_one(self, data: bytes) -> Chunk | None:
        """Return the chunk in the next bytes of the connection if that is all they bring.

        Events that are written one by one mostly arrive so, one read for one HTTP chunk that is one event.
        Invariant: `receive_data` would give the same chunk, and neither decoder would change its state. For
        example, the read ``1d\\r\\nevent: chunk\\ndata: {"a": 1}\\n\\n\\r\\n`` has the length that the head
        ``1d`` means, so it is one HTTP chunk; its data has no line end, so it is one event.

        Returns:
            None, without any effect, if the bytes have to go to `receive_data`.
        """
        if self._at_event:
            shape = _shape_of(len(data))
            if shape is not None:
                beginning, place = shape
                line = data[place]
                # One comparison costs half of `startswith` and `endswith`, which parse their arguments; and
                # looking for b"\n" in bytes first makes an exception, as it is no integer.
                if data == beginning + line + _END and _LF not in line and _CR not in line:
                    return self.messages.take_one(CHUNKS, line)
        return None

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the connection and return the events that they complete."""
        chunk = self._receive_one(data)
        if chunk is not None:
            return [chunk]
        events = super().receive_data(data)
        self._at_event = (
            self._answer.begins_chunk
            and self._reading
            and self._coding is None
            and self._decoder.begins_event(SHORT_BYTES)
            and self._decoder.last_event_id == self.messages.last_event_id
            and self.wants is _READ
        )
        return events

    def read_body(self, data: bytes) -> list[Event]:
        """Decode the events, and the messages in them."""
        messages = self.messages
        if messages.last_event_id == self._decoder.last_event_id:  # else an id has come without an event
            line = self._decoder.peek_event(_CHUNK, data)
            if line is not None and (chunk := messages.take_one(CHUNKS, line)) is not None:
                return [chunk]
        events: list[Event] = []
        for part in self._decoder.feed_rows(data):
            messages.last_event_id = part.id
            if not isinstance(part, EventRow):
                self._take_event(part, events)
            elif part.event != b"chunk" or not messages.take_row(CHUNKS, part.lines, part.count, events):
                for event in part.apart():
                    self._take_event(event, events)
            if messages.done or messages.error is not None:
                break
        self.retry_delay = self._decoder.retry and self._decoder.retry / 1000
        self.settle_messages(self._decoder.error)
        return events

    def _take_event(self, event: ServerSentEvent, events: list[Event]) -> None:
        messages = self.messages
        if messages.over:
            return
        if event.event == "message":
            messages.take_unnamed(event.data, events)
        else:
            messages.take_json(event.event, event.data, events)

    def _take_stray(self) -> None:
        """Take lines that are not fields, as some agents write their error so, in one line or in several.

        Called when the stream has broken off, so that the result does not depend on how its bytes were cut.
        """
        text = bytes(self._decoder.stray).strip()
        for line in [text] if is_error(decode_object(text)) else text.splitlines():
            if not self.messages.over:
                self.messages.leave_out_line(line)

    def hidden_error(self) -> RunAgentError | None:
        """Return the agent's error if an ignored message, a stray line or the unfinished event holds one."""
        for event in self._decoder.flush():
            message = decode_object(event.data)  # empty if the object is incomplete
            if (event.event == "error" and message) or is_error(message):
                return self.messages.error_of(message)
        self._take_stray()
        return self.messages.error or super().hidden_error()

    def end_body(self, proven: bool) -> list[Event]:
        """Raise an error, as only ``done`` ends a run well."""
        raise StreamTruncatedError("the event stream ended without a done event")


def _last_event_id(resume: ResumePoint) -> list[tuple[str, str]]:
    """Return the header field with the id as UTF-8, as the WHATWG specifies; `encode_request` writes Latin-1.

    Raises:
        ProtocolError: No header field can carry the id, and there is no index to resume at.
    """
    try:
        return [("Last-Event-ID", header_value(resume.last_event_id.encode().decode("latin-1"), "id"))]
    except ConfigurationError:
        if resume.next_index is not None:
            return []  # the body has the index
        raise ProtocolError(
            f"the stream cannot be resumed: no header field can carry its id {quote(resume.last_event_id)}"
        ) from None


class SSETransport(StreamTransport):
    """Chooses between a stream over SSE and a plain run."""

    name = "sse"
    session = SSESession
