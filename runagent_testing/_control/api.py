"""The control API: everything below ``/_fake`` on a fake agent server, and the page at ``/``. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from runagent_testing._control.guard import check_content_type
from runagent_testing._control.messages import MAX_CONTROL_BODY, ControlError, ControlRequest, Reply
from runagent_testing._control.openapi import description
from runagent_testing._control.page import page
from runagent_testing._control.routes import dispatch
from runagent_testing._host.scopes import SCOPE_PREFIX, scope_named
from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from runagent_testing._control.guard import Guard
    from runagent_testing._control.messages import Outcome
    from runagent_testing._host.host import AgentHost
    from runagent_testing._host.scope import Scope
    from runagent_testing.dialects import Request

__all__ = ["CONTROL_PREFIX", "Control", "is_control", "may_be_control"]

__tracebackhide__ = is_ours

CONTROL_PREFIX = "/_fake"
# They show nothing, so probes need neither the token nor a known Host.
_OPEN = ("/health", "/ready")


def is_control(path: str, method: str = "GET") -> bool:
    """Whether a request with this path is one to the control API or for its page, of any scope."""
    inner = _inner(path).partition("?")[0]
    if inner == "/":
        return method in ("GET", "HEAD")
    return inner == CONTROL_PREFIX or inner.startswith(f"{CONTROL_PREFIX}/")


def may_be_control(first: bytes) -> bool:
    """Whether a connection whose first bytes these are carries a request to the control API."""
    line = first.partition(b"\r\n")[0].split(b" ")
    return len(line) > 1 and is_control(line[1].decode("latin-1"), line[0].decode("latin-1"))


class Control:
    """Answers requests to the control API.

    Args:
        host: The server.
        guard: Refuses those who may not use it; None refuses everybody, probes aside.

    Attributes:
        is_ready: Whether the server accepts connections.
    """

    def __init__(self, host: AgentHost, guard: Guard | None) -> None:
        self._host = host
        self._guard = guard
        self.is_ready = True

    def answer(self, request: Request) -> Outcome:
        """Decide on the answer to a request."""
        try:
            return self._answer(request)
        except ControlError as exc:
            return exc.reply()

    def _answer(self, request: Request) -> Outcome:
        inner, _, query = _inner(request.path).partition("?")
        path = inner.removeprefix(CONTROL_PREFIX)
        method = "GET" if request.method == "HEAD" else request.method
        if path in _OPEN and method == "GET":
            return self._health(path)
        if self._guard is None:
            raise ControlError(
                403, "OFF", "nobody may steer this server over HTTP: it has no --control-token"
            )
        if inner == "/":
            self._guard.check_host(request.headers)
            return page()
        self._guard.check(request.headers)
        if request.body is None or len(request.body) > MAX_CONTROL_BODY:
            raise ControlError(413, "TOO_LARGE", f"a body has at most {MAX_CONTROL_BODY} bytes")
        check_content_type(request.headers, request.body)
        if path == "/openapi.json" and method == "GET":
            return Reply(description(self._host.url))
        return dispatch(
            ControlRequest(
                self._host, self._scope(request), method, path, _query(query), request.headers, request.body
            )
        )

    def _health(self, path: str) -> Reply:
        if path == "/ready" and not self.is_ready:
            return Reply({"status": "draining"}, 503)
        return Reply({"status": "ready" if path == "/ready" else "ok"})

    def _scope(self, request: Request) -> Scope:
        try:
            name, _ = scope_named(request)
            return self._host.scope(name) if name else self._host
        except ValueError as exc:
            raise ControlError(400, "BAD_SCOPE", str(exc)) from exc
        except RuntimeError as exc:
            raise ControlError(503, "TOO_MANY_SCOPES", str(exc)) from exc


def _inner(path: str) -> str:
    """Return a path without the prefix of a scope."""
    rest = path.removeprefix(SCOPE_PREFIX)
    return path if rest == path else f"/{rest.partition('/')[2]}"


def _query(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100))
    except ValueError as exc:
        raise ControlError(400, "INVALID", "the query has too many parameters") from exc
