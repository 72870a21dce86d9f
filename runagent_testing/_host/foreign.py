"""Clients that begin with another protocol than the server's, in the journal with the reason. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from runagent_testing._internal.clock import now
from runagent_testing._journal.exchange import Exchange
from runagent_testing._journal.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._journal.journal import Journal

__all__ = ["BEGINNING", "Foreign", "foreign_protocol", "note_foreign"]

Foreign = Literal["HTTP/2", "TLS", "HTTP"]

_PREFACE = b"PRI * HTTP/2.0\r\n"  # RFC 9113, 3.4
_HANDSHAKE = b"\x16\x03"  # a record of TLS with a handshake message: RFC 8446, 5.1
BEGINNING = len(_PREFACE)  # bytes that show the protocol

_WHY: dict[Foreign, str] = {
    "HTTP/2": "the client began with HTTP/2 (prior knowledge), and a fake agent speaks HTTP/1.1: "
    "switch HTTP/2 off in the client",
    "TLS": "the client began a TLS handshake, and this server has no TLS: use http:// in the client's URL, "
    "or give the server a certificate (ssl_context=, --tls-cert)",
    "HTTP": "the client sent plain HTTP, and this server speaks TLS: use https:// in the client's URL",
}


def foreign_protocol(beginning: bytes) -> Foreign | None:
    """Return the protocol with which a connection began, if its bytes are not HTTP/1.1."""
    if beginning.startswith(_PREFACE):
        return "HTTP/2"
    return "TLS" if beginning.startswith(_HANDSHAKE) else None


def note_foreign(
    journal: Journal, protocol: Foreign, connection: int, clock: Callable[[], float] = now
) -> None:
    """Record a connection as an unmatched request.

    Args:
        journal: Records it.
        protocol: With which the client began.
        connection: The connection's number.
        clock: Returns the time in seconds.
    """
    exchange = Exchange(protocol, "unknown", "", "*", {}, connection, now=clock)
    journal.note_unmatched(exchange, _WHY[protocol])
    Recorder(exchange).end("server closed")
    Recorder(exchange).close()
