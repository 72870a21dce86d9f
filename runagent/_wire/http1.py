"""HTTP/1.1 requests and responses (RFC 9112), on llhttp through httptools.

llhttp parses; what it leaves to its caller is here: the verdict at the end of the connection,
the bounds, interim responses, and what may follow the end. A read that is just one short chunk
does without it. Deviation: a version other than 1.0 and 1.1 is refused, as is a transfer coding
other than a single ``chunked``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httptools

from runagent._errors import ProtocolError, RunAgentError, StreamLimitError, StreamTruncatedError
from runagent._limits import Limits
from runagent._wire.jsontext import QUOTE_BYTES, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ResponseDecoder", "encode_request", "let_interrupts_through"]

# A stream that is written event by event mostly comes chunk by chunk. These are the heads of short chunks
# without extensions, by the bytes of the whole chunk: no other chunk is as long.
_SHORT_BYTES = 1024
_CHUNK_HEADS = {len(head) + size + 2: head for size in range(1, _SHORT_BYTES) if (head := b"%x\r\n" % size)}

_FREE_FRAMING = 1024  # bytes of a chunk's head that do not count

_FOLD = rb"\r\n[ \t]+"
_MAX_UNFOLDED = 100  # each time the whole head is read again


def encode_request(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """Write one request with a Content-Length where it has a body.

    Args:
        method: The method, as it goes on the wire.
        target: Path and query, or the absolute form for a proxy; already percent-encoded.
        headers: Names and values that have been checked to be free of CR, LF and NUL.
        body: The whole body.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class ResponseDecoder:
    """Read one response, cut anywhere, down to its body's bytes as they come.

    Attributes:
        status: The status of the final response; 0 until its head is complete.
        version: Its HTTP version, ``1.0`` or ``1.1``.
        headers: Its fields: lower-case names, repeated ones joined by ", ".
        head_complete: The final response's head is there.
        flowing: The next bytes are the body's: no part of a chunk's head or of trailers was the last to come.
        complete: Its end is there, by framing or, without one, by the connection's end.
        proven: False where only the connection's end told the end.
        keep_alive: The connection may carry another request.
        excess: Bytes came behind the end: the connection must not be used again.
        upgraded: The answer was 101; ``rest`` holds the first bytes of the new protocol.
        error: Why no more body will come, or None.
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
        self._head_size = 0  # bytes since the last piece of body: head, chunk heads, trailers
        self._framing = 0  # bytes of long chunk heads
        self._heads = 0  # that have ended: of interim responses, and of the final one
        self._between_chunks = False  # the next byte begins a chunk's head
        self._body: list[bytes] = []
        self._body_pieces = 0  # how many of them were there at the answer's end
        self._fields: list[tuple[bytes, bytes]] = []
        self._beginning = b""
        self._head = bytearray()  # all that has come of heads, until the final one is complete
        self._unfolded = 0  # times that folds had to be taken out of it
        # Dropped at the end: it holds our methods, and in a cycle an error would keep its frames alive.
        self._parser: httptools.HttpResponseParser | None = self._new_parser()

    def feed(self, data: bytes) -> bytes:  # noqa: C901  # in one piece: a call costs more than a branch
        """Take the next bytes of the connection and return the body's bytes in them.

        Raises:
            ProtocolError: An earlier call has met bytes that are not HTTP/1.1.
            StreamLimitError: An earlier call has met a head or trailers over ``max_head_bytes``.
        """
        if self._between_chunks:
            head = _CHUNK_HEADS.get(len(data))
            if head is not None and data.startswith(head) and data.endswith(b"\r\n"):
                return data[len(head) : -2]  # the parser would say so too, and stand where it stands now
            self._between_chunks = False
        pieces = self._body
        if self.flowing:
            try:
                self._parser.feed_data(data)  # type: ignore[union-attr]  # there is one while the body flows
            except httptools.HttpParserError as exc:
                let_interrupts_through(exc)
                self._broken(exc)
            else:
                if len(pieces) == 1 and self.flowing:  # as it mostly is
                    body = pieces[0]
                    self._between_chunks = _is_chunk(data, body)
                    if self._between_chunks or len(data) - len(body) <= _FREE_FRAMING:
                        pieces.clear()
                        return body
            self._measure(data, found=bool(pieces))
            data = b""
        elif self.error:
            raise self.error
        elif self.complete:
            self.excess = self.excess or _means_something(data)
            return b""
        else:
            data = self._feed_parts(data)
        self.flowing = self.head_complete and not (self._head_size or self.complete or self.error)
        if self.complete:
            del pieces[self._body_pieces :]  # the body of another answer behind this one
            self.excess = self.excess or (not self.upgraded and _means_something(data))
        if not self.head_complete:
            pieces.clear()
        if self.error:
            self._parser = None
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    @property
    def began(self) -> bool:
        """Whether any byte of the answer has come."""
        return bool(self._beginning)

    @property
    def _live_parser(self) -> httptools.HttpResponseParser:
        assert self._parser is not None
        return self._parser

    def _feed_parts(self, data: bytes) -> bytes:
        """Feed where a head or trailers may be; return what has not been fed.

        Nothing tells how long they are before they end: the parser never gets more than is allowed.
        """
        if not self.head_complete:
            self._beginning += data[: QUOTE_BYTES - len(self._beginning)]
        while data and not self.error and not self.complete and not self.upgraded:
            room = len(data)
            if self._head_size or not self.head_complete:
                room = self._limits.max_head_bytes - self._head_size
                if room <= 0:
                    self.error = self._head_too_large()
                    break
            piece, data = data[:room], data[room:]
            self._feed_parser(piece)
            if self.upgraded:
                self.rest += data
        return data

    def _new_parser(self) -> httptools.HttpResponseParser:
        parser = httptools.HttpResponseParser(_Callbacks(self))
        # An interim answer ends no connection, whatever its head says; what follows the final one is excess.
        parser.set_dangerous_leniencies(lenient_keep_alive=True)
        return parser

    def _feed_parser(self, data: bytes) -> None:
        before = len(self._body) + self._heads
        in_body = self.head_complete
        if not in_body:
            self._head += data
        self._parse(data)
        if self.head_complete:
            self._head.clear()
        self._measure(data, found=before != len(self._body) + self._heads, in_body=in_body)

    def _parse(self, data: bytes) -> None:
        parser, again = self._live_parser, False
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self.upgraded = True
            self.rest = data[exc.args[0] :]
        except httptools.HttpParserError as exc:
            let_interrupts_through(exc)
            again = not (self.head_complete or self.error) and self._unfold()
            if not again:
                self._broken(exc)
        if again:  # from the beginning, and outside of the handler: see `let_interrupts_through`
            self._parser, self._heads = self._new_parser(), 0
            self._parse(bytes(self._head))

    def _unfold(self) -> bool:
        """Put a space for each line break inside a field: RFC 9112 §5.2 has us read what llhttp refuses."""
        head = bytes(self._head)
        fold = re.search(_FOLD, head)
        if fold is None or self._unfolded >= _MAX_UNFOLDED:
            return False
        line = head[: fold.start()].rpartition(b"\r\n")[2]
        if b":" not in line or line.startswith(b"HTTP/"):  # no field that could go on
            return False
        end = head.find(b"\r\n\r\n", fold.start())
        end = len(head) if end < 0 else end  # what lies behind is no part of this head
        self._head[:end] = re.sub(_FOLD, b" ", head[:end])
        self._unfolded += 1
        return True

    def _broken(self, exc: httptools.HttpParserError) -> None:
        if self.complete:
            self.excess = True
        elif self.error is None:
            self.error = self._malformed(exc)

    def _measure(self, data: bytes, *, found: bool, in_body: bool = True) -> None:
        """Count what may be a head or trailers, unless some body, or the end of a head, was found in it."""
        if found and in_body:
            self._count_framing(len(data))
        self._head_size = 0 if found else self._head_size + len(data)
        if self._head_size > self._limits.max_head_bytes and not self.error and not self.complete:
            self.error = self._head_too_large()

    def _count_framing(self, size: int) -> None:
        """Count long chunk extensions (RFC 9112 §7.1.1): a byte of body behind each does not excuse them."""
        framing = self._head_size + size - sum(map(len, self._body)) - _FREE_FRAMING * len(self._body)
        self._framing += max(0, framing)
        if self._framing > self._limits.max_head_bytes and not (self.error or self.complete):
            self.error = self._head_too_large()

    def close(self) -> None:
        """Say that the connection has ended; sets ``complete`` where that ends the body.

        Raises:
            StreamTruncatedError: The response is cut short.
            ProtocolError: An earlier ``feed`` has met bytes that are not HTTP/1.1.
            StreamLimitError: An earlier ``feed`` has met a head or trailers over ``max_head_bytes``.
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

    # What the parser calls

    def begin(self) -> None:
        if self.complete:
            self.excess = True
        self._fields = []

    def add_field(self, name: bytes, value: bytes) -> None:
        if not self.head_complete:
            self._fields.append((name, value))

    def end_head(self) -> None:
        if self.complete or self.error:
            return
        status = self._live_parser.get_status_code()
        version = self._live_parser.get_http_version()
        # llhttp reads RTSP and ICE as well.
        if version not in ("1.1", "1.0") or not self._beginning.lstrip(b"\r\n").startswith(b"HTTP/"):
            self.error = self._malformed("HTTP version")
        elif status < 100:
            self.error = self._malformed("status code")
        elif status < 200 and status != 101:
            self._heads += 1
            if self._heads > self._limits.max_interim_responses:
                self.error = self._too_many_interim()
        else:
            self.status, self.version = status, version
            self.headers = _join_fields(self._fields)
            if self.headers.get("transfer-encoding", "chunked").lower() != "chunked":
                self.error = self._malformed("transfer coding")
            self.head_complete = self.error is None
            self._heads += self.head_complete

    def end_message(self) -> None:
        if self.head_complete and not self.complete and not self.error:
            self.complete, self.flowing = True, False
            self._body_pieces = len(self._body)
            # Framing that HTTP/1.0 does not have is trusted for this one answer (RFC 9112 §6.1).
            trusted = self.version != "1.0" or "transfer-encoding" not in self.headers
            self.keep_alive = trusted and self._live_parser.should_keep_alive()
            self._parser = None

    # Faults

    def _malformed(self, why: object) -> ProtocolError:
        if self.head_complete:
            return ProtocolError(f"the answer's framing is broken: {why}")
        return ProtocolError(
            f"this is not an HTTP/1.1 answer ({why}); the peer sent {quote(self._beginning)}."
            " Check the scheme, the port and the path of base_url"
        )

    def _head_too_large(self) -> StreamLimitError:
        name, limit = "max_head_bytes", self._limits.max_head_bytes
        return StreamLimitError(
            f"the answer's head is larger than {limit} bytes", limit_name=name, limit=limit
        )

    def _too_many_interim(self) -> StreamLimitError:
        name, limit = "max_interim_responses", self._limits.max_interim_responses
        return StreamLimitError(f"more than {limit} 1xx responses came first", limit_name=name, limit=limit)


class _Callbacks:
    """The names that httptools looks for, bound to what they do."""

    def __init__(self, decoder: ResponseDecoder) -> None:
        self.on_message_begin = decoder.begin
        self.on_header = decoder.add_field
        self.on_headers_complete = decoder.end_head
        self.on_body = decoder._body.append
        self.on_message_complete = decoder.end_message


def let_interrupts_through(exc: httptools.HttpParserError) -> None:
    """Raise what a callback was interrupted by.

    Our callbacks raise nothing, so that a signal handler has raised it, whatever it is. httptools keeps it as
    the context of its own error, unless the caller is handling another exception, which then takes its place:
    all that is known then is that it must not be lost.
    """
    if isinstance(exc, httptools.HttpParserCallbackError):
        raise _interrupt_in(exc) or KeyboardInterrupt from None


def _interrupt_in(exc: httptools.HttpParserError) -> BaseException | None:
    inner, caught = exc.__context__, exc.__traceback__
    trace = inner.__traceback__ if inner is not None else None
    while trace is not None and caught is not None:
        if trace.tb_frame.f_back is caught.tb_frame:  # a callback that was called by this very parser
            return inner
        trace = trace.tb_next
    return None


def _is_chunk(data: bytes, body: bytes) -> bool:
    """Whether bytes in which the parser has found this body, in one piece, are the chunk that brought it.

    The parser does not say where it has found it: it counts only where it can be nowhere else.
    """
    head = _CHUNK_HEADS.get(len(data))
    if head is None or data != b"%b%b\r\n" % (head, body):
        return False
    return data.find(body) == data.rfind(body)


def _means_something(data: bytes) -> bool:
    """Whether there is more than empty lines, which llhttp skips in front of the next answer."""
    return bool(data.strip(b"\r\n"))


def _join_fields(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip(" \t")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
