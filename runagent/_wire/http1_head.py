"""The head of an HTTP/1.1 response, and of the interim ones before it: what llhttp leaves to its caller."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runagent._errors import ProtocolError, StreamLimitError
from runagent._wire.jsontext import QUOTE_BYTES, quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._errors import RunAgentError
    from runagent._limits import Limits

__all__ = ["HeadReader", "head_too_large"]

_FOLD = rb"\r\n[ \t]+"
_MAX_UNFOLDED = 100  # each time the whole head is read again


class HeadReader:
    """Reads heads until the final response's is complete; then it is dropped, with all that it kept.

    The parser does not bound what it keeps. So it never gets more than ``max_head_bytes`` of a head: with a
    limit of 10 and the reads ``HTTP/1.1`` and `` 200 OK``, it gets ``HTTP/1.1`` and `` 2``, and then the
    answer is refused.

    Attributes:
        status: The status of the final response; 0 until its head is complete.
        version: Its HTTP version.
        headers: Its fields: lower-case names, repeated ones joined by ", ".
        done: The final response's head is complete.
        error: Why it will not be, or None.
        beginning: The first bytes of all, for messages.
        fields: The fields of the head that is under way.
    """

    def __init__(self, limits: Limits) -> None:
        self.status = 0
        self.version = ""
        self.headers: dict[str, str] = {}
        self.done = False
        self.error: RunAgentError | None = None
        self.beginning = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self._limits = limits
        self._size = 0  # bytes since the last head ended
        self._heads = 0  # that have ended
        self._text = bytearray()  # all that has come
        self._unfolded = 0  # times that folds had to be taken out of it

    def feed(self, data: bytes, parse: Callable[[bytes], bool]) -> bytes:
        """Give the parser the next bytes, and return those that it has not been given.

        Args:
            data: The next bytes.
            parse: Feeds the parser; False once it takes no more.
        """
        self.beginning += data[: QUOTE_BYTES - len(self.beginning)]
        going = True
        while data and going and not self.done:
            room = self._limits.max_head_bytes - self._size
            if room <= 0:
                self.error = head_too_large(self._limits.max_head_bytes)
                break
            piece, data = data[:room], data[room:]
            self._text += piece
            before = self._heads
            going = parse(piece)
            self._size = self._size + len(piece) if before == self._heads else 0
        return data

    def unfold(self) -> bytes | None:
        """Put a space for each line break inside a field: RFC 9112 §5.2 has us read what llhttp refuses.

        Returns:
            All that has come, to be read again; None if there is nothing to unfold.
        """
        head = bytes(self._text)
        fold = re.search(_FOLD, head)
        if fold is None or self._unfolded >= _MAX_UNFOLDED:
            return None
        line = head[: fold.start()].rpartition(b"\r\n")[2]
        if b":" not in line or line.startswith(b"HTTP/"):  # no field that could go on
            return None
        end = head.find(b"\r\n\r\n", fold.start())
        end = len(head) if end < 0 else end  # what lies behind is no part of this head
        self._text[:end] = re.sub(_FOLD, b" ", head[:end])
        self._unfolded += 1
        self._heads = 0
        return bytes(self._text)

    def end(self, status: int, version: str) -> None:
        """Judge a head that is complete; sets ``done`` or ``error``, or neither after an interim one."""
        # llhttp reads RTSP and ICE as well.
        if version not in ("1.1", "1.0") or not self.beginning.lstrip(b"\r\n").startswith(b"HTTP/"):
            self.error = self.malformed("HTTP version")
        elif status < 100:
            self.error = self.malformed("status code")
        elif status < 200 and status != 101:
            self._end_interim()
        else:
            self.status, self.version, self.headers = status, version, _join_fields(self.fields)
            if self.headers.get("transfer-encoding", "chunked").lower() != "chunked":
                self.error = self.malformed("transfer coding")
            self.done = self.error is None
            self._heads += self.done

    def _end_interim(self) -> None:
        self._heads += 1
        limit = self._limits.max_interim_responses
        if self._heads > limit:
            self.error = StreamLimitError(
                f"more than {limit} 1xx responses came first",
                limit_name="max_interim_responses",
                limit=limit,
            )

    def malformed(self, why: object) -> ProtocolError:
        """Make the error for bytes that are no head of HTTP/1.1."""
        return ProtocolError(
            f"this is not an HTTP/1.1 answer ({why}); the peer sent {quote(self.beginning)}."
            " Check the scheme, the port and the path of base_url"
        )


def head_too_large(limit: int) -> StreamLimitError:
    """Make the error for a head, chunk heads or trailers over ``max_head_bytes``."""
    return StreamLimitError(
        f"the answer's head is larger than {limit} bytes", limit_name="max_head_bytes", limit=limit
    )


def _join_fields(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip(" \t")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
