"""The heads of an HTTP/1.1 response and of interim ones before it: limits, folded fields, checks."""

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
_MAX_UNFOLDED = 100  # the whole head is parsed again each time


class HeadReader:
    """Reads heads until the final response's is complete; the decoder then drops it with all that it kept.

    The parser has no limit for what it keeps. Invariant: it gets at most ``max_head_bytes`` of one head. With
    a limit of 10 and the reads ``HTTP/1.1`` and `` 200 OK``, it gets ``HTTP/1.1`` and `` 2``, and the
    response is rejected.

    Attributes:
        status: The status of the final response; 0 until its head is complete.
        version: Its HTTP version.
        headers: Its fields: lower-case names, repeated ones joined by ", ".
        done: The final response's head is complete.
        error: Why it will not be complete, or None.
        beginning: The first bytes of the first head, for error messages.
        fields: The fields of the current head.
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
        self._heads = 0  # how many have ended
        self._text = bytearray()  # all bytes so far
        self._unfolded = 0  # how often folds were removed from them

    def feed(self, data: bytes, parse: Callable[[bytes], bool]) -> bytes:
        """Feed the parser and return the bytes that it was not fed.

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
        """Replace line breaks inside fields by spaces (RFC 9112 §5.2), as llhttp rejects folded fields.

        Returns:
            All bytes so far, to be parsed again; None if there is nothing to unfold.
        """
        head = bytes(self._text)
        fold = re.search(_FOLD, head)
        if fold is None or self._unfolded >= _MAX_UNFOLDED:
            return None
        line = head[: fold.start()].rpartition(b"\r\n")[2]
        if b":" not in line or line.startswith(b"HTTP/"):  # only a field can be folded
            return None
        end = head.find(b"\r\n\r\n", fold.start())
        end = len(head) if end < 0 else end  # bytes after it are not part of this head
        self._text[:end] = re.sub(_FOLD, b" ", head[:end])
        self._unfolded += 1
        self._heads = 0
        return bytes(self._text)

    def end(self, status: int, version: str) -> None:
        """Check a complete head and set ``done`` or ``error``; an interim one usually sets neither."""
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
                f"more than {limit} interim (1xx) responses came before the final one",
                limit_name="max_interim_responses",
                limit=limit,
            )

    def malformed(self, why: object) -> ProtocolError:
        """Make the error for bytes that are not an HTTP/1.1 head."""
        return ProtocolError(
            f"this is not an HTTP/1.1 answer ({why}); the peer sent {quote(self.beginning)}",
            hint="check the scheme, the port and the path of base_url",
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
