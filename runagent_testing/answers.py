"""HTTP answers as bytes: heads, framing, results, refusals (docs/wire.md sections 1 and 2). No I/O."""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from runagent_testing.formats import Format, Run, given, structured, to_json
from runagent_testing.steps import Chunk, Error, Head, Status
from runagent_testing.writes import Piece

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing.script import Result

__all__ = [
    "LAST_CHUNK",
    "envelope",
    "handshake_head",
    "http_chunk",
    "plain_answer",
    "refusal",
    "stream_head",
]

_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*"}
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

LAST_CHUNK = b"0\r\n\r\n"

_CODES = {
    400: "VALIDATION_ERROR",
    401: "INVALID_API_KEY",
    404: "AGENT_NOT_FOUND",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMITED",
    500: "INTERNAL_ERROR",
}


def http_chunk(data: bytes, extension: bytes = b"") -> tuple[Piece, ...]:
    """Frame a piece of a chunked body; nothing stays nothing, as an empty chunk would end the body."""
    if not data:
        return ()
    size = Piece("chunk-header", b"%x%b\r\n" % (len(data), extension))
    return size, Piece("payload", data), Piece("chunk-end", b"\r\n")


def stream_head(stream: Format, run: Run, head: Head | None, length: int | str) -> bytes:
    """Make the head of a streamed answer.

    Args:
        stream: What is streamed.
        run: For whom.
        head: What the script says of it.
        length: Bytes of the body, "chunked", or "close" for a body that ends with the connection.
    """
    headers = {"Content-Type": stream.content_type, "Cache-Control": "no-cache"} | _for_browsers(run)
    if isinstance(length, int):
        headers["Content-Length"] = str(length)
    elif length == "chunked":
        headers["Transfer-Encoding"] = "chunked"
    close = not run.keep_alive or length == "close"
    return _head(200, headers, close=close, wanted=head)


def handshake_head(head: Head | None, run: Run) -> bytes:
    """Make the answer that accepts a WebSocket (RFC 6455 section 4.2.2)."""
    key = run.headers.get("sec-websocket-key", "").encode()
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    headers["Sec-WebSocket-Accept"] = base64.b64encode(digest).decode()
    return _head(101, headers, close=False, wanted=head)


def plain_answer(step: Chunk | Error, result: Result, run: Run) -> bytes:
    """Make the answer of a plain run, in the envelope of its surface."""
    if run.transport == "run":
        return _json(200, envelope(step, run), run)
    if isinstance(step, Error):
        return refusal(Status(500, step.retry_after, step.code, step.message), run)
    about = given(execution_time=result.execution_time, agent_version=result.agent_version)
    metadata = about | {"request_id": run.run_id}
    return _json(200, {"result": step.content} | given(usage=result.usage) | {"metadata": metadata}, run)


def refusal(step: Status, run: Run) -> bytes:
    """Make the answer that a `status` step asks for."""
    headers = {} if step.retry_after is None else {"Retry-After": str(step.retry_after)}
    if isinstance(step.body, str | bytes):
        body = step.body.encode() if isinstance(step.body, str) else step.body
        headers |= {"Content-Type": "text/plain; charset=utf-8"} if body else {}
    else:
        body = to_json(_error_body(step, run) if step.body is None else step.body).encode()
        headers |= {"Content-Type": "application/json"}
    return _response(step.status, body, _replaced(headers, step.headers), run)


def _error_body(step: Status, run: Run) -> dict[str, Any]:
    code = step.code or _CODES.get(step.status) or _phrase(step.status).upper().replace(" ", "_")
    details = {
        "code": code,
        "message": _phrase(step.status) if step.message is None else step.message,
        "status": step.status,
        "request_id": run.run_id,
    }
    return {"error": details | given(retry_after=step.retry_after)}


def envelope(step: Chunk | Error, run: Run) -> dict[str, Any]:
    """Wrap an outcome as the published server's ``run`` does."""
    outcome: dict[str, Any]
    if isinstance(step, Error):
        failure = {"code": step.code, "message": step.message, "details": None, "field": None}
        outcome = {"success": False, "data": None, "message": None, "error": failure}
    else:
        data = structured(step.content)
        outcome = {"success": True, "data": data, "message": "Agent executed successfully", "error": None}
    return outcome | {"timestamp": run.timestamp, "request_id": run.run_id}


def _json(status: int, value: Any, run: Run) -> bytes:
    return _response(status, to_json(value).encode(), {"Content-Type": "application/json"}, run)


def _response(status: int, body: bytes, headers: dict[str, str], run: Run) -> bytes:
    headers = _replaced(_for_browsers(run), headers)
    # RFC 9110 section 8.6 and RFC 9112 section 6.3: these have neither a body nor a length.
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return _head(status, headers, close=not run.keep_alive)
    framed = _replaced({"Content-Length": str(len(body))}, headers)
    return _head(status, framed, close=not run.keep_alive) + body


def _head(status: int, headers: Mapping[str, str], *, close: bool, wanted: Head | None = None) -> bytes:
    fields: Mapping[str, str | None] = _replaced({"Connection": "close"}, headers) if close else headers
    if wanted is not None:
        status = wanted.status or status
        fields = _replaced(fields, wanted.headers)
    lines = [f"HTTP/1.1 {status} {_phrase(status)}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _for_browsers(run: Run) -> dict[str, str]:
    """Let a page of any origin read the answer; only browsers say where they come from."""
    return dict(_ANY_ORIGIN) if "origin" in run.headers else {}


V = TypeVar("V", str, str | None)


def _replaced(headers: Mapping[str, V], given: Mapping[str, V]) -> dict[str, V]:
    names = {name.lower() for name in given}
    return {name: value for name, value in headers.items() if name.lower() not in names} | dict(given)


def _phrase(status: int) -> str:
    return next((known.phrase for known in HTTPStatus if known == status), "Unnamed")
