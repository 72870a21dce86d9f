"""WebSocket frames as a server writes them (RFC 6455 section 5), valid and invalid."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runagent_testing._script.writes import Piece

__all__ = [
    "BAD_FRAMES",
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "close_frame",
    "closes",
    "frame",
    "frame_pieces",
]

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
"""An opcode of WebSocket frames (RFC 6455 section 5.2)."""


def frame(opcode: int, payload: bytes) -> bytes:
    """Make one unmasked, final frame."""
    first, size = 0x80 | opcode, len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 0x10000:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Make a Close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


def frame_pieces(data: bytes) -> tuple[Piece, ...]:
    """Split whole frames, as `frame` makes them, into headers and payloads."""
    pieces: list[Piece] = []
    at = 0
    while at < len(data):
        size, header = data[at + 1] & 0x7F, 2
        if size == 126:
            size, header = int.from_bytes(data[at + 2 : at + 4], "big"), 4
        elif size == 127:
            size, header = int.from_bytes(data[at + 2 : at + 10], "big"), 10
        begin, at = at + header, at + header + size
        pieces += ("frame-header", data[begin - header : begin]), ("payload", data[begin:at])
    return tuple(pieces)


def closes(data: bytes) -> bool:
    """Whether there is a Close among whole frames."""
    return any(piece[0] & 0x0F == CLOSE for kind, piece in frame_pieces(data) if kind == "frame-header")


# By the name of the ending that sends them.
BAD_FRAMES = {
    "bad-utf8": frame(TEXT, b"\xff\xfe"),
    "bad-opcode": frame(0x3, b""),
    "masked-frame": b"\x81\x82" + b"\0\0\0\0" + b"{}",
}
