"""Newline-delimited JSON (ndjson-spec 1.0), and plain text in any charset.

An empty line is a heartbeat and gives nothing. A line is UTF-8 and ends in LF or CRLF; the last
one may lack its end, which ``close`` accepts where the line is a whole JSON text.
"""

from __future__ import annotations

import codecs
from typing import Any

import msgspec

from runagent.errors import ProtocolError, RunAgentError, StreamLimitError, StreamTruncatedError
from runagent.limits import Limits
from runagent.wire.jsontext import InvalidJSONError, decode_json, starts_with_json

__all__ = ["NDJSONDecoder", "text_decoder"]

_decoder = msgspec.json.Decoder()


class NDJSONDecoder:
    """Turn the bytes of an NDJSON body, cut anywhere, into JSON values.

    Args:
        max_line_bytes: Bytes of one line; more than that sets ``error``.

    Attributes:
        lines: Lines ended so far, empty ones included.
        error: Why no more values will come, or None; it names the line.
    """

    def __init__(self, *, max_line_bytes: int = Limits.max_event_bytes) -> None:
        self.lines = 0
        self.error: RunAgentError | None = None
        self._max = max_line_bytes
        self._tail: list[bytes] = []
        self._tail_size = 0

    def feed(self, data: bytes) -> list[Any]:
        """Take the next bytes and return the values of the lines that they end.

        Raises:
            ProtocolError: An earlier call has met a line that is not JSON.
            StreamLimitError: An earlier call has met a line over ``max_line_bytes``.
        """
        if self.error:
            raise self.error
        complete, newline, tail = data.rpartition(b"\n")
        values = self._take_lines(complete) if newline else []
        if tail and not self.error:
            self._tail.append(tail)
            self._tail_size += len(tail)
            self._check_size(self._tail_size)
        return values

    def close(self) -> list[Any]:
        """Say that no more bytes will come and return the value of a last line without LF.

        Raises:
            StreamTruncatedError: The last line is cut short.
            ProtocolError: An earlier ``feed`` has met a line that is not JSON.
            StreamLimitError: An earlier ``feed`` has met a line over ``max_line_bytes``.
        """
        if self.error:
            raise self.error
        line = b"".join(self._tail).strip()
        self._tail = []
        if not self.lines:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line:
            return []
        try:
            return [decode_json(line)]
        except InvalidJSONError as exc:
            if starts_with_json(line):
                raise ProtocolError(f"line {self.lines + 1} of the stream is {exc}") from None
            raise StreamTruncatedError(f"the stream ended inside line {self.lines + 1}: {exc}") from None

    def _check_size(self, size: int) -> bool:
        if size > self._max:
            self.error = StreamLimitError(
                f"line {self.lines + 1} is larger than {self._max} bytes; raise max_event_bytes to accept it",
                limit_name="max_event_bytes",
                limit=self._max,
            )
        return self.error is None

    def _take_lines(self, complete: bytes) -> list[Any]:
        if self._tail:
            complete = b"".join((*self._tail, complete))
            self._tail, self._tail_size = [], 0
        if not self.lines:
            complete = complete.removeprefix(codecs.BOM_UTF8)
        if len(complete) <= self._max:
            try:
                values = _decoder.decode_lines(complete)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                pass  # one of the lines is odd or bad: find it, and keep those before it
            else:
                lines = complete.count(b"\n") + 1
                if len(values) == lines and b"\n\n" not in complete:  # else look: one value a line, or none
                    self.lines += lines
                    return values
        return self._take_one_by_one(complete.split(b"\n"))

    def _take_one_by_one(self, lines: list[bytes]) -> list[Any]:
        values: list[Any] = []
        for line in lines:
            if not self._check_size(len(line)):
                break
            if line.strip():
                try:
                    values.append(decode_json(line))
                except InvalidJSONError as exc:
                    self.error = ProtocolError(f"line {self.lines + 1} of the stream is {exc}")
                    break
            self.lines += 1
        return values


def text_decoder(charset: str) -> codecs.IncrementalDecoder:
    """Make a decoder that holds back half a character until its other half is there.

    Bytes that the charset does not know become U+FFFD; a byte order mark at the start of UTF-8 is dropped.

    Raises:
        ProtocolError: No text encoding has this name.
    """
    try:
        b"\xff\xff".decode(charset, "replace")  # refuses codecs that are no text, or cannot replace
        name = codecs.lookup(charset).name
        return codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)("replace")
    except (LookupError, ValueError):
        raise ProtocolError(
            f"the agent answered in the charset {charset[:40]!r}, which nobody knows"
        ) from None
