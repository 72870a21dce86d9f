"""Reading and checking what a request asks for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["MAX_BODY", "as_json", "read_body", "run_request_faults"]

MAX_BODY = 16 * 1024 * 1024  # bytes
_FIELDS = {
    "entrypoint_tag": (str, "string_type", "Input should be a valid string"),
    "input_args": (list, "list_type", "Input should be a valid list"),
    "input_kwargs": (dict, "dict_type", "Input should be a valid dictionary"),
}


async def read_body(request: web.BaseRequest) -> bytes | None:
    """Read the body; None if it is larger than `MAX_BODY`, then the rest stays unread."""
    if (request.content_length or 0) > MAX_BODY:
        return None
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    async for data in request.content.iter_any():
        body += data
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def as_json(body: bytes | None) -> Any:
    """Decode a body; None if it is missing or not JSON."""
    try:
        return json.loads(body or b"")
    except (ValueError, RecursionError):
        return None


def run_request_faults(body: Any) -> list[dict[str, Any]]:
    """List what is wrong with the body of a ``run``, as FastAPI does; empty if it is good."""
    if body is None:
        return [_fault("json_invalid", ["body", 0], "JSON decode error", {})]
    if not isinstance(body, dict):
        return [_fault("model_attributes_type", ["body"], "Input should be a valid dictionary", body)]
    faults = []
    for name, (kind, fault, text) in _FIELDS.items():
        if name not in body:
            faults.append(_fault("missing", ["body", name], "Field required", body))
        elif not isinstance(body[name], kind):
            faults.append(_fault(fault, ["body", name], text, body[name]))
    return faults


def _fault(kind: str, location: list[str | int], text: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "loc": location, "msg": text, "input": value}
