"""The body of an HTTP/1.1 response: the bounds of what lies between its pieces, and short chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._wire.http1_head import head_too_large

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._errors import RunAgentError

__all__ = ["FREE_FRAMING", "BodyReader", "is_chunk", "short_chunk_head"]

# A stream that is written event by event mostly comes chunk by chunk. These are the heads of short chunks
# without extensions, by the bytes of the whole chunk: no other chunk is as long. For example, a read of 10
# bytes that begins with "5\r\n" and ends with "\r\n", where a chunk begins, is one chunk such as
# "5\r\nhello\r\n": by its size 5 bytes of body follow, whatever they are, and then the line end.
_SHORT_BYTES = 1024
_HEADS = {len(head) + size + 2: head for size in range(1, _SHORT_BYTES) if (head := b"%x\r\n" % size)}
short_chunk_head = _HEADS.get

FREE_FRAMING = 1024  # bytes of a chunk's head that do not count


class BodyReader:
    """Bounds what is no body: chunk heads with their extensions, and trailers.

    Their length is known only at their end. So after a read without body the parser gets no more than
    ``max_head_bytes`` until some body comes; and of the bytes around each piece of body all but 1,024 count
    towards the same limit (RFC 9112 §7.1.1). For example, ``1;``, 1,500 bytes and ``\\r\\na\\r\\n`` count 482
    bytes: these are 1,507, less the one of body and the 1,024.

    Args:
        pieces: Where the parser puts the pieces of body that it finds.
        max_head_bytes: The limit.

    Attributes:
        waiting: Bytes since the last piece of body.
        error: Why no more will come, or None.
    """

    def __init__(self, pieces: list[bytes], max_head_bytes: int) -> None:
        self.waiting = 0
        self.error: RunAgentError | None = None
        self._pieces = pieces
        self._max = max_head_bytes
        self._framing = 0  # bytes of long chunk heads

    def feed(self, data: bytes, parse: Callable[[bytes], bool]) -> bytes:
        """Give the parser the next bytes, and return those that it has not been given.

        Args:
            data: The next bytes.
            parse: Feeds the parser; False once it takes no more.
        """
        going = True
        while data and going and self.error is None:
            room = self._max - self.waiting if self.waiting else len(data)
            if room <= 0:
                self.error = head_too_large(self._max)
                break
            piece, data = data[:room], data[room:]
            found = len(self._pieces)
            going = parse(piece)
            self.measure(len(piece), found < len(self._pieces), going)
        return data

    def measure(self, size: int, found: bool, going: bool) -> None:
        """Count what may be chunk heads or trailers: a byte of body behind each does not excuse them.

        Args:
            size: Bytes that the parser was given.
            found: It has found body in them.
            going: It takes more; otherwise there is nothing left to be bounded.
        """
        if found:
            free = FREE_FRAMING * len(self._pieces)
            self._framing += max(0, self.waiting + size - sum(map(len, self._pieces)) - free)
        self.waiting = 0 if found else self.waiting + size
        if going and max(self.waiting, self._framing) > self._max:
            self.error = head_too_large(self._max)


def is_chunk(data: bytes, body: bytes) -> bool:
    r"""Whether ``data`` is exactly one short chunk, of which the parser has found ``body`` in one piece.

    The parser does not say where it has found it: it counts only if it can be nowhere else. There is one
    ``hello`` in ``5\r\nhello\r\n``. But ``4\r\n4\r\n4\r\n`` may be the chunk ``4\r\n4``, or the end of a
    longer one, ``4\r\n4``, and the head of the next.
    """
    head = short_chunk_head(len(data))
    if head is None or data != b"%b%b\r\n" % (head, body):
        return False
    return data.find(body) == data.rfind(body)
