"""The way to an agent: what separates one kind of connection from another, and what a session knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

# help(Address) looks its annotations up.
from runagent._address.proxy import Proxy  # noqa: TC001
from runagent._address.url import Origin  # noqa: TC001
from runagent._public import publish
from runagent._redact import credential_parts

if TYPE_CHECKING:
    from ssl import SSLContext
else:
    SSLContext = Any  # ssl takes long to import, and not every client needs it

__all__ = ["Address", "Route", "SocketOption"]

SocketOption = tuple[int, int, int | bytes]  # level, option, value: the arguments of `setsockopt`


class Route(msgspec.Struct, frozen=True, gc=False):
    """How the request travels.

    Attributes:
        origin: Where the agent is.
        proxy: The plain HTTP proxy that reads the request itself, which then has the absolute
            form (RFC 9112 §3.2.2); None if the way is direct or a tunnel.
    """

    origin: Origin
    proxy: Proxy | None = None


class Address(msgspec.Struct, frozen=True):
    """All that distinguishes one kind of connection from another; connections are kept and reused by it.

    Attributes:
        origin: Where the agent is.
        proxy: The proxy on the way, if any.
        tunnel: The proxy passes the bytes through untouched (CONNECT); always so for TLS.
        ssl_context: What checks certificates, for an ``https`` origin.
        socket_options: What its sockets have set instead of the defaults.
    """

    origin: Origin
    proxy: Proxy | None = None
    tunnel: bool = False
    ssl_context: SSLContext | None = None
    socket_options: tuple[SocketOption, ...] | None = None

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port of the first TCP connection."""
        via = self.origin if self.proxy is None else self.proxy
        return via.host, via.port

    @property
    def route(self) -> Route:
        """What a session has to know of the way."""
        return Route(self.origin, None if self.tunnel else self.proxy)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What authorizes us to the proxy, as it goes on the wire."""
        given = self.proxy.authorization if self.proxy is not None else None
        return () if given is None else tuple(credential_parts(given))

    def __str__(self) -> str:
        return f"{self.origin}" if self.proxy is None else f"{self.origin} through the proxy {self.proxy}"


publish(Address, Route, module="runagent.transports")
