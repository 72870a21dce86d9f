"""Redirects (RFC 9110 §15.4): only those that keep method and body, and only to the same origin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from runagent._errors import ProtocolError
from runagent._internal.tracebacks import is_ours
from runagent._wire.jsontext import quote

if TYPE_CHECKING:
    from runagent._address.url import Origin

__all__ = ["redirect_target"]

__tracebackhide__ = is_ours

_DEFAULT_PORTS = {"http": 80, "https": 443}
_KEEP_REQUEST = (307, 308)


def redirect_target(
    status: int, location: str, *, origin: Origin, target: str, followed: int, max_redirects: int
) -> str:
    """Return the path and query that the redirected request asks for.

    Args:
        status: The answer's status, 300 to 399.
        location: Its ``Location``; "" if there is none.
        origin: The origin of the request.
        target: The path and query of the request.
        followed: How many redirects of this run were followed before.
        max_redirects: The most redirects of one run.

    Raises:
        ProtocolError: The redirect leads to another origin, would change the request, or is one too many.
    """
    there = ""
    if status not in _KEEP_REQUEST:
        fault = "which would change the request"
    elif followed >= max_redirects:
        fault = f"the {followed + 1}th time (max_redirects)"
    else:
        there, fault = _same_origin_target(f"{origin.scheme}://{origin.netloc}{target}", location)
    if fault:
        raise ProtocolError(
            f"the agent's address redirects (HTTP {status}) to {_shown_location(location)}, {fault}",
            hint="if that is where the agent lives now, set base_url to it",
        )
    return there


def _same_origin_target(base: str, location: str) -> tuple[str, str]:
    """Resolve ``location``; return path and query, or what is wrong with it."""
    if not location or not location.isascii() or not location.isprintable() or "\\" in location:
        return "", "which is no usable address"
    try:
        given = urlsplit(location)
        here, there = urlsplit(base), urlsplit(urljoin(base, location))
        same = _origin_of(here) == _origin_of(there)
    except ValueError:
        return "", "which is no usable address"
    if not same or there.username is not None:
        return "", "which is another origin"
    if (given.scheme or location.startswith("//")) and not given.hostname:
        return "", "which is no usable address"  # `urljoin` has filled in the old host
    target = there.path or "/"
    if there.query:
        target += f"?{there.query}"
    return (target, "") if " " not in target else ("", "which is no usable address")


def _origin_of(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or _DEFAULT_PORTS.get(url.scheme)


def _shown_location(location: str) -> str:
    """Quote a Location without user name, password, query and fragment; a malformed one may lose more."""
    place = re.split(r"[?#]", location, maxsplit=1)[0]
    begin = re.match(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]*", place)
    assert begin is not None
    rest = place[begin.end() :]
    shown = rest if begin[0] in ("", "/") else rest.rpartition("@")[2]
    return quote(begin[0] + shown + ("" if place == location else "?…"))
