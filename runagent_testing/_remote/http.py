"""Requests to the control API of a server, on the standard library's HTTP client."""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from runagent_testing._control.messages import MAX_CONTROL_BODY
from runagent_testing._internal.clock import now
from runagent_testing._internal.public import publish
from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

__all__ = ["ControlConnection", "RemoteControlError"]

__tracebackhide__ = is_ours

MAX_ANSWER = 256 * 1024 * 1024  # bytes of one answer, such as a journal
_PATIENCE = 10.0  # seconds for an answer, in addition to those that it may wait
_FRESH = 5.0  # seconds for which an idle connection is taken for one that the server still keeps


class RemoteControlError(RuntimeError):
    """A server refuses what it was asked over HTTP, or does not answer.

    Attributes:
        status: The HTTP status; None if there was no answer.
        code: The error's code, such as "INVALID_SCRIPT"; "" if there was no answer.
        problems: What is wrong with a script, each with ``line``, ``column`` and ``message``.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        code: str = "",
        problems: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(message, status, code, problems or [])
        self.status = status
        self.code = code
        self.problems = problems or []

    def __str__(self) -> str:
        return str(self.args[0])


class ControlConnection:
    """Asks the control API of one server, from any thread; each has a separate connection while it asks.

    Args:
        url: The base URL of the server.
        token: As `FakeAgentServer.control_token`.
        scope: The scope; "" for the server itself.
        ssl_context: For ``https``.
    """

    def __init__(
        self, url: str, token: str | None, scope: str, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "http+unix") or not parts.netloc or parts.query:
            raise ValueError(f"the URL of a fake agent server is like http://127.0.0.1:8450, not {url!r}")
        self._parts = parts
        self._ssl_context = ssl_context
        self._token = token
        self.root = url.rstrip("/")
        self.prefix = f"/_scope/{quote(scope, safe='')}" if scope else ""
        self._lock = threading.Lock()
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        self._close = weakref.finalize(self, _close_all, self._idle)

    def __repr__(self) -> str:
        return f"<control of {self.root}{self.prefix}>"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        wait: float = 0.0,
    ) -> Any:
        """Send a request, and return the content of the answer.

        Args:
            method: The method.
            path: Below ``/_fake``, percent-encoded.
            body: A JSON value; None for none.
            query: Parameters; those that are None are left out.
            wait: How many seconds the server may wait.

        Raises:
            RemoteControlError: The server refuses it, or cannot be reached.
        """
        given = {name: _written(value) for name, value in (query or {}).items() if value is not None}
        target = f"{self._parts.path.rstrip('/')}{self.prefix}/_fake{path}"
        if given:
            target += f"?{urlencode(given)}"
        data = None if body is None else json.dumps(body).encode()
        if data is not None and len(data) > MAX_CONTROL_BODY:
            raise RemoteControlError(f"a script has at most {MAX_CONTROL_BODY} bytes", 413, "TOO_LARGE")
        try:
            status, content = self._exchange(method, target, data, wait)
        except (OSError, http.client.HTTPException) as exc:
            raise RemoteControlError(f"no answer from {self.root}: {type(exc).__name__}: {exc}") from exc
        return _checked(method, path, status, content)

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            _close_all(self._idle)

    def _exchange(self, method: str, target: str, data: bytes | None, wait: float) -> tuple[int, bytes]:
        headers = {} if data is None else {"Content-Type": "application/json"}
        if self._token is not None:
            headers["X-Fake-Token"] = self._token
        connection = self._take(_PATIENCE + wait)
        try:
            connection.request(method, target, data, headers)
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER + 1)
            if len(content) > MAX_ANSWER:
                raise RemoteControlError(
                    f"the answer to {method} {target} has more than {MAX_ANSWER} bytes: ask for less at once"
                )
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append((connection, now()))
        return answer.status, content

    def _take(self, timeout: float) -> http.client.HTTPConnection:
        with self._lock:
            while self._idle:
                connection, since = self._idle.pop()
                if now() - since < _FRESH and _is_open(connection):
                    connection.sock.settimeout(timeout)
                    return connection
                connection.close()
        return self._connect(timeout)

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        parts = self._parts
        if parts.scheme == "http+unix":
            return _UnixConnection(unquote(parts.netloc), timeout)
        if parts.scheme == "https":
            return http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=timeout, context=self._ssl_context
            )
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._socket_path)


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has not closed an idle connection, which would make it readable."""
    return connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]


def _close_all(connections: list[tuple[http.client.HTTPConnection, float]]) -> None:
    while connections:
        connections.pop()[0].close()


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _checked(method: str, path: str, status: int, content: bytes) -> Any:
    """Return the content of an answer.

    Raises:
        RemoteControlError: It is a refusal, or not one of a fake agent server.
    """
    try:
        value = json.loads(content) if content else None
    except ValueError:
        value = None
    if status in (200, 204):
        return value
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict) or "problems" not in error:  # of an agent's dialect, for example
        error = {"message": f"{method} /_fake{path} got the status {status}: is the control API on?"}
    raise RemoteControlError(error["message"], status, error.get("code", ""), error.get("problems"))


publish(RemoteControlError)
