"""The body of an HTTP/1.1 response: limits of the framing between its pieces, and short chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._wire.http1_head import head_too_large

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._errors import RunAgentError

__all__ = ["FREE_FRAMING", "SHORT_BYTES", "BodyReader", "is_chunk", "short_chunk_head"]

# A stream that is written event by event mostly arrives one HTTP chunk a read. The length of a whole short
# chunk without extensions fixes its head. Invariant: a read where a chunk begins is exactly one
# chunk if it starts with the head for its length and ends with CR LF, as the head fixes how many bytes
# follow. For example, a read of 10 bytes that starts with "5\r\n" and ends with "\r\n", such as
# "5\r\nhello\r\n", holds 5 bytes of body, whatever they are.
SHORT_BYTES = 1024


class _Heads(dict[int, bytes | None]):
    """Maps the length of a short chunk to its head; None if no short chunk has that length.

    Each head is made when it is first needed: a table of all takes longer to make than most runs need.
    """

    def __missing__(self, length: int) -> bytes | None:
        if length > SHORT_BYTES:
            return None
        sizes = (length - digits - 4 for digits in (1, 2, 3))  # 4 bytes are the ends of its two lines
        heads = (b"%x\r\n" % size for size in sizes if size > 0)
        head = next((head for head in heads if int(head, 16) + len(head) + 2 == length), None)
        self[length] = head
        return head


short_chunk_head = _Heads().__getitem__

FREE_FRAMING = 1024  # bytes of framing around each piece of body that do not count towards the limit


class BodyReader:
    """Limits the bytes that are not body: chunk heads with their extensions, and trailers.

    The length of either is known only at its end, so two counts have the limit ``max_head_bytes`` (RFC 9112
    §7.1.1): the bytes that the parser gets without finding any body, and the sum of the framing around pieces
    of body, less 1,024 bytes for each piece. For example, the chunk ``1;``, 1,500 bytes of extension,
    ``\\r\\na\\r\\n`` adds 482 to the sum: 1,507 bytes, less one byte of body, less 1,024.

    Args:
        pieces: The list to which the parser appends pieces of body.
        max_head_bytes: The limit.

    Attributes:
        waiting: Bytes since the last piece of body.
        error: Why no more of the body will come, or None.
    """

    def __init__(self, pieces: list[bytes], max_head_bytes: int) -> None:
        self.waiting = 0
        self.error: RunAgentError | None = None
        self._pieces = pieces
        self._max = max_head_bytes
        self._framing = 0  # bytes of long chunk heads

    def feed(self, data: bytes, parse: Callable[[bytes], bool]) -> bytes:
        """Feed the parser and return the bytes that it was not fed.

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
        """Count bytes of framing, also of heads with hardly any body between them, and check the limit.

        Args:
            size: Bytes that the parser was fed.
            found: Whether it found body in them.
            going: Whether it takes more; if not, the response is over and no limit applies.
        """
        fed = self.waiting + size
        if found and fed > (free := FREE_FRAMING * len(self._pieces)):  # of a burst, all framing is free
            self._framing += max(0, fed - sum(map(len, self._pieces)) - free)
        self.waiting = 0 if found else fed
        if going and max(self.waiting, self._framing) > self._max:
            self.error = head_too_large(self._max)


def is_chunk(data: bytes, body: bytes) -> bool:
    r"""Whether ``data`` is exactly one short HTTP chunk whose payload is ``body``.

    The parser reports the body but not its position, so the answer is True only if ``body`` occurs in
    ``data`` once. ``5\r\nhello\r\n`` holds ``hello`` once. But ``4\r\n4\r\n4\r\n`` holds ``4\r\n4`` twice: it
    is either one whole chunk, or the end of a longer one and the head of the next.
    """
    head = short_chunk_head(len(data))
    if head is None or data != b"%b%b\r\n" % (head, body):
        return False
    return data.find(body) == data.rfind(body)
