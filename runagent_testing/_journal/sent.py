"""What an agent has sent, taken apart: a response, or the messages of a WebSocket. No I/O.

An agent may send anything on purpose; whatever cannot be understood is left as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, OPEN, Protocol

from runagent_testing._internal.log import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Response", "SentMessage", "parse_messages", "parse_response"]

_STATUS_LINE = re.compile(rb"(HTTP/\d\.\d) (\d{3}) ?([^\r\n]*)")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?![0-9A-Fa-f])[^\r\n]*\r\n")


class Response(NamedTuple):
    """A response.

    Attributes:
        version: Such as "HTTP/1.1".
        status: The status.
        reason: The reason phrase.
        headers: The fields, in order.
        head_size: Bytes until the body.
        body: The body, without HTTP chunks, as far as it was sent.
    """

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    head_size: int
    body: bytes


class SentMessage(NamedTuple):
    """A message of a WebSocket, sent after so many seconds."""

    seconds: float
    opcode: int
    data: bytes


def parse_response(data: bytes) -> Response | None:
    """Take a response apart; None if the bytes are not one."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    if (found := _STATUS_LINE.fullmatch(line)) is None:
        return None
    version, status, reason = (part.decode("latin-1") for part in found.groups())
    pairs = (field.decode("latin-1").partition(":") for field in fields)
    headers = [(name, value.strip()) for name, _, value in pairs]
    codings = [value.lower() for name, value in headers if name.lower() == "transfer-encoding"]
    content = b"".join(_unchunked(body)) if any("chunked" in coding for coding in codings) else body
    head_size = len(data) - len(body)
    return Response(version, int(status), reason, headers, head_size, content)


def _unchunked(body: bytes) -> Iterator[bytes]:
    at = 0
    while (found := _CHUNK_SIZE.match(body, at)) is not None:
        size = int(found[1], 16)
        if not size:
            return
        yield body[found.end() : found.end() + size]
        at = found.end() + size + len(b"\r\n")
    yield body[at:]


def parse_messages(writes: Iterable[tuple[float, bytes]]) -> Iterator[SentMessage]:
    """Yield the messages of a WebSocket, up to an invalid frame.

    Args:
        writes: Seconds and bytes of each write after the handshake.
    """
    core = Protocol(CLIENT, state=OPEN, max_size=None, logger=SILENT)
    opcode, parts = Opcode.TEXT, list[bytes]()
    for seconds, data in writes:
        if core.parser_exc is not None:
            return
        core.receive_data(data)
        for frame in core.events_received():
            assert isinstance(frame, Frame)
            if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                continue
            if frame.opcode is not Opcode.CONT:
                opcode = frame.opcode
            parts.append(bytes(frame.data))
            if frame.fin:
                yield SentMessage(seconds, int(opcode), b"".join(parts))
                parts.clear()
