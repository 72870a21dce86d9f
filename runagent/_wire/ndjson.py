"""Newline-delimited JSON (ndjson-spec 1.0).

A line is UTF-8 and ends in LF or CRLF. An empty line is a heartbeat and gives no value. The last line may
lack its end: ``close`` accepts it if it is a whole JSON text.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

import msgspec

from runagent._errors import ProtocolError, RunAgentError, StreamLimitError, StreamTruncatedError
from runagent._internal.tracebacks import is_ours
from runagent._limits import Limits
from runagent._public import publish
from runagent._wire.jsontext import InvalidJSONError, decode_json, is_cut_short
from runagent._wire.nesting import json_decoder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LineRow", "NDJSONDecoder"]

__tracebackhide__ = is_ours

_ROWS = 2  # in one read: the stream's first event, and its chunks
_decoder = json_decoder()
_WHITE_SPACE = b" \t\r"  # RFC 8259 §2, without the LF that ends a line


class LineRow(msgspec.Struct, frozen=True):
    """Consecutive lines that begin alike and look like JSON objects; none has been decoded.

    Attributes:
        lines: The lines, each from ``{`` to ``}``, with LF between two of them and nowhere else.
        count: The number of lines.
    """

    lines: bytes
    count: int


class NDJSONDecoder:
    """Decode an NDJSON body, received in pieces of any size, into JSON values.

    Args:
        max_line_bytes: The most bytes of one line; a longer one sets ``error``.

    Attributes:
        lines: Lines ended so far, empty ones included.
        error: Why no more values will come, or None; it names the line.
    """

    def __init__(self, *, max_line_bytes: int = Limits().max_event_bytes) -> None:
        self.lines = 0
        self.error: RunAgentError | None = None
        self._max = max_line_bytes
        self._tail = bytearray()  # the line that has no end yet

    def feed(self, data: bytes) -> list[Any]:
        """Take the next bytes and return the values of the lines that end in them.

        Raises:
            ProtocolError: An earlier call received a line that is not JSON.
            StreamLimitError: An earlier call received a line over ``max_line_bytes``.
        """
        if self.error:
            raise self.error
        complete, newline, tail = data.rpartition(b"\n")
        values = self._take_lines(complete) if newline else []
        if tail and not self.error:
            self._tail += tail
            self._check_size(len(self._tail))
        return values

    def feed_rows(self, data: bytes) -> Iterator[LineRow | list[Any]]:
        """Do what ``feed`` does, but yield lines that are alike as one undecoded row.

        Up to two rows are cut out with a few searches, whatever their length; all other bytes go through
        ``feed``. Invariant: the lines of the rows and the values are, in their order, what ``feed`` would
        return if it got all bytes; each row begins with a new line.

        Before it asks for more, the caller either decodes the row and calls ``skip``, or passes the row and a
        final LF to ``feed``.

        Raises:
            ProtocolError: An earlier call received a line that is not JSON.
            StreamLimitError: An earlier call received a line over ``max_line_bytes``.
        """
        if self._tail and b"\n" in data:
            end = data.index(b"\n") + 1
            yield self.feed(data[:end])
            data = data[end:]
        for _ in range(_ROWS):
            if not data or self._tail or self.error or len(data) > self._max:
                break
            row, data = _split_row(data)
            if row is None:
                break
            yield row
        if data and not self.error:
            yield self.feed(data)

    def skip(self, lines: int) -> None:
        """Count lines that the caller has decoded."""
        self.lines += lines

    @property
    def partial_line(self) -> bytes:
        """The line that has no end yet."""
        return bytes(self._tail)

    def close(self) -> list[Any]:
        """Take note that no more bytes will come, and return the value of a last line without LF.

        Raises:
            StreamTruncatedError: The last line is cut short.
            ProtocolError: The last line is not JSON, or an earlier ``feed`` received one that is not.
            StreamLimitError: An earlier ``feed`` received a line over ``max_line_bytes``.
        """
        if self.error:
            raise self.error
        line = self._text_of(bytes(self._tail))
        self._tail = bytearray()
        if not line:
            return []
        try:
            return [decode_json(line)]
        except InvalidJSONError as exc:
            if is_cut_short(line):
                raise StreamTruncatedError(f"the stream ended inside line {self.lines + 1}: {exc}") from None
            raise ProtocolError(f"line {self.lines + 1} of the stream is {exc}") from None

    def _check_size(self, size: int) -> bool:
        if size > self._max:
            self.error = StreamLimitError(
                f"line {self.lines + 1} is larger than {self._max} bytes",
                hint="raise max_event_bytes to accept it",
                limit_name="max_event_bytes",
                limit=self._max,
            )
        return self.error is None

    def _take_lines(self, complete: bytes) -> list[Any]:
        if self._tail:
            complete = b"".join((self._tail, complete))
            self._tail = bytearray()  # a new one, as a cleared one would keep its memory
        lines = complete.split(b"\n")
        if self.lines and len(complete) <= self._max:
            try:
                values = [_decoder.decode(line) for line in lines if line]
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                pass  # find the line that msgspec rejects, and keep the values before it
            else:
                self.lines += len(lines)
                return values
        return self._take_one_by_one(lines)

    def _take_one_by_one(self, lines: list[bytes]) -> list[Any]:
        values: list[Any] = []
        for line in lines:
            if not self._check_size(len(line)):
                break
            text = self._text_of(line)
            if text:
                try:
                    values.append(decode_json(text))
                except InvalidJSONError as exc:
                    self.error = ProtocolError(f"line {self.lines + 1} of the stream is {exc}")
                    break
            self.lines += 1
        return values

    def _text_of(self, line: bytes) -> bytes:
        """Return a line without the white space around it, the first one without a byte order mark."""
        return (line if self.lines else line.removeprefix(codecs.BOM_UTF8)).strip(_WHITE_SPACE)


def _split_row(data: bytes) -> tuple[LineRow | None, bytes]:
    """Cut a row off the start of ``data``: lines that begin as the first does, up to its first comma."""
    # For example, in the bytes
    #
    #     {"type":"chunk","n":1}\n{"type":"chunk","n":2}\n{"ty
    #
    # the shared start is {"type":"chunk", and the joint between two lines of a row is }\n{"type":"chunk",
    # There is one joint, so the row has two lines; the third is incomplete. Invariant: a row has no LF except
    # those of its joints, so each of its lines begins with the shared start.
    first = data.find(b"\n")
    comma = data.find(b",", 0, max(first, 0))
    between = b"}\n" + data[: comma + 1]
    last = data.rfind(between) if comma >= 0 else -1
    end = data.find(b"\n", last + len(between)) if last >= 0 else first
    if end < 0:
        end = last + 1  # the last line is incomplete: the row ends with the one before it
    lines = data[:end]
    count = lines.count(between) + 1 if last >= 0 else 1
    if not (lines.startswith(b"{") and lines.endswith(b"}") and lines.count(b"\n") == count - 1):
        return None, data
    return LineRow(lines, count), data[end + 1 :]


publish(NDJSONDecoder, module="runagent.transports")
