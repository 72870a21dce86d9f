"""The one table in which the operating system's errors become ours."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from runagent.errors import NetworkError

if TYPE_CHECKING:
    from runagent.net.base import Address

__all__ = ["connect_error"]

_REFUSED = "nothing listens there (connection refused); is the server running, and is the port right?"
_RESET = "the peer reset the connection"
_PLAIN_PORT = "the server does not speak TLS on this port; is base_url meant to begin with http://?"
_NO_TLS_ANSWER = (
    "the peer ended the connection during the TLS handshake; is base_url meant to begin with http://?"
)


def connect_error(exc: OSError, address: Address) -> NetworkError:
    """Make the error for a connection that could not be opened."""
    where = (
        address.proxy if address.proxy is not None and not isinstance(exc, ssl.SSLError) else address.origin
    )
    code, why = _explain(exc)
    return NetworkError(f"could not connect to {where}: {why}", code=code)


def _explain(exc: OSError) -> tuple[str, str]:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return "CERTIFICATE", f"its certificate is not trusted ({exc.verify_message})"
    if isinstance(exc, ssl.SSLEOFError):
        return "TLS", _NO_TLS_ANSWER
    if isinstance(exc, ssl.SSLError):
        plain = exc.reason in (
            "WRONG_VERSION_NUMBER",
            "RECORD_LAYER_FAILURE",
            "PACKET_LENGTH_TOO_LONG",
            "HTTP_REQUEST",
        )
        return "TLS", _PLAIN_PORT if plain else f"TLS failed ({exc.reason or exc})"
    if isinstance(exc, socket.gaierror):
        code = "DNS_TEMPORARY" if exc.errno == socket.EAI_AGAIN else "DNS"
        return code, f"the host name cannot be resolved ({exc.strerror})"
    if isinstance(exc, ConnectionRefusedError):
        return "REFUSED", _REFUSED
    if isinstance(exc, ConnectionResetError | BrokenPipeError):
        return "RESET", _RESET
    if isinstance(exc, FileNotFoundError):
        return "REFUSED", "there is no such Unix socket"
    return "NETWORK", exc.strerror or str(exc) or type(exc).__name__
