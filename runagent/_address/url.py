"""Base URLs and hosts: checked once, before anything is sent.

docs/wire.md section 4; RFC 3986 (URLs), RFC 6874 (zone identifiers).
Deviations: ``ws`` and ``wss`` mean ``http`` and ``https``; an empty port is refused.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import msgspec

from runagent._address.paths import BAD_ESCAPE, PATH_SAFE, holds_blank, is_plain, percent_encode, target_fault
from runagent._errors import ConfigurationError
from runagent._redact import describe, redact_url

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

__all__ = [
    "BaseURL",
    "Origin",
    "is_numeric",
    "numeric_address",
    "parse_base_url",
    "split_host_port",
    "split_url",
]

Scheme = Literal["http", "https"]
Fail = Callable[[str], ConfigurationError]

_SCHEMES: dict[str, Scheme] = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_DEFAULT_PORTS: dict[Scheme, int] = {"http": 80, "https": 443}
_UNIX_PATH_BYTES = 107 if sys.platform == "linux" else 103  # of `sockaddr_un`, without the NUL at its end

# Modules and patterns that most processes do without are loaded late, as in `paths`.
_SCHEME_MARKS = b"+.-"
_HOST_MARKS = b"_-"
# Sharp s, final sigma, the joiners: IDNA 2003, which the standard library has, and 2008 give different names.
_IDNA_DEVIATIONS = "[\u00df\u1e9e\u03c2\u200c\u200d]"


class Origin(msgspec.Struct, frozen=True):
    """Where to connect: scheme, host and port, or a Unix socket.

    Attributes:
        host: Lower case, IDNA-encoded, an IPv6 address without brackets; ``localhost`` for a Unix socket.
        port: 1 to 65535; 0 for a Unix socket.
        unix_path: Path of the Unix socket.
    """

    scheme: Scheme
    host: str
    port: int
    unix_path: str | None = None

    @property
    def netloc(self) -> str:
        """The value of the Host header; the zone of an IPv6 address stays at home (RFC 6874)."""
        if self.unix_path is not None:
            return "localhost"
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.scheme == "https"

    @property
    def is_loopback(self) -> bool:
        """Whether the traffic stays on this machine, judged by the name alone."""
        return self.unix_path is not None or _is_loopback(self.host.rstrip("."))

    def __str__(self) -> str:
        if self.unix_path is not None:
            return f"http+unix://{percent_encode(self.unix_path, '')}"
        if "%" in self.host:  # a zone, which only this machine can distinguish from other zones
            return f"{self.scheme}://" + self.netloc.replace("]", "%25" + self.host.partition("%")[2] + "]")
        return f"{self.scheme}://{self.netloc}"


class BaseURL(msgspec.Struct, frozen=True):
    """An origin and a path, which is percent-encoded.

    Attributes:
        prefix: The path before ``/v1`` or ``/api/v1``, without a slash at its end.
        ending: The rest of the path: slashes, and ``v1`` or ``api/v1`` if it ends so. Only protocols whose
            agents have a URL each care about it.
    """

    origin: Origin
    prefix: str
    ending: str = ""

    def __str__(self) -> str:
        return f"{self.origin}{self.prefix}"


def parse_base_url(text: str, source: str = "base_url") -> BaseURL:
    """Read a base URL as docs/wire.md section 4 describes it.

    Args:
        text: An ``http``, ``https``, ``ws``, ``wss`` or ``http+unix`` URL.
        source: Where the text came from, for the error's message.

    Raises:
        ConfigurationError: The URL is not usable; its message never shows user name, password or query.
    """
    if not isinstance(text, str):
        raise _refuse_url(source, f"expected a URL as text, found {describe(text)}")

    def fail(problem: str) -> ConfigurationError:
        return _refuse_url(source, f"{problem} in {redact_url(text)}")

    if holds_blank(text):
        raise fail("whitespace or control characters are not allowed")
    if text[:1] in ('"', "'"):
        raise fail("the URL is in quotes; leave them out")
    scheme, authority, path = _split(text)
    if not _is_scheme(scheme):
        raise fail("did you forget https://? There is no scheme")
    if "@" in authority:
        raise fail("user name and password are not allowed (use api_key)")
    if "?" in path or "#" in path:
        raise fail("a query or fragment is not allowed")
    return BaseURL(_parse_origin(scheme.lower(), authority, fail), *_split_path(path, fail))


def split_url(url: object) -> tuple[Origin, str]:
    """Split an absolute ``http``, ``https``, ``ws`` or ``wss`` URL into its origin, and its path and query.

    Raises:
        ConfigurationError: It is something else, or has a user name, a password or a fragment; the message
            shows neither these nor the query.
    """

    def fail(problem: str) -> ConfigurationError:
        return _refuse_url("URL", f"{problem} in {redact_url(str(url))}")

    if not isinstance(url, str):
        raise _refuse_url("URL", f"expected an absolute http or https URL, found {describe(url)}")
    scheme, authority, path = _split(url)
    if scheme.lower() not in _SCHEMES:
        raise fail("expected an absolute http or https URL")
    if "@" in authority:
        raise fail("user name and password are not allowed")
    target = path if path.startswith("/") else f"/{path}"
    if fault := target_fault(target):
        raise _refuse_url("URL", fault)
    return _parse_origin(scheme.lower(), authority, fail), target


def _split(url: str) -> tuple[str, str, str]:
    """Split a URL into scheme, authority and the rest; all are empty without ``://``."""
    scheme, found, behind = url.partition("://")
    end = min(at for at in (*map(behind.find, "/?#"), len(behind)) if at >= 0)
    return (scheme, behind[:end], behind[end:]) if found else ("", "", "")


def split_host_port(authority: str, default_port: int, fail: Fail) -> tuple[str, int]:
    """Split ``host``, ``host:port`` or ``[ipv6]:port`` and bring the host into its normal form.

    Raises:
        ConfigurationError: What ``fail`` makes of the problem.
    """
    bracketed = authority.startswith("[")
    host, closed, behind = authority[1:].partition("]") if bracketed else ("", "]", authority)
    name, colon, port = behind.partition(":")
    if not closed or "[" in host or ":" in port or (name if bracketed else "[" in name or "]" in name):
        raise fail("the host is not valid (an IPv6 address needs [brackets])")
    host = _ipv6(host, fail) if bracketed else _host_name(name, fail)
    if not colon:
        return host, default_port
    if not _is_number(port, 65535) or not int(port):
        raise fail("the port must be a number from 1 to 65535")
    return host, int(port)


def _is_scheme(text: str) -> bool:
    return text[:1].isalpha() and is_plain(text, _SCHEME_MARKS)


def _is_number(text: str, most: int) -> bool:
    """Whether a text is a decimal number up to ``most``, which has at most five digits."""
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= most


def _is_ipv4(text: str) -> bool:
    """Whether a text is an IPv4 address as `ipaddress` reads it: four numbers without leading zeros."""
    parts = text.split(".")
    return len(parts) == 4 and all(_is_number(part, 255) and str(int(part)) == part for part in parts)


@lru_cache(maxsize=64)  # each run asks
def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    if _is_ipv4(host):
        return host.startswith("127.")
    address = numeric_address(host)
    return address is not None and address.is_loopback


@lru_cache(maxsize=64)  # each connection asks
def is_numeric(host: str) -> bool:
    """Whether ``host`` spells an IP address."""
    return _is_ipv4(host) or (":" in host and numeric_address(host) is not None)


@lru_cache(maxsize=64)
def numeric_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that ``host`` spells, an IPv4-mapped one as IPv4, or None for a name."""
    if ":" not in host and not _is_ipv4(host):
        return None
    import ipaddress

    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _refuse_url(source: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"{source}: {problem}", code="INVALID_BASE_URL", details={"source": source})


def _parse_origin(scheme: str, authority: str, fail: Fail) -> Origin:
    if scheme == "http+unix":
        return Origin("http", "localhost", 0, _unix_path(authority, fail))
    if scheme not in _SCHEMES:
        raise fail(f"unknown scheme {scheme!r} (http, https, ws, wss and http+unix work)")
    known = _SCHEMES[scheme]
    host, port = split_host_port(authority, _DEFAULT_PORTS[known], fail)
    return Origin(known, host, port)


def _unix_path(authority: str, fail: Fail) -> str:
    from urllib.parse import unquote

    path = "" if re.search(BAD_ESCAPE, authority) else unquote(authority, errors="surrogateescape")
    if not path.startswith("/") or "\0" in path:
        raise fail("expected a percent-encoded absolute path as host, as in http+unix://%2Frun%2Fagent.sock,")
    if len(os.fsencode(path)) > _UNIX_PATH_BYTES:
        raise fail(f"a Unix socket's path must not be longer than {_UNIX_PATH_BYTES} bytes; the one")
    return path


def _split_path(path: str, fail: Fail) -> tuple[str, str]:
    """Split a path into the part before the version, percent-encoded, and the rest."""
    if "%" in path and re.search(BAD_ESCAPE, path):
        raise fail("a % in the path needs two hexadecimal digits")
    path = "" if path == "/" else path  # RFC 9110, 4.2.3: both are the root
    kept = path.rstrip("/")
    version = next((ending for ending in ("/api/v1", "/v1") if kept.endswith(ending)), "")
    prefix = kept.removesuffix(version).rstrip("/")
    return percent_encode(prefix, PATH_SAFE), path[len(prefix) :]


def _ipv6(text: str, fail: Fail) -> str:
    from ipaddress import IPv6Address

    try:
        return str(IPv6Address(text.replace("%25", "%", 1)))
    except ValueError:
        raise fail("the IPv6 address is not valid") from None


def _host_name(text: str, fail: Fail) -> str:
    if not text:
        raise fail("the host is missing")
    name = (text if text.isascii() else _idna(text, fail)).lower()
    bare = name.removesuffix(".")
    labels = bare.split(".")
    if len(name) > 254 or not all(map(_is_label, labels)):
        raise fail("the host name is not valid")
    if not _resembles_number(labels[-1]):
        return name
    # Resolvers read 127.1 and 0x7f000001 as addresses; we would judge them as names (loopback, NO_PROXY).
    if not _is_ipv4(bare):
        raise fail("the IPv4 address is not valid (expected four numbers, as in 127.0.0.1)")
    return bare


def _is_label(text: str) -> bool:
    return 0 < len(text) < 64 and is_plain(text, _HOST_MARKS)


def _resembles_number(label: str) -> bool:
    return label.isdigit() or (label.startswith("0x") and not label[2:].strip("0123456789abcdef"))


def _idna(text: str, fail: Fail) -> str:
    if re.search(_IDNA_DEVIATIONS, text):
        raise fail("the host name is ambiguous (write it in its xn-- form)")
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        raise fail("the host name has no IDNA form") from None
