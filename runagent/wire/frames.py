"""WebSocket frames (RFC 6455 §5.2), as far as plain texts of modest length want no general machinery."""

from __future__ import annotations

__all__ = ["can_wait", "frame_size", "read_texts", "split_texts"]

_TEXT = 0x81  # the last fragment, no extension's bit, opcode 1
_SHORT, _MEDIUM, _LONG = 125, 126, 127  # a length as it stands; two bytes of length follow; eight
_KEPT = 16 * 1024


def split_texts(data: bytes, at: int, max_bytes: int) -> tuple[list[bytes], int]:
    """Read unfragmented text frames up to one that is something else, not whole, or too large.

    Args:
        data: Received bytes.
        at: Where a frame begins in them.
        max_bytes: Bytes of one text.

    Returns:
        The texts, not looked at yet, and where the frame begins that is none of them.
    """
    texts: list[bytes] = []
    size = len(data)
    try:
        while at < size and data[at] == _TEXT:
            length, begin = data[at + 1], at + 2
            if length == _MEDIUM:
                length, begin = data[at + 2] << 8 | data[at + 3], at + 4
            elif length > _SHORT:  # a very long one, or masked, which no server may do
                break
            end = begin + length
            if end > size or length > max_bytes:
                break
            texts.append(data[begin:end])
            at = end
    except IndexError:
        pass  # a head that is not whole
    return texts, at


def read_texts(data: bytes, at: int, max_bytes: int) -> tuple[list[str], int]:
    """Do what `split_texts` does and decode the texts, up to one that is not UTF-8."""
    texts, end = split_texts(data, at, max_bytes)
    try:
        return [text.decode() for text in texts], end
    except UnicodeDecodeError as exc:
        good = texts.index(bytes(exc.object))
        for _ in range(good):
            at += frame_size(data, at) or 0
        return [text.decode() for text in texts[:good]], at


def frame_size(data: bytes, at: int) -> int | None:
    """Tell how many bytes the frame has that begins at ``at``; None where its head is not whole."""
    if len(data) - at < 2:
        return None
    length, masked = data[at + 1] & 0x7F, data[at + 1] > _LONG
    begin = at + 2 + {_MEDIUM: 2, _LONG: 8}.get(length, 0)
    if begin > len(data):
        return None
    if length >= _MEDIUM:
        length = int.from_bytes(data[at + 2 : begin])
    return begin - at + 4 * masked + length


def can_wait(data: bytes, at: int, max_bytes: int) -> bool:
    """Tell whether a frame is not whole, and nothing can be wrong with what is there of it.

    So it is of a plain text of modest length: a fault in another frame's head has to be told at once.
    """
    there = len(data) - at
    if there < 2:
        return True
    size = frame_size(data, at)
    plain = data[at] == _TEXT and data[at + 1] <= _MEDIUM
    return plain and (size is None or there < size <= min(max_bytes, _KEPT))
