"""A real service to which requests are passed on, and the requests as they are sent to it. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from runagent_testing._internal.public import publish
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.script import Script

if TYPE_CHECKING:
    from runagent_testing._recording.folder import RecordingFolder
    from runagent_testing.dialects import Request

__all__ = ["Forward", "ForwardingError", "Upstream"]

__tracebackhide__ = is_ours

_PORTS = {"http": 80, "https": 443}
# Of one connection only (RFC 9110 section 7.6.1), or of the connection to the fake agent.
_OWN = frozenset(
    (
        *("connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "x-fake-scope"),
        # An answer that nobody may read can neither be recorded nor searched for credentials.
        *("accept-encoding", "sec-websocket-extensions"),
    )
)
_BLANKS = re.compile(r"[\x00-\x20\x7f]")


class ForwardingError(RuntimeError):
    """A request cannot be passed on from here, such as from a memory network, which has no sockets."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A service.

    Attributes:
        is_secure: Whether it speaks TLS.
        host: Name or address.
        port: The port.
        path: What precedes the path of every request; empty, or beginning with a slash.
    """

    is_secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Take a URL apart.

        Raises:
            ValueError: It is not one of a service: ``http://host`` or ``https://host``, perhaps with a port
                and a path.
        """
        wanted = "an upstream is http://host or https://host, perhaps with a port and a path"
        if _BLANKS.search(url):
            raise ValueError(wanted)
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as exc:
            raise ValueError(f"the port of an upstream: {exc}") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(wanted)
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError(f"{wanted}; not with a user, a query or a fragment: the client sends its key")
        is_secure = parts.scheme == "https"
        return cls(is_secure, parts.hostname, port or _PORTS[parts.scheme], parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """The host with its port, as in a URL; without the usual port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.is_secure else "http"] else f"{host}:{self.port}"

    def request(self, asked: Request) -> bytes:
        """Write a request as the service gets it: over a connection that carries no other one."""
        is_websocket = asked.headers.get("upgrade", "").lower() == "websocket"
        fields = [("host", self.authority)]
        fields += [(name, value) for name, value in asked.headers.items() if name not in _OWN]
        fields.append(("accept-encoding", "identity"))
        if is_websocket:
            fields += [("connection", "Upgrade"), ("upgrade", "websocket")]
        else:
            fields.append(("connection", "close"))
        body = asked.body or b""
        if body or asked.method in ("POST", "PUT", "PATCH"):
            fields.append(("content-length", str(len(body))))
        lines = [f"{asked.method} {self.path}{asked.path} HTTP/1.1", *(f"{n}: {v}" for n, v in fields)]
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward(Script):
    """A run that a real service answers; it has no steps.

    Attributes:
        upstream: The service.
        folder: Where exchanges are recorded; None if they are not.
    """

    upstream: Upstream
    folder: RecordingFolder | None = None

    @property
    def refuses(self) -> bool:
        """Whether the answer is not a stream that a dialect writes: always."""
        return True


publish(ForwardingError)
