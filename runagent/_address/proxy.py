"""Which proxy serves an origin: the one that was given, or the environment's.

The rules are those of `urllib.request.getproxies_environment` and `proxy_bypass_environment`, written out
here because the standard library reads `os.environ` only, does not show which variable won, knows no networks
in ``NO_PROXY``, and takes some 40 ms to import.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from runagent._address.paths import holds_blank
from runagent._address.url import Fail, Origin, numeric_address, split_host_port
from runagent._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv6Address

__all__ = ["Proxy", "parse_proxy", "proxy_for"]

_URL = r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<authority>[^/?#]*)(?P<rest>.*)"
_CONTROL = rb"[\x00-\x1f\x7f]"


class Proxy(msgspec.Struct, frozen=True):
    """A plain HTTP proxy.

    Attributes:
        authorization: The ready value of ``Proxy-Authorization``; never shown.
    """

    host: str
    port: int
    authorization: str | None = None

    def __repr__(self) -> str:
        return f"Proxy(host={self.host!r}, port={self.port})"

    def __str__(self) -> str:
        host = self.host.replace("%", "%25")  # a zone, as URLs have it (RFC 6874)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def parse_proxy(text: str, source: str = "proxy") -> Proxy:
    """Read ``http://user:password@host:port`` or ``host:port``; the port is 80 unless given.

    Args:
        text: The proxy's URL; special characters in user name and password are percent-encoded.
        source: Where the text came from, for the error's message.

    Raises:
        ConfigurationError: The URL is not usable; its message shows neither user name nor password.
    """

    def fail(problem: str) -> ConfigurationError:
        message = f"{source}: {problem}; expected a proxy like http://user:password@host:port"
        return ConfigurationError(message, code="INVALID_PROXY", details={"source": source})

    if not isinstance(text, str):
        raise fail(f"the proxy must be text, not {type(text).__name__}")
    match = None if holds_blank(text) else re.fullmatch(_URL, text)
    if match is None:
        raise fail("the proxy's URL holds whitespace or control characters")
    if text[:1] in ('"', "'"):
        raise fail("the proxy's URL is in quotes; leave them out")
    scheme = (match["scheme"] or "http").lower()
    if scheme != "http":
        raise fail(f"only plain http:// proxies are supported, not {scheme}://")
    if match["rest"] not in ("", "/"):
        raise fail(
            "a path, query or fragment is not allowed (percent-encode / ? # in a user name or password)"
        )
    userinfo, at, authority = match["authority"].rpartition("@")
    host, port = split_host_port(authority, 80, fail)
    return Proxy(host, port, _basic(userinfo, fail) if at else None)


def proxy_for(origin: Origin, explicit: str | None, environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """Return the proxy through which ``origin`` is reached, or None for a direct connection.

    Args:
        origin: Where the request goes; a Unix socket never has a proxy.
        explicit: The ``proxy`` option: it wins, also for loopback; an empty text means no proxy at all.
        environ: Asked only if ``explicit`` is None, and never for loopback.

    Raises:
        ConfigurationError: The proxy that applies is not usable.
    """
    if origin.unix_path is not None:
        return None
    if explicit is not None:
        return parse_proxy(explicit, "proxy") if explicit else None
    if origin.is_loopback:
        return None
    found = _environment_proxies(environ)
    name, url = found.get(origin.scheme) or found.get("all") or ("", "")
    if not url or _bypassed(origin, found.get("no", ("", ""))[1]):
        return None
    return parse_proxy(url, f"environment variable {name}")


def _basic(userinfo: str, fail: Fail) -> str:
    # Few proxies ask for a password.
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes

    user, _, password = (unquote_to_bytes(part) for part in userinfo.partition(":"))
    if b":" in user or re.search(_CONTROL, user + password):  # RFC 7617 section 2
        raise fail("a user name must not hold a colon, nor user name or password control characters")
    return "Basic " + b64encode(user + b":" + password).decode("ascii")


def _environment_proxies(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Map http, https, all and no to the name and value of the variable that counts."""
    found: dict[str, tuple[str, str]] = {}
    variables = [(name, value.strip()) for name, value in environ.items() if name.lower().endswith("_proxy")]
    # Lower case comes last and wins; if it is empty, it switches its upper-case twin off.
    for name, value in sorted(variables, key=lambda variable: variable[0].islower()):
        if value or name.islower():
            found[name.lower().removesuffix("_proxy")] = (name, value)
    # A CGI server turns the request header "Proxy:" into HTTP_PROXY (CVE-2016-1000110).
    if "REQUEST_METHOD" in environ and not found.get("http", ("", ""))[0].islower():
        found.pop("http", None)
    return {kind: variable for kind, variable in found.items() if variable[1]}


def _bypassed(origin: Origin, no_proxy: str) -> bool:
    return any(_entry_matches(entry, origin) for entry in re.split(r"[,\s]+", no_proxy.lower()) if entry)


def _entry_matches(entry: str, origin: Origin) -> bool:
    if entry == "*":
        return True
    host = origin.host.rstrip(".")
    address = numeric_address(host)
    if address is not None and "/" in entry:
        return _in_network(address, entry)
    name, port = _split_entry(entry)
    if port and port != str(origin.port):
        return False
    if address is not None:
        return address == numeric_address(name)
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split_entry(entry: str) -> tuple[str, str]:
    """Split the port off; a bare IPv6 address has colons but no port."""
    if numeric_address(entry) is not None:
        return entry, ""
    match = re.fullmatch(r"\[?(?P<host>.*?)\]?(?::(?P<port>[0-9]+))?", entry)
    return (match["host"], match["port"] or "") if match else (entry, "")


def _in_network(address: IPv4Address | IPv6Address, entry: str) -> bool:
    from ipaddress import ip_network

    try:
        network = ip_network(entry, strict=False)
    except (
        ValueError
    ):  # the environment belongs to everyone: an entry that nobody understands excludes nothing
        return False
    return address in network
