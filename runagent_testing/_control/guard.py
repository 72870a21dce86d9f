"""Who may use the control API: no page of another origin, nobody without the token."""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import TYPE_CHECKING

from runagent_testing._control.messages import ControlError
from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["TOKEN_HEADER", "Guard", "check_content_type", "is_loopback"]

__tracebackhide__ = is_ours

TOKEN_HEADER = "x-fake-token"
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+))(?::[0-9]+)?", re.ASCII)
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


def is_loopback(host: str) -> bool:
    """Whether an address is reached from the same machine only."""
    if host in _LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests to the control API.

    A page of another origin can send simple requests here, and by DNS rebinding also reads the answers. So
    the `Origin` has to be that of the `Host`, and the `Host` one of those that the server listens on.

    Args:
        hosts: The names and addresses of the server; None for any (a Unix socket, which no page reaches).
        token: Has to come in `TOKEN_HEADER`; None if none has to.
    """

    def __init__(self, hosts: Collection[str] | None, token: str | None = None) -> None:
        self._hosts = None if hosts is None else {host.lower() for host in hosts}
        self._listens_everywhere = any(map(_is_unspecified, hosts or ()))
        if self._hosts is not None and (self._listens_everywhere or any(map(is_loopback, self._hosts))):
            self._hosts |= _LOOPBACK
        self._token = token

    def check(self, headers: Mapping[str, str]) -> None:
        """Refuse a request that may not use the control API.

        Raises:
            ControlError: Its origin or host is a foreign one, or the token is wrong or missing.
        """
        self.check_host(headers)
        given = headers.get(TOKEN_HEADER, "")
        if self._token is not None and not hmac.compare_digest(_encoded(given), _encoded(self._token)):
            fault = "wrong" if given else "missing"
            needed = {"WWW-Authenticate": "X-Fake-Token"}
            raise ControlError(401, "WRONG_TOKEN", f"the X-Fake-Token is {fault}", headers=needed)

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Refuse a request that a page of another origin may have sent.

        Raises:
            ControlError: Its origin or host is a foreign one.
        """
        host = headers.get("host", "")
        if not self._knows(host):
            raise ControlError(403, "FOREIGN_HOST", "the Host of this request is not one of this server")
        origin = headers.get("origin")
        if origin is not None and not _is_origin_of(origin, host):
            raise ControlError(403, "FOREIGN_ORIGIN", "the Origin of this request is not this server")

    def _knows(self, host: str) -> bool:
        if self._hosts is None:
            return True
        name = _name_of(host)
        # An address cannot be rebound: a page that has it as its host came from this very server.
        return name in self._hosts or (self._listens_everywhere and _is_address(name))


def check_content_type(headers: Mapping[str, str], body: bytes) -> None:
    """Refuse a body that is not declared to be JSON; the types of simple requests could come from any page.

    Raises:
        ControlError: It is of another type.
    """
    declared = headers.get("content-type")
    if declared is None and not body:
        return
    if (declared or "").partition(";")[0].strip().lower() != "application/json":
        raise ControlError(415, "NOT_JSON", "the body has to be application/json, and its Content-Type too")


def _encoded(token: str) -> bytes:
    return token.encode("utf-8", "surrogateescape")


def _name_of(host: str) -> str:
    """Return the name of a Host field, without the port, which may be that of a tunnel; "" for no host."""
    found = _HOST.fullmatch(host)
    return "" if found is None else (found["address"] or found["name"]).lower()


def _is_origin_of(origin: str, host: str) -> bool:
    scheme, mark, rest = origin.partition("://")
    return bool(mark) and scheme in ("http", "https") and rest.lower() == host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_unspecified(host: str) -> bool:
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
