"""Reads one exchange from the bytes that pass between client and service, and records it. No I/O."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import httptools
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol, Side

from runagent_testing._internal.log import SILENT
from runagent_testing._recording.format import COMPLETE, CUT, CUT_IN_CHUNK
from runagent_testing.dialects._request import joined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._recording.folder import RecordingFolder
    from runagent_testing._recording.writing import RecordingWriter
    from runagent_testing.dialects import Request

__all__ = ["ExchangeTap"]

_BODILESS = (204, 304)
_SWITCHING = 101
_NO_CODE = 1005
_MAX_MESSAGE = 16 * 1024 * 1024  # bytes


class ExchangeTap:
    """Records one request and its answer.

    Args:
        folder: Where to; None if nothing is recorded.
        request: The request, with its whole body.
        now: The time at which it was sent.

    Attributes:
        ended: The kind of the end; None as long as there is none.
        has_switched: Whether the connection has become a WebSocket.
        status: Of the answer, once that is known.
    """

    def __init__(self, folder: RecordingFolder | None, request: Request, now: float) -> None:
        self._writer: RecordingWriter | None = None if folder is None else folder.begin(request, now)
        self._now = now
        self._request = request
        self._head = _Head()
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._decoder: _Decoder | None = None
        self._is_in_chunk = False
        self._to_client = _Messages(CLIENT)
        self._to_service = _Messages(SERVER)
        self.has_switched = self._has_failed = False
        self.ended: str | None = None
        self.status: int | None = None

    def received(self, data: bytes, now: float) -> None:
        """Take what the service has sent; empty: it has sent FIN."""
        self._now = now
        if self.ended is not None or self._has_failed:
            return
        if not data:
            self._finish()
        elif self.has_switched:
            self._receive_messages(data)
        else:
            self._parse(data)

    def sent(self, data: bytes, now: float) -> None:
        """Take what the client sends on a WebSocket."""
        self._now = now
        if self.has_switched and self._writer is not None:
            for frame_kind, message in self._to_service.feed(data):
                if frame_kind != "close":
                    self._writer.add(now, "client", message)

    def broken(self, now: float, kind: str, outcome: str) -> None:
        """Note another end than FIN, such as a reset, unless there was one."""
        if self.ended is None:
            self._end(kind, now, outcome=outcome)

    def _end(self, kind: str, now: float, *, reason: str = "", outcome: str) -> None:
        self.ended = kind
        if self._writer is not None:
            self._writer.end(now, kind, reason=reason, outcome=outcome)

    def _finish(self) -> None:
        if self.status is not None and not self.has_switched and not self._head.has_length:
            self._end(COMPLETE, self._now, outcome="the body has ended with the connection")
        elif self._is_in_chunk:
            self._end(CUT_IN_CHUNK, self._now, outcome="FIN inside an HTTP chunk")
        else:
            self._end(CUT, self._now, outcome="FIN before the end")

    def _fail(self, why: str) -> None:
        """Record no more of an answer that cannot be read."""
        self._has_failed = True
        if self._writer is not None:
            self._writer.break_off(why)

    def _parse(self, data: bytes) -> None:
        self._is_complete = False
        rest = b""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError:
            self._flush()
            self._fail("what follows is not HTTP")
            return
        self._flush()
        if self.has_switched:
            self._receive_messages(rest)
        elif self._is_complete:
            self._end(COMPLETE, self._now, outcome="the body has ended")

    def _flush(self) -> None:
        """Record the bytes of the body that one read has brought."""
        data = b"".join(self._body)
        self._body.clear()
        if self._decoder is not None:
            try:
                data = self._decoder.decode(data)
            except zlib.error:
                self._fail("the body is not compressed as its head has it")
                return
        if data and self._writer is not None:
            self._writer.add(self._now, "write", data)

    def _receive_messages(self, data: bytes) -> None:
        for kind, message in self._to_client.feed(data):
            if kind == "close":
                code = int.from_bytes(message[:2], "big") if len(message) > 1 else _NO_CODE
                reason = message[2:].decode("utf-8", "replace")
                self._end(f"close:{code}", self._now, reason=reason, outcome="the service has sent a Close")
                return
            if self._writer is not None:
                self._writer.add(self._now, kind, message)
        if self._to_client.has_failed:
            self._fail("what follows violates RFC 6455, or is compressed")

    # What httptools calls

    def on_message_begin(self) -> None:
        self._head = _Head()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.fields.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status, headers = self._parser.get_status_code(), joined(self._head.fields)
        self._head.is_interim = 100 <= status < 200 and status != _SWITCHING
        if self._head.is_interim:
            return
        self.status = status
        self._head.has_length = "content-length" in headers or "transfer-encoding" in headers
        self.has_switched = status == _SWITCHING
        if self._writer is not None:
            self._writer.answer(self._now, status, headers)
        if self._request.method == "HEAD" or status in _BODILESS:
            self._is_complete = self._head.has_length = True
        self._decode(headers.get("content-encoding", "identity").strip().lower())

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_chunk_header(self) -> None:
        self._is_in_chunk = True

    def on_chunk_complete(self) -> None:
        self._is_in_chunk = False

    def on_message_complete(self) -> None:
        self._is_complete = not (self._head.is_interim or self.has_switched)

    def _decode(self, coding: str) -> None:
        if coding in ("gzip", "x-gzip", "deflate"):
            self._decoder = _Decoder()
        elif coding != "identity":
            self._fail(f"the body is encoded as {coding[:20]!r}, which is not recorded")


class _Head:
    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []
        self.is_interim = self.has_length = False


class _Decoder:
    """Undoes gzip and deflate, so that credentials in a body can be found."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    def decode(self, data: bytes) -> bytes:
        return self._stream.decompress(data)


class _Messages:
    """The messages in the frames of one side of a WebSocket."""

    def __init__(self, reader: Side) -> None:
        self._core = Protocol(reader, state=OPEN, max_size=_MAX_MESSAGE, logger=SILENT)
        self._parts: list[bytes] = []
        self._kind = "text"

    @property
    def has_failed(self) -> bool:
        """Whether the bytes are not those of RFC 6455."""
        return self._core.parser_exc is not None

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield "text", "binary" or "close", and the message or the payload of the Close."""
        self._core.receive_data(data)
        for item in self._core.events_received():
            assert isinstance(item, Frame)
            yield from self._take(item)
        self._core.data_to_send()

    def _take(self, item: Frame) -> Iterator[tuple[str, bytes]]:
        if item.opcode is Opcode.CLOSE:
            yield "close", bytes(item.data)
        elif item.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if item.opcode is not Opcode.CONT:
                self._kind = "text" if item.opcode is Opcode.TEXT else "binary"
            self._parts.append(bytes(item.data))
            if item.fin:
                message = b"".join(self._parts)
                self._parts.clear()
                yield self._kind, message
