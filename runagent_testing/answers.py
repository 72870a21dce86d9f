"""HTTP answers as bytes: heads, framing, results, refusals (docs/wire.md sections 1 and 2). No I/O."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from runagent_testing.formats import Run, given, structured, to_json
from runagent_testing.script import Chunk, Error, Result, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LAST_CHUNK", "envelope", "http_chunk", "plain_answer", "refusal", "stream_head"]

LAST_CHUNK = b"0\r\n\r\n"

_CODES = {
    400: "VALIDATION_ERROR",
    401: "INVALID_API_KEY",
    404: "AGENT_NOT_FOUND",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMITED",
    500: "INTERNAL_ERROR",
}


def http_chunk(data: bytes) -> bytes:
    """Frame a piece of a chunked body; nothing stays nothing, as an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def stream_head(content_type: str, run: Run) -> bytes:
    """Make the head of a streamed answer; empty on a WebSocket, whose handshake has come before."""
    if run.transport == "websocket":
        return b""
    headers = {"Content-Type": content_type, "Cache-Control": "no-cache"}
    if run.http_1_1:
        headers["Transfer-Encoding"] = "chunked"
    return _head(200, headers, run)


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
    # RFC 9110 section 8.6 and RFC 9112 section 6.3: these have neither a body nor a length.
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return _head(status, headers, run)
    return _head(status, _replaced({"Content-Length": str(len(body))}, headers), run) + body


def _head(status: int, headers: dict[str, str], run: Run) -> bytes:
    if not run.keep_alive:
        headers = _replaced({"Connection": "close"}, headers)
    lines = [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _replaced(headers: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    names = {name.lower() for name in given}
    return {name: value for name, value in headers.items() if name.lower() not in names} | dict(given)


def _phrase(status: int) -> str:
    return next((known.phrase for known in HTTPStatus if known == status), "Unnamed")
