"""Server-sent events, as the WHATWG specifies them (HTML §9.2.6, "Interpreting an event stream").

Lines end at CR, LF or CRLF and nowhere else. Invalid UTF-8 becomes U+FFFD. An event that the stream's end
cuts off is dropped, as specified; ``incomplete`` is then True.
"""

from __future__ import annotations

from runagent._errors import StreamLimitError
from runagent._internal.tracebacks import is_ours
from runagent._limits import Limits
from runagent._public import publish
from runagent._wire.sse_forms import EventRow, ServerSentEvent, has_ends, split_numbered, take_alike

__all__ = ["EventRow", "SSEDecoder", "ServerSentEvent"]

__tracebackhide__ = is_ours

_EVENT, _DATA = b"event: ", b"data: {"
_DATA_LINE, _LF = b"data: ", 10
_SHORT_BYTES = 4096  # a longer read is not tried as a single event
_ROWS = 2  # in one read: the stream's first event, and its chunks
_BOM = b"\xef\xbb\xbf"
_MAX_RETRY_DIGITS = 15
_STRAY_BYTES = 8 * 1024


class SSEDecoder:
    """Decode an event stream, received in pieces of any size, into events.

    Args:
        max_event_bytes: The most bytes of one event's lines, or of one line without an end; more
            sets ``error``.

    Attributes:
        last_event_id: The ``Last-Event-ID`` of a reconnect: the id at the last blank line.
        retry: The latest reconnection time that the stream asked for, in milliseconds.
        comments: Comment lines so far; servers send them as heartbeats.
        stray: The last lines that are not fields, 8 KiB at most, joined by LF. An error that the server wrote
            into the stream without the event format is among them.
        error: Why no more events will come, or None.
    """

    def __init__(self, *, max_event_bytes: int = Limits().max_event_bytes) -> None:
        self.last_event_id = ""
        self.retry: int | None = None
        self.comments = 0
        self.stray = bytearray()
        self.error: StreamLimitError | None = None
        self._max = max_event_bytes
        self._at_start = True
        self._end = b"\n"  # the line end of the last read
        self._opening = b""  # how the events of the last row begin, with these line ends
        self._skip_lf = False  # the last line ended in CR: an LF that follows belongs to it
        self._tail = bytearray()  # the line that has no end yet
        self._between = True  # the next byte begins an event
        self._short = min(max_event_bytes, _SHORT_BYTES)
        self._clear_event()

    def _clear_event(self) -> None:
        self._data: list[bytes] = []
        self._event = b""
        self._id: str | None = None
        self._event_retry: int | None = None
        self._dirty = False
        self._size = 0

    @property
    def incomplete(self) -> bool:
        """Whether the stream, if it ended here, would end inside an event."""
        return self._dirty or bool(self._tail and not self._tail.startswith(b":"))

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes and return the events that they complete.

        Raises:
            StreamLimitError: An earlier call has set ``error``.
        """
        if self.error:
            raise self.error
        if self._at_start:
            data = self._strip_bom(data)
        data = self._without_rest(data)
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        complete, newline, tail = data.rpartition(b"\n")
        events = self._take_lines(complete) if newline else []
        self._keep_tail(tail)
        self._between = not (self._dirty or self._tail or self._skip_lf or self.error)
        return events

    def begins_event(self, size: int) -> bool:
        """Whether the next byte begins an event, which may have so many bytes."""
        return self._between and size <= self._max

    def peek_event(self, event: bytes, data: bytes) -> bytes | None:
        """Return the data of the next bytes if they are exactly one event of a type, without its decoding.

        Events that are written one by one mostly arrive so. If this returns data, the bytes need not go to
        any other method: an event of this form leaves the decoder in the state it had before. If it returns
        None, they go to ``feed_rows``.

        Args:
            event: The line with the event's type, for example ``b"event: chunk"``.
            data: The next bytes.

        Returns:
            The event's data line. For ``event: chunk\\ndata: {"a": 1}\\n\\n`` that is ``{"a": 1}``. None if
            the bytes are anything else.
        """
        if not self._between or len(data) > self._short or not data.startswith(event):
            return None
        lines = data.splitlines()
        if len(lines) == 3:
            first, line, blank = lines
            # A CR at the end may be half of a CRLF, so that the event would not end here.
            if first == event and not blank and line[:6] == _DATA_LINE and data[-1] == _LF:
                self._at_start = False
                return line[6:]
        return None

    def feed_rows(self, data: bytes) -> list[EventRow | ServerSentEvent]:
        """Do what ``feed`` does, but return events that are alike as one row.

        Streams mostly consist of events of the two lines ``event: NAME`` and ``data: {...}``, perhaps with an
        id behind them. Up to two rows of them are cut out with a few searches, whatever their length; all
        other bytes go through ``feed``. Events with ids are returned one by one.

        Invariant: the events of the rows and the single events are, in their order, those that ``feed`` would
        return, and both methods leave the decoder in the same state. Each row begins with a new event
        (``_between``).

        Raises:
            StreamLimitError: An earlier call has set ``error``.
        """
        found: list[EventRow | ServerSentEvent] = []
        for part in self._feed_parts(data):
            found += part if isinstance(part, list) else [part]
        return found

    def feed_apart(self, data: bytes) -> list[ServerSentEvent]:
        """Do what ``feed`` does, in the way of ``feed_rows``: with less CPU in bursts.

        Raises:
            StreamLimitError: An earlier call has set ``error``.
        """
        found: list[ServerSentEvent] = []
        for part in self._feed_parts(data):
            found += part if isinstance(part, list) else part.apart()
        return found

    def _feed_parts(self, data: bytes) -> list[EventRow | list[ServerSentEvent]]:
        if self.error:
            raise self.error
        found: list[EventRow | list[ServerSentEvent]] = []
        data = self._without_rest(data)
        end = b"\r\n" if b"\r" in data else b"\n"
        if end != self._end:
            self._end, self._opening = end, b""
        blank = end + end
        if (self._dirty or self._tail) and blank in data:
            first, _, data = data.partition(blank)  # the end of the event under way, or of the next
            found.append(self.feed(first + blank))
        if self._between and len(data) <= self._max:
            for _ in range(_ROWS):
                part, data = self._split_row(data)
                if part is None:
                    break
                found.append(part)
                if not data:
                    break
        if data and not self.error:
            found.append(self.feed(data))
        return found

    def _split_row(self, data: bytes) -> tuple[EventRow | list[ServerSentEvent] | None, bytes]:
        """Cut a row off the start of ``data``; None if no row of whole events begins it.

        A CR is in ``data`` only if its line end is CRLF.
        """
        # The opening is an event's bytes up to the "{" of its data; the joint of two events is "}\n\n" and
        # the opening. For example, in the bytes
        #
        #     event: chunk\ndata: {"a": 1}\n\nevent: chunk\ndata: {"a": 2}\n\nevent: do
        #
        # the opening is "event: chunk\ndata: {", the row ends at the first "\n\n" after the last joint, and
        # its lines are {"a": 1}\n{"a": 2}. Invariant: a row has three line ends an event, one between its
        # lines and two at its end, and no other. So it holds no further line, and no field can be missed.
        blank, opening = self._end + self._end, self._opening
        if not (opening and data.startswith(opening)):  # most rows are like the one before
            stop = data.find(self._end) if data.startswith(_EVENT) else -1
            if stop < 0:  # a line of another form, or no whole one: nothing is copied
                return None, data
            opening = data[:stop] + self._end + _DATA
            if stop == len(_EVENT) or not data.startswith(opening):
                return self._split_numbered(data)
            self._opening = opening
        between = b"}" + blank + opening
        last = data.rfind(between)
        end = data.find(blank, last + len(between) if last >= 0 else 0)
        if end < 0:
            end = last + 1  # the last event is incomplete: the row ends with the one before it
        lines, count = data[len(opening) - 1 : end], 1
        if last >= 0:
            whole, lines = len(lines), lines.replace(between, b"}\n{")
            count += (whole - len(lines)) // (len(between) - 3)  # the joints
        # Three line ends an event; two of the last event's are behind `end`.
        if not lines.endswith(b"}") or not has_ends(data, self._end, 3 * count - 2, end):
            return self._split_numbered(data)
        self._at_start = False
        event = opening[len(_EVENT) : -len(self._end + _DATA)]
        return EventRow(event, lines, count, self.last_event_id), data[end + len(blank) :]

    def _split_numbered(self, data: bytes) -> tuple[list[ServerSentEvent] | None, bytes]:
        events, rest = split_numbered(data, self._end)
        if not events:
            return None, data
        self._at_start, self.last_event_id = False, events[-1].id
        return events, rest

    def flush(self) -> list[ServerSentEvent]:
        """End the event under way as if its blank line had come; use it only to look for an error in it."""
        return [] if self.error else self.feed(b"\n\n\n")

    def close(self) -> None:
        """Take note that no more bytes will come; an event without its blank line is dropped.

        Raises:
            StreamLimitError: An earlier ``feed`` has set ``error``.
        """
        if self.error:
            raise self.error

    def _without_rest(self, data: bytes) -> bytes:
        """Leave out the LF of a CRLF whose CR came before."""
        if self._skip_lf and data:
            self._skip_lf = False
            self._between = not (self._dirty or self._tail)
            return data.removeprefix(b"\n")
        return data

    def _strip_bom(self, data: bytes) -> bytes:
        start = bytes(self._tail) + data
        self._tail.clear()
        if len(start) < len(_BOM) and _BOM.startswith(start):
            return start  # perhaps half of a mark: the caller keeps it until more bytes come
        self._at_start = False
        return start.removeprefix(_BOM)

    def _keep_tail(self, tail: bytes) -> None:
        if tail and not self.error:
            self._tail += tail
            self._check_size(len(self._tail))

    def _check_size(self, pending: int) -> None:
        if self._size + pending > self._max:
            self.error = StreamLimitError(
                f"a server-sent event is larger than {self._max} bytes",
                hint="raise max_event_bytes to accept it",
                limit_name="max_event_bytes",
                limit=self._max,
            )

    def _take_lines(self, complete: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        if self._tail:
            complete = b"".join((self._tail, complete))
            self._tail = bytearray()  # a new one, as a cleared one would keep its memory
        if not self._dirty and len(complete) <= self._max:
            left = take_alike(complete, self.last_event_id, events)
            self.last_event_id = events[-1].id if events else self.last_event_id
            lines = complete.rsplit(b"\n", left)[-left:] if left else []
        else:
            lines = complete.split(b"\n")
        for line in lines:
            if line:
                self._take_line(line)
                if self.error:
                    break
            elif self._dirty:
                self._dispatch(events)
        return events

    def _take_line(self, line: bytes) -> None:
        if self._size + len(line) > self._max:
            self._check_size(len(line))
            return
        name, _, value = line.partition(b":")
        if not name:
            self.comments += 1
            return
        self._dirty = True
        if value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._size += len(line)
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            self._event_retry = self.retry = int(value.lstrip(b"0")[:_MAX_RETRY_DIGITS] or b"0")
        elif name != b"retry":
            self._keep_stray(line)

    def _keep_stray(self, line: bytes) -> None:
        """Keep the last lines that are not fields."""
        if len(self.stray) + len(line) >= _STRAY_BYTES:
            self.stray.clear()
        self.stray += line[:_STRAY_BYTES] + b"\n"

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if self._id is not None:
            self.last_event_id = self._id
        if self._data:
            events.append(
                ServerSentEvent(
                    self._event.decode("utf-8", "replace") or "message",
                    b"\n".join(self._data).decode("utf-8", "replace"),
                    self.last_event_id,
                    self._event_retry,
                    self._id is not None,
                )
            )
        self._clear_event()


publish(SSEDecoder, ServerSentEvent, module="runagent.transports")
