"""HTTP answers as bytes: heads, framing, results, refusals (docs/wire.md sections 1 and 2). No I/O."""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from runagent_testing.dialects._base import phrase
from runagent_testing.dialects._jsontext import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing._script.script import Result
    from runagent_testing._script.steps import Chunk, Error, Head, Status
    from runagent_testing._script.writes import Piece
    from runagent_testing.dialects import DialectRun, Format

__all__ = [
    "LAST_CHUNK",
    "handshake_head",
    "http_chunk",
    "plain_answer",
    "refusal",
    "replayed_head",
    "stream_head",
]

_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*"}
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_FRAMING = ("connection", "content-length", "keep-alive", "trailer", "transfer-encoding", "upgrade")

LAST_CHUNK = b"0\r\n\r\n"
_CHUNK_END: Piece = ("chunk-end", b"\r\n")


def http_chunk(data: bytes, extension: bytes = b"") -> tuple[Piece, ...]:
    """Frame a piece of a chunked body; no data gives no pieces, as an empty HTTP chunk would end the body."""
    if not data:
        return ()
    return ("chunk-header", b"%x%b\r\n" % (len(data), extension)), ("payload", data), _CHUNK_END


def stream_head(stream: Format, run: DialectRun, head: Head | None, length: int | str) -> bytes:
    """Make the head of a streamed answer.

    Args:
        stream: The format of the stream.
        run: The run to answer.
        head: The script's changes to the head.
        length: Bytes of the body, "chunked", or "close" for a body that ends with the connection.
    """
    headers = {"Content-Type": stream.content_type, "Cache-Control": "no-cache"} | _added(run)
    headers = _replaced(headers, stream.headers)
    if isinstance(length, int):
        headers["Content-Length"] = str(length)
    elif length == "chunked":
        headers["Transfer-Encoding"] = "chunked"
    close = not run.keep_alive or length == "close"
    return _head(200, headers, close=close, wanted=head)


def replayed_head(status: int, headers: Mapping[str, str], run: DialectRun, length: int | str) -> bytes:
    """Make the head of a recorded answer.

    Args:
        status: The recorded status.
        headers: The recorded fields; those that frame a body are replaced.
        run: The run to answer.
        length: As for `stream_head`; empty if the status has no body.
    """
    kept = {name: value for name, value in headers.items() if name.lower() not in _FRAMING}
    headers = _replaced(_added(run), kept)
    if isinstance(length, int):
        headers["Content-Length"] = str(length)
    elif length == "chunked":
        headers["Transfer-Encoding"] = "chunked"
    return _head(status, headers, close=not run.keep_alive or length == "close")


def handshake_head(head: Head | None, run: DialectRun) -> bytes:
    """Make the answer that accepts a WebSocket (RFC 6455 section 4.2.2)."""
    key = run.headers.get("sec-websocket-key", "").encode()
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"} | run.answer_headers
    headers["Sec-WebSocket-Accept"] = base64.b64encode(digest).decode()
    if run.subprotocol is not None:
        headers["Sec-WebSocket-Protocol"] = run.subprotocol
    return _head(101, headers, close=False, wanted=head)


def plain_answer(step: Chunk | Error, result: Result, run: DialectRun) -> bytes:
    """Make the answer of a plain run, as its dialect writes it."""
    return refusal(run.dialect.result(step, result, run), run)


def refusal(step: Status, run: DialectRun) -> bytes:
    """Make the answer that a `status` step asks for."""
    headers = {} if step.retry_after is None else {"Retry-After": str(step.retry_after)}
    if isinstance(step.body, str | bytes):
        body = step.body.encode() if isinstance(step.body, str) else step.body
        headers |= {"Content-Type": "text/plain; charset=utf-8"} if body else {}
    else:
        body = to_json(run.dialect.refusal(step, run) if step.body is None else step.body).encode()
        headers |= {"Content-Type": "application/json"}
    return _response(step.status, body, _replaced(headers, step.headers), run)


def _response(status: int, body: bytes, headers: dict[str, str], run: DialectRun) -> bytes:
    headers = _replaced(_added(run), headers)
    # RFC 9110 section 8.6 and RFC 9112 section 6.3: these statuses have neither a body nor a length.
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return _head(status, headers, close=not run.keep_alive)
    framed = _replaced({"Content-Length": str(len(body))}, headers)
    return _head(status, framed, close=not run.keep_alive) + body


def _head(status: int, headers: Mapping[str, str], *, close: bool, wanted: Head | None = None) -> bytes:
    fields: Mapping[str, str | None] = _replaced({"Connection": "close"}, headers) if close else headers
    if wanted is not None:
        status = wanted.status or status
        fields = _replaced(fields, wanted.headers)
    lines = [f"HTTP/1.1 {status} {phrase(status)}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _added(run: DialectRun) -> dict[str, str]:
    """Let a page of any origin read the answer, as only browsers send an Origin; and show the run's limit."""
    return (_ANY_ORIGIN if "origin" in run.headers else {}) | run.answer_headers


V = TypeVar("V", str, str | None)


def _replaced(headers: Mapping[str, V], given: Mapping[str, V]) -> dict[str, V]:
    names = {name.lower() for name in given}
    return {name: value for name, value in headers.items() if name.lower() not in names} | dict(given)
