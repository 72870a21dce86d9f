"""The fast path for WebSocket frames (RFC 6455 §5.2): whole text messages of modest length.

A server's frame is two bytes, zero, two or eight more bytes of length, and the payload. For example ::

    81 02 68 69             the text "hi": 0x81 is the last fragment (0x80) of a text (1), 2 is its length
    81 7e 01 00 ...         a text of 256 bytes: after a length of 126 come two bytes with the real length
    01 02 68 69 80 01 21    "hi!" in two fragments: not read here, as neither begins with 0x81
    88 02 03 e8             a Close with the code 1000: not read here

Invariant: a frame is read here only if it is complete, unmasked, unfragmented and has no reserved bit set, so
that it is a message by itself. Reading stops at the first frame that is anything else; that frame and all
bytes after it go to the general decoder unchanged. No state changes here, so the general decoder continues as
if the frames before had never come.
"""

from __future__ import annotations

__all__ = ["SHORT", "can_wait", "frame_parts", "head_fault", "is_control", "read_texts", "split_texts"]

_TEXT = 0x81  # the last fragment, no reserved bit, opcode 1
SHORT, _MEDIUM, _LONG = 125, 126, 127  # the longest direct length; 2 bytes of length follow; 8 follow
_FIN, _RESERVED, _CONTROL = 0x80, 0x70, 0x08
_OPCODES = frozenset({0, 1, 2, 8, 9, 10})
_KEPT = 16 * 1024


def split_texts(data: bytes, at: int, max_bytes: int) -> tuple[list[bytes], int]:
    """Read unfragmented text frames, up to one that is of another kind, incomplete or too large.

    Args:
        data: Received bytes.
        at: The index of a frame's first byte.
        max_bytes: The most bytes of one text.

    Returns:
        The payloads, not yet checked to be UTF-8, and the index of the first frame that was not read.
    """
    texts: list[bytes] = []
    size = len(data)
    try:
        while at < size and data[at] == _TEXT:
            length, begin = data[at + 1], at + 2
            if length == _MEDIUM:
                length, begin = data[at + 2] << 8 | data[at + 3], at + 4
            elif length > SHORT:  # 64 KiB or longer; or masked, which no server may do
                break
            end = begin + length
            if end > size or length > max_bytes:
                break
            texts.append(data[begin:end])
            at = end
    except IndexError:
        pass  # an incomplete head
    return texts, at


def read_texts(data: bytes, at: int, max_bytes: int) -> tuple[list[str], int]:
    """Read texts as `split_texts` does and decode them; stop also at one that is not UTF-8."""
    texts, end = split_texts(data, at, max_bytes)
    try:
        return [text.decode() for text in texts], end
    except UnicodeDecodeError as exc:
        good = texts.index(bytes(exc.object))
        for _ in range(good):
            at += sum(frame_parts(data, at) or ())
        return [text.decode() for text in texts[:good]], at


def head_fault(data: bytes, at: int) -> str:
    """Return what is invalid in the first two bytes of a frame, or "" if nothing is."""
    first, second = data[at], data[at + 1]
    if first & _RESERVED:
        return "reserved bits must be 0"
    if first & 0x0F not in _OPCODES:
        return "invalid opcode"
    if second > _LONG:
        return "incorrect masking"
    if first & _CONTROL and second > SHORT:
        return "control frame too long"
    if first & _CONTROL and not first & _FIN:
        return "fragmented control frame"
    return ""


def is_control(data: bytes, at: int) -> bool:
    """Whether a control frame begins at ``at``, which is part of no message."""
    return bool(data[at] & _CONTROL)


def frame_parts(data: bytes, at: int) -> tuple[int, int] | None:
    """Return (head length, payload length) of an unmasked frame, or None while its head is incomplete."""
    if len(data) - at < 2:
        return None
    length = data[at + 1]
    begin = at + 2 + {_MEDIUM: 2, _LONG: 8}.get(length, 0)
    if begin > len(data):
        return None
    if length >= _MEDIUM:
        length = int.from_bytes(data[at + 2 : begin])
    return begin - at, length


def can_wait(data: bytes, at: int, size: int, max_bytes: int) -> bool:
    """Whether a frame of ``size`` bytes is an incomplete text of modest length, so that it can be kept."""
    return data[at] == _TEXT and data[at + 1] <= _MEDIUM and len(data) - at < size <= min(max_bytes, _KEPT)
