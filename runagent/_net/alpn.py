"""ALPN (RFC 7301): HTTP/1.1 is all that is offered, and what the peer has chosen is looked at."""

from __future__ import annotations

import contextlib
import ssl
import weakref
from typing import TYPE_CHECKING

from runagent._errors import NetworkError
from runagent._internal.locks import ForkSafeLock

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_negotiated", "offer_always", "offering"]

_OFFER = ["http/1.1"]
_ALPN = 16  # the extension's number
_FIXED = (
    5 + 4 + 2 + 32
)  # in front of a ClientHello's session id: heads of record and message, version, random

_always: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()
_lock = ForkSafeLock()


def offer_always(context: ssl.SSLContext) -> None:
    """Have a context that nobody else has offer HTTP/1.1."""
    context.set_alpn_protocols(_OFFER)
    _always.add(context)


@contextlib.contextmanager
def offering(context: ssl.SSLContext) -> Iterator[None]:
    """Have a connection that is made meanwhile offer HTTP/1.1; then the context offers what it did before.

    It may be the caller's, who uses it for other protocols as well. A context does not show what it offers,
    but its ClientHello does.
    """
    if context in _always:
        yield
        return
    with _lock:
        before = _offer_of(context)
        if before is None or before == _OFFER:
            yield
            return
        context.set_alpn_protocols(_OFFER)
        try:
            yield
        finally:
            with contextlib.suppress(MemoryError):  # what OpenSSL 1.1 makes of an empty list, which it takes
                context.set_alpn_protocols(before)


def check_negotiated(protocol: str | None) -> None:
    """Look at what the peer has chosen.

    Raises:
        NetworkError: It is another protocol than HTTP/1.1.
    """
    if protocol not in (None, *_OFFER):
        raise NetworkError(
            f"TLS negotiated the protocol {protocol!r} (ALPN), but only HTTP/1.1 is spoken here; remove it"
            " from what ssl_context= offers, or from what the server chooses",
            code="ALPN",
        )


def _offer_of(context: ssl.SSLContext) -> list[str] | None:
    """Return the protocols that a context offers; None if it makes no ClientHello."""
    outgoing = ssl.MemoryBIO()
    try:
        probe = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            probe.do_handshake()
        return _read_offer(outgoing.read())
    except (OSError, ValueError, IndexError):  # connecting will show what is wrong with it
        return None


def _read_offer(hello: bytes) -> list[str]:
    """Read the offer in a ClientHello (RFC 8446, section 4.1.2)."""
    at = _FIXED + 1 + hello[_FIXED]  # behind the session id
    at += 2 + int.from_bytes(hello[at : at + 2])  # the ciphers
    at += 1 + hello[at]  # the compression methods
    end, at = at + 2 + int.from_bytes(hello[at : at + 2]), at + 2
    while at < end:
        kind, size = int.from_bytes(hello[at : at + 2]), int.from_bytes(hello[at + 2 : at + 4])
        if kind == _ALPN:
            return list(_names(hello[at + 6 : at + 4 + size]))
        at += 4 + size
    return []


def _names(data: bytes) -> Iterator[str]:
    while data:
        size = data[0]
        yield data[1 : 1 + size].decode("ascii")
        data = data[1 + size :]
