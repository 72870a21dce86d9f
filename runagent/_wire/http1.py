"""HTTP/1.1 requests and responses (RFC 9112), parsed by llhttp through httptools.

This module, `http1_head` and `http1_body` do what llhttp leaves to its caller: limits, interim responses,
what the connection's end means, and bytes after the response's end. A read that is exactly one short HTTP
chunk bypasses llhttp. Deviation: versions other than 1.0 and 1.1 are rejected, as are transfer codings other
than a single ``chunked``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools

from runagent._errors import ProtocolError, RunAgentError, StreamTruncatedError
from runagent._limits import Limits
from runagent._wire.http1_body import FREE_FRAMING, BodyReader, is_chunk, short_chunk_head
from runagent._wire.http1_head import HeadReader

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ResponseDecoder", "encode_request", "let_interrupts_through"]


def encode_request(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """Encode one request; it has a Content-Length if it has a body.

    Args:
        method: The method, in capitals as sent.
        target: Path and query, or the absolute form for a proxy; already percent-encoded.
        headers: Names and values, already checked to be free of CR, LF and NUL.
        body: The whole body.
    """
    lines = [f"{method} {target} HTTP/1.1", *map(": ".join, headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "\r\n")).encode("latin-1") + body


class ResponseDecoder:
    """Decode one response, received in pieces of any size, and return its body's bytes as they come.

    Attributes:
        status: The status of the final response; 0 until its head is complete.
        version: Its HTTP version, ``1.0`` or ``1.1``.
        headers: Its fields: lower-case names, repeated ones joined by ", ".
        head_complete: The final response's head has been received.
        flowing: The last read ended with bytes of the body, not inside a chunk's head or the trailers.
        complete: The response has ended: as its framing announced or, without framing, with the connection.
        proven: False if only the connection's end marked the response's end.
        keep_alive: The connection may carry another request.
        excess: Bytes came after the response's end, so the connection must not be used again.
        upgraded: The response was 101; ``rest`` holds the first bytes of the new protocol.
        error: Why no more of the body will come, or None.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.status = 0
        self.version = ""
        self.headers: dict[str, str] = {}
        self.head_complete = self.complete = self.keep_alive = self.excess = self.upgraded = False
        self.flowing = False
        self.proven = True
        self.rest = b""
        self.error: RunAgentError | None = None
        self._limits = limits or Limits()
        self._pieces: list[bytes] = []  # of the body, as the parser finds them
        self._pieces_at_end = 0  # how many of them the parser had found at the response's end
        self._between_chunks = False  # the next byte begins a chunk's head
        self._head: HeadReader | None = HeadReader(self._limits)  # until the final head is complete
        self._body: BodyReader | None = None  # from then on
        # Dropped at the end: it refers to our methods, and that cycle would keep an error's frames alive.
        self._parser: httptools.HttpResponseParser | None = self._new_parser()

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the connection and return the body's bytes in them.

        Invariant of the fast path: if the parser expects a chunk's head and the read is exactly one short
        chunk, the parser would return the same body and end in the same state, so it is bypassed. For
        example, after ``3\\r\\nabc\\r\\n`` the read ``5\\r\\nhello\\r\\n`` gives ``hello``, and the parser
        still expects a head.

        Raises:
            ProtocolError: An earlier call received bytes that are not HTTP/1.1.
            StreamLimitError: An earlier call received a head or trailers over ``max_head_bytes``.
        """
        if self._between_chunks:  # inline, as a function call costs more than the branch
            head = short_chunk_head(len(data))
            if head is not None and data.startswith(head) and data.endswith(b"\r\n"):
                return data[len(head) : -2]
            self._between_chunks = False
        if self.flowing:
            return self._feed_flowing(data)
        if self.error:
            raise self.error
        if self.complete:
            self.excess = self.excess or _means_something(data)
            return b""
        self._settle(self._feed_readers(data))
        return self._take_pieces()

    @property
    def begins_chunk(self) -> bool:
        """Whether the next byte certainly begins a chunk of a body that flows."""
        return self._between_chunks

    @property
    def began(self) -> bool:
        """Whether any byte of the response has been received."""
        return self._head is None or bool(self._head.beginning)

    def close(self) -> None:
        """Take note that the connection has ended; sets ``complete`` if that ends the body.

        Raises:
            StreamTruncatedError: The response is cut short.
            ProtocolError: An earlier ``feed`` received bytes that are not HTTP/1.1.
            StreamLimitError: An earlier ``feed`` received a head or trailers over ``max_head_bytes``.
        """
        if self.error:
            raise self.error
        if self.complete:
            return
        self._parser, self.flowing = None, False
        if not self.head_complete:
            self.error = StreamTruncatedError("the connection ended before the answer's head was complete")
        elif "transfer-encoding" in self.headers or "content-length" in self.headers:
            self.error = StreamTruncatedError("the connection ended in the middle of the answer")
        else:
            self.complete, self.proven = True, False
        if self.error:
            raise self.error

    def _feed_flowing(self, data: bytes) -> bytes:
        """Take a read that follows bytes of the body: mostly one more piece of it with little framing."""
        going, pieces, reader = self._parse(data), self._pieces, self._body
        if going and len(pieces) == 1:
            body = pieces[0]
            self._between_chunks = is_chunk(data, body)
            if self._between_chunks or len(data) - len(body) <= FREE_FRAMING:
                pieces.clear()
                return body
        assert reader is not None
        reader.measure(len(data), bool(pieces), going)
        self.error = self.error or reader.error
        self._settle(b"")
        return self._take_pieces()

    def _feed_readers(self, data: bytes) -> bytes:
        """Feed the reader of the current phase, and of the next; return the bytes that were not fed."""
        if self._head is not None:
            head = self._head
            data = head.feed(data, self._parse)
            self.error = self.error or head.error
            if self.upgraded:
                self.rest += data
        if data and self._body is not None and not (self.complete or self.upgraded or self.error):
            data = self._body.feed(data, self._parse)
            self.error = self.error or self._body.error
        return data

    def _settle(self, rest: bytes) -> None:
        """Update the attributes after a read; ``rest`` is the part of it that was not fed."""
        self.flowing = self._body is not None and not (self._body.waiting or self.complete or self.error)
        if self.complete:
            del self._pieces[self._pieces_at_end :]  # the body of another response after this one
            self.excess = self.excess or (not self.upgraded and _means_something(rest))
        if not self.head_complete:
            self._pieces.clear()
        if self.error:
            self._parser = None

    def _take_pieces(self) -> bytes:
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    # The parser, and what it calls

    @property
    def _live_parser(self) -> httptools.HttpResponseParser:
        assert self._parser is not None
        return self._parser

    def _new_parser(self) -> httptools.HttpResponseParser:
        parser = httptools.HttpResponseParser(_Callbacks(self))
        # An interim response never ends the connection, even with "Connection: close"; what follows the final
        # one is excess.
        parser.set_dangerous_leniencies(lenient_keep_alive=True)
        return parser

    def _parse(self, data: bytes) -> bool:
        """Feed the parser; False if it takes no more."""
        parser, unfolded = self._parser, None
        assert parser is not None
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self.upgraded = True
            self.rest = data[exc.args[0] :]
        except httptools.HttpParserError as exc:
            let_interrupts_through(exc)
            unfolded = None if self._head is None or self.error else self._head.unfold()
            if unfolded is None:
                self._broken(exc)
        if unfolded is not None:  # outside of the handler: see `let_interrupts_through`
            self._parser = self._new_parser()
            return self._parse(unfolded)
        return not (self.complete or self.upgraded or self.error)

    def _broken(self, exc: httptools.HttpParserError) -> None:
        if self.complete:
            self.excess = True
        elif self.error is None:
            broken = ProtocolError(f"the answer's framing is broken: {exc}")
            self.error = broken if self._head is None else self._head.malformed(exc)

    def begin(self) -> None:
        if self.complete:
            self.excess = True
        if self._head is not None:
            self._head.fields = []

    def add_field(self, name: bytes, value: bytes) -> None:
        if self._head is not None:  # else it is a trailer
            self._head.fields.append((name, value))

    def end_head(self) -> None:
        head = self._head
        if head is None or self.error:
            return
        parser = self._live_parser
        head.end(parser.get_status_code(), parser.get_http_version())
        self.error = head.error
        if head.done:
            self.status, self.version, self.headers = head.status, head.version, head.headers
            self.head_complete = True
            self._head, self._body = None, BodyReader(self._pieces, self._limits.max_head_bytes)

    def end_message(self) -> None:
        if self.head_complete and not self.complete and not self.error:
            self.complete, self.flowing = True, False
            self._pieces_at_end = len(self._pieces)
            # Chunks, which HTTP/1.0 does not have, are trusted for this one response (RFC 9112 §6.1).
            trusted = self.version != "1.0" or "transfer-encoding" not in self.headers
            self.keep_alive = trusted and self._live_parser.should_keep_alive()
            self._parser = None


class _Callbacks:
    """The callbacks by the names that httptools looks for."""

    def __init__(self, decoder: ResponseDecoder) -> None:
        self.on_message_begin = decoder.begin
        self.on_header = decoder.add_field
        self.on_headers_complete = decoder.end_head
        self.on_body = decoder._pieces.append
        self.on_message_complete = decoder.end_message


def let_interrupts_through(exc: httptools.HttpParserError) -> None:
    """Raise the exception that interrupted a callback.

    Our callbacks raise nothing, so a signal handler raised it. httptools keeps it as the context of its
    error. But if the caller is handling another exception, that one is the context; the interrupt is then
    unknown, and a KeyboardInterrupt is raised so that it is not lost.
    """
    if isinstance(exc, httptools.HttpParserCallbackError):
        raise _interrupt_in(exc) or KeyboardInterrupt from None


def _interrupt_in(exc: httptools.HttpParserError) -> BaseException | None:
    inner, caught = exc.__context__, exc.__traceback__
    trace = inner.__traceback__ if inner is not None else None
    while trace is not None and caught is not None:
        if trace.tb_frame.f_back is caught.tb_frame:  # the frame of a callback that this parser called
            return inner
        trace = trace.tb_next
    return None


def _means_something(data: bytes) -> bool:
    """Whether there is more than empty lines, which llhttp skips before the next response."""
    return bool(data.strip(b"\r\n"))
