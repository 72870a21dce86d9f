"""Answers that depend on the request alone: to invalid handshakes, large bodies and preflights. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.steps import Status
from runagent_testing.dialects._request import MAX_BODY

if TYPE_CHECKING:
    from runagent_testing._host.parsed import ParsedRequest
    from runagent_testing.dialects import Dialect, Request

__all__ = ["handshake_fault", "key_of", "preflight", "too_large"]

__tracebackhide__ = is_ours


def key_of(dialect: Dialect, request: Request) -> str | None:
    """Return the key that a request brings, as far as its dialect finds it."""
    try:
        return dialect.find_api_key(request)
    except Exception:  # noqa: BLE001 - a dialect may raise anything; the check of the key reports it
        return None


def handshake_fault(request: Request) -> Status | None:
    """Return the status that refuses a handshake; a 426 names the supported version."""
    if request.handshake_fault is None:
        return None
    code, fault = request.handshake_fault
    headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"} if code == 426 else {}
    return Status(code, code="BAD_HANDSHAKE", message=fault, headers=headers)


def too_large(parsed: ParsedRequest) -> Status:
    """Reject a request whose body was not read to its end."""
    limit = f"a request has at most {MAX_BODY} bytes"
    return parsed.reject(Status(413, code="REQUEST_TOO_LARGE", message=limit))


def preflight(request: Request) -> Status:
    """Answer a browser's preflight request, which carries no key, with everything that a page may send."""
    wanted = request.headers.get("access-control-request-headers", "*")
    allowed = {
        "Allow": "GET, HEAD, POST, OPTIONS",
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": wanted,
        "Access-Control-Max-Age": "600",
    }
    return Status(204, body=b"", headers=allowed)
