"""Recordings written by hand."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["SSE_HEAD", "header", "rows", "written"]

SSE_HEAD = {"status": 200, "headers": {"content-type": "text/event-stream"}, "gap": 0.5}
DONE = 'event: done\ndata: {"type":"done"}\n\n'


def header(response: Any = SSE_HEAD, **more: Any) -> dict[str, Any]:
    """Make a header; the request's dialect is the documented one unless more is given."""
    asked = {"method": "POST", "path": "/v1/agents/a/stream", "headers": {"accept": "text/event-stream"}}
    usual = {"agent": "a", "dialect": "documented", "transport": "sse", "request": asked}
    return {"runagent_recording": 1, **usual, "response": response, **more}


def rows(*values: Any) -> bytes:
    """Write one JSON value a line."""
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def written(path: Any, *values: Any) -> Any:
    """Write a recording, and return its path."""
    path.write_bytes(rows(*values))
    return path
