"""The client's side of a WebSocket connection (RFC 6455), without extensions.

``ResponseDecoder`` reads the opening handshake, with the limits and errors of every other response; from the
OPEN state on, the core of ``websockets`` handles the protocol. This module does what the core leaves to its
caller: it joins fragments, checks that texts are UTF-8 (close code 1007), and records how the connection
    ended.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import logging
import os
import sys
from typing import TYPE_CHECKING

from websockets.exceptions import ProtocolError as BrokenProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import CLIENT, OPEN, Protocol

from runagent._errors import ProtocolError, RunAgentError, StreamLimitError
from runagent._internal.foreign import let_signals_through
from runagent._limits import Limits
from runagent._wire.frames import (
    SHORT,
    can_wait,
    frame_parts,
    head_fault,
    is_control,
    read_texts,
    split_texts,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent._wire.http1 import ResponseDecoder

__all__ = ["WebSocketConnection", "accept_value", "check_handshake", "handshake_headers"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ABNORMAL = 1006
_PING, _PONG = 0x89, 0x8A
_DATA_FRAMES = frozenset({0x00, 0x80, 0x01, 0x02, 0x82})  # without whole texts, which `frames` reads
_FIN, _OPCODE = 0x80, 0x0F
_MOST_PONGS = 16  # per read


def handshake_headers() -> tuple[str, list[tuple[str, str]]]:
    """Return a new random key and the request headers of an opening handshake (RFC 6455 §4.1)."""
    key = base64.b64encode(os.urandom(16)).decode()
    return key, [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]


def accept_value(key: str) -> str:
    """Compute the ``Sec-WebSocket-Accept`` that answers a key (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def check_handshake(
    answer: ResponseDecoder, key: str, subprotocols: Sequence[str] = ()
) -> ProtocolError | None:
    """Return the error if a 101 response does not fit the key and the offer, or None (RFC 6455 §4.1)."""
    headers = answer.headers
    tokens = _tokens(headers.get("connection", ""))
    if answer.version != "1.1":
        fault = f"HTTP/{answer.version} has no upgrades"
    elif _tokens(headers.get("upgrade", "")) != {"websocket"} or "upgrade" not in tokens:
        fault = "it does not switch to websocket"
    elif headers.get("sec-websocket-accept", "") != accept_value(key):
        fault = "its Sec-WebSocket-Accept does not belong to our key"
    elif headers.get("sec-websocket-extensions"):
        fault = "it chose an extension, and none was offered"
    elif headers.get("sec-websocket-protocol") not in (None, "", *subprotocols):
        fault = "it chose a subprotocol that was not offered"
    else:
        return None
    return ProtocolError(f"the answer to the WebSocket handshake is not valid: {fault}")


def _tokens(field: str) -> set[str]:
    return {token.strip(" \t").lower() for token in field.split(",")}


# Looked up once: an interrupt during the look-up would keep the lock of `logging` for ever.
_LOGGER = logging.getLogger("websockets.client")


class _Core(Protocol):
    """The core of ``websockets``, with checks before a frame is read, and messages joined from fragments.

    A fault stops it at once, so that it answers no frame after that.

    Attributes:
        messages: The whole messages that the caller has not taken yet.
        pings: Pings so far.
        answered: Pings of this read that were answered one by one.
        reply: Our answer to the peer's Close; it is kept until the messages before that have been answered.
    """

    def __init__(self, max_message_bytes: int) -> None:
        # No limit in the core, as it would count control frames between fragments.
        super().__init__(CLIENT, state=OPEN, max_size=None, logger=_LOGGER)
        self._max = max_message_bytes
        self.messages: list[str | bytes] = []
        self.pings = self.answered = 0
        self.reply: list[bytes] = []
        self._last_ping: bytes | None = None  # the payload of one that has not been answered
        self._fragments: bytearray | None = None
        self._utf8: codecs.IncrementalDecoder | None = None  # of a text in fragments

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        """Send a Close; not for a signal, which the core has caught, and would forget while it is made."""
        caught = sys.exc_info()[1] if code == CloseCode.INTERNAL_ERROR else None
        if caught is not None:
            let_signals_through(caught)
        super().fail(code, reason)

    @property
    def between_messages(self) -> bool:
        """Whether a new message may begin, provided that the last frame has ended."""
        return self.state is OPEN and self._fragments is None and self.parser_exc is None

    def refuses(self, data: bytes, at: int, payload_bytes: int | None) -> bool:
        """Fail the connection, and return True, if a frame is invalid or too large; none of it is read.

        Args:
            data: Received bytes.
            at: The index of the frame's first byte; at least two bytes of it have been received.
            payload_bytes: The length that it announces, or None while its head is incomplete.
        """
        fault, code = head_fault(data, at), CloseCode.PROTOCOL_ERROR
        if not fault and payload_bytes is not None and not is_control(data, at):
            size = payload_bytes + len(self._fragments or b"")
            if size > self._max:
                fault, code = f"{size} bytes, over the limit of {self._max}", CloseCode.MESSAGE_TOO_BIG
        if fault:
            self.fail(code, fault)
            self.parser_exc = BrokenProtocol(fault)
        return bool(fault)

    def take_short(self, data: bytes, at: int) -> int:
        """Take complete short frames up to one of another kind, and return the index of that one.

        The core takes ten times as long for each, and a peer may send thousands in a read. For example, of
        ``89 00 | 8a 01 21 | 88 02 03 e8`` the ping and the pong are taken, and 5 is returned: a Close is for
        the core.
        """
        size = len(data)
        while at + 1 < size:
            begin = at + 2
            end = begin + data[at + 1]
            if end > size or data[at + 1] > SHORT or not self._take_one(data[at], data[begin:end]):
                break
            at = end
        return at

    def _take_one(self, first: int, payload: bytes) -> bool:
        """Take a frame, given as first byte and payload; return False, with no effect, if the core must."""
        if first == _PING:
            self.pings += 1
            self._answer(payload)
        elif first in _DATA_FRAMES:
            begins = self._fragments is None
            if begins != bool(first & _OPCODE) or len(payload) + len(self._fragments or b"") > self._max:
                return False
            opcode = Opcode(first & _OPCODE)
            try:
                self._take_fragment(Frame(opcode, payload, fin=first >= _FIN))
            except UnicodeDecodeError:
                if begins:
                    self._fragments = None
                return False
            self.current_size = None if first >= _FIN else 0
        else:
            return first == _PONG
        return True

    def _answer(self, payload: bytes) -> None:
        """Answer a ping; after 16 in one read, only the last one is answered (RFC 6455 §5.5.3)."""
        if self.answered < _MOST_PONGS:
            self.answered += 1
            self.send_frame(Frame(Opcode.PONG, payload))
        else:
            self._last_ping = payload

    def answer_last(self) -> None:
        """Answer the last ping, unless that has been done."""
        if self._last_ping is not None and self.state is OPEN:
            self.send_frame(Frame(Opcode.PONG, self._last_ping))
        self._last_ping = None

    def recv_frame(self, frame: Frame) -> None:
        """Take a frame; a UnicodeDecodeError makes the core fail the connection with 1007."""
        if frame.opcode is Opcode.CLOSE:
            # A Close is a control frame, so it may come between two fragments (RFC 6455 §5.4).
            self.current_size = None
            before = len(self.writes)
            super().recv_frame(frame)
            self.reply = self.writes[before:]
            del self.writes[before:]
            self.events.clear()
            return
        super().recv_frame(frame)
        self.events.clear()
        if frame.opcode is Opcode.PING:
            self.pings += 1
            self.answered += 1
        elif frame.opcode is Opcode.CONT or not frame.fin:
            self._take_fragment(frame)
        elif frame.opcode is Opcode.TEXT:
            self.messages.append(str(frame.data, "utf-8"))
        elif frame.opcode is Opcode.BINARY:
            self.messages.append(bytes(frame.data))

    def _take_fragment(self, frame: Frame) -> None:
        if self._fragments is None:
            self._fragments = bytearray()
            self._utf8 = codecs.getincrementaldecoder("utf-8")() if frame.opcode is Opcode.TEXT else None
        if self._utf8 is not None:  # each fragment is checked when it is received (RFC 6455 §8.1)
            self._utf8.decode(frame.data, frame.fin)
        self._fragments += frame.data
        if frame.fin:
            whole, self._fragments = self._fragments, None
            self.messages.append(bytes(whole) if self._utf8 is None else whole.decode())


class WebSocketConnection:
    """An open WebSocket: bytes in, messages out, and bytes to send.

    Args:
        max_message_bytes: The most bytes of one message, all its fragments together.

    Attributes:
        close_code: The code of the peer's Close frame; 1005 if the frame had none, 1006 if the connection
            ended without a Close frame, None while it is open.
        close_reason: The reason in the peer's Close frame.
        error: How the peer violated the protocol, or None. An end without a Close frame is not an error here.
    """

    def __init__(self, *, max_message_bytes: int = Limits().max_event_bytes) -> None:
        self.close_code: int | None = None
        self.close_reason = ""
        self.error: RunAgentError | None = None
        self._max = max_message_bytes
        self._core = _Core(max_message_bytes)
        self._kept = b""  # the beginning of an incomplete frame that nothing has read yet
        self._owed = 0  # bytes of the current frame that the core has not received yet

    @property
    def pings(self) -> int:
        """Pings so far."""
        return self._core.pings

    @property
    def closed(self) -> bool:
        """Whether no more messages will come."""
        return self.close_code is not None or self.error is not None

    @property
    def cut(self) -> bool:
        """Whether the connection ended without a Close frame."""
        return self.close_code == _ABNORMAL

    def send_text(self, message: bytes) -> None:
        """Queue one text message, given as UTF-8; does nothing once our Close frame is queued."""
        self._send(Opcode.TEXT, message)

    def send_binary(self, message: bytes) -> None:
        """Queue one binary message; does nothing once our Close frame is queued."""
        self._send(Opcode.BINARY, message)

    def _send(self, opcode: Opcode, message: bytes) -> None:
        # Messages that came in one read with a Close can still be answered (RFC 6455 §5.5.1).
        if self._core.state is OPEN or self._core.reply:
            self._core.send_frame(Frame(opcode, message))

    def send_close(self, code: int = CloseCode.NORMAL_CLOSURE) -> None:
        """Queue a Close frame; does nothing if one has been sent already."""
        if self._core.state is OPEN:
            self._core.send_close(code)

    def data_to_send(self) -> bytes:
        """Take the queued bytes; empty if there are none."""
        core = self._core
        if core.reply:
            core.writes += core.reply
            core.reply = []
        return b"".join(core.data_to_send())

    def peek_texts(self, data: bytes) -> tuple[list[bytes], bytes, bytes]:
        """Split whole text messages off the start of the next bytes, for a caller that decodes them together.

        Returns:
            The payloads of those messages, not yet checked to be UTF-8; the bytes after them; and all bytes,
            including those kept from earlier reads. The caller then passes the second to ``receive_data``, or
            the third if it does not use the payloads.
        """
        data, self._kept = self._kept + data if self._kept else data, b""
        if self._owed or self.closed or not self._core.between_messages:
            return [], data, data
        texts, end = split_texts(data, 0, self._max)
        return texts, data[end:], data

    def receive_data(self, data: bytes) -> list[str | bytes]:
        """Take the next bytes and return the messages that they complete.

        A fault sets ``error``; ``data_to_send`` then returns the Close frame that reports it.
        """
        if self.closed:
            return []
        core = self._core
        messages = self._read_frames(core, self._kept + data if self._kept else data)
        if core.parser_exc is not None:
            let_signals_through(core.parser_exc)
            self.error = self._core_fault(core.parser_exc)
        elif core.close_rcvd is not None:
            self.close_code, self.close_reason = int(core.close_rcvd.code), core.close_rcvd.reason
        return messages

    def _read_frames(self, core: _Core, data: bytes) -> list[str | bytes]:
        """Read whole texts here, other short frames in `take_short`, and leave the rest to the core.

        Invariant: the core gets a frame either as a whole, over one or more reads, or not at all. One that it
        does not get leaves its state unchanged, so it still knows whether a message is under way.
        """
        messages: list[str | bytes] = []
        self._kept = b""
        at = core.answered = 0
        while at < len(data) and core.parser_exc is None and core.close_rcvd is None:
            if not self._owed:
                plain = core.between_messages
                if plain:
                    texts, at = read_texts(data, at, self._max)
                    messages += texts
                    if at == len(data):
                        break
                if core.state is OPEN:
                    short, at = at, core.take_short(data, at)
                    if at > short:
                        messages += core.messages
                        core.messages.clear()
                        continue
                core.answer_last()
                size = self._next_frame(core, data, at, plain)
                if size is None:
                    break
                self._owed = size
            end = min(at + self._owed, len(data))
            core.receive_data(data[at:end])
            self._owed -= end - at
            at = end
            messages += core.messages
            core.messages.clear()
        core.answer_last()
        return messages

    def _next_frame(self, core: _Core, data: bytes, at: int, plain: bool) -> int | None:
        """Return the length of the next frame, or None if it is refused, or kept until more of it arrives.

        Args:
            core: Reads the frame.
            data: Received bytes.
            at: The index of the frame's first byte.
            plain: Whether a new message may begin, so that a whole text will be read here once it is
                complete.
        """
        parts = frame_parts(data, at)
        if parts is None or not (plain and can_wait(data, at, sum(parts), self._max)):
            if len(data) - at >= 2 and core.refuses(data, at, parts and parts[1]):
                return None
            if parts is not None:
                return sum(parts)
        self._kept = data[at:]
        return None

    def receive_eof(self) -> None:
        """Take note that the connection has ended."""
        if not self.closed:
            self.close_code = _ABNORMAL

    def _core_fault(self, fault: Exception) -> RunAgentError:
        sent = self._core.close_sent
        if sent is not None and sent.code == CloseCode.MESSAGE_TOO_BIG:
            return StreamLimitError(
                f"a WebSocket message is larger than {self._max} bytes",
                hint="raise max_event_bytes to accept it",
                limit_name="max_event_bytes",
                limit=self._max,
            )
        if isinstance(fault, UnicodeDecodeError):
            return ProtocolError(f"a WebSocket text message is not UTF-8: {fault.reason}")
        return ProtocolError(f"the peer violated the WebSocket protocol: {fault}")
