"""The one table in which the operating system's errors become ours."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING

from runagent._errors import NetworkError
from runagent._internal.foreign import let_signals_through

if TYPE_CHECKING:
    from runagent._address.route import Address

__all__ = ["connect_error", "explain_loss"]

_IS_IT_RUNNING = "is the server running, and is the port right?"
_RESET = "the peer reset the connection"
_IS_IT_PLAIN = "is base_url meant to begin with http://?"


_CLOCK = "or this machine's clock is wrong"
_TRUST = "a private authority is trusted through ssl_context= or SSL_CERT_FILE"
_ISSUER = f"{_TRUST}, and a server has to send its intermediate certificates, too"
_OTHER_NAME = "check the host name in base_url"
_ADVICE = {  # by OpenSSL's numbers, X509_V_ERR_...
    2: _ISSUER,  # UNABLE_TO_GET_ISSUER_CERT
    9: f"the server uses it too early, {_CLOCK}",  # CERT_NOT_YET_VALID
    10: f"the server needs a new one, {_CLOCK}",  # CERT_HAS_EXPIRED
    18: "a self-signed one is trusted through ssl_context= or SSL_CERT_FILE",  # DEPTH_ZERO_SELF_SIGNED_CERT
    19: _TRUST,  # SELF_SIGNED_CERT_IN_CHAIN
    20: _ISSUER,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: _ISSUER,  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    23: "its authority has revoked it: the server needs a new one",  # CERT_REVOKED
    62: _OTHER_NAME,  # HOSTNAME_MISMATCH
    64: _OTHER_NAME,  # IP_ADDRESS_MISMATCH
}
_NO_PROTOCOL = "the server speaks none of the protocols that were offered to it (ALPN: http/1.1)"
_CERTIFICATE_WANTED = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
_NOT_ACCEPTED = "the server does not accept this client in TLS"
_GIVE_CERTIFICATE = "it may want a client certificate (client_cert=)"


def explain_loss(exc: OSError) -> tuple[str, str]:
    """Return a code and a text for a connection that broke after it had been opened."""
    if isinstance(exc, ssl.SSLError) and exc.reason in _CERTIFICATE_WANTED:
        return "CLIENT_CERTIFICATE", f"{_NOT_ACCEPTED}; {_GIVE_CERTIFICATE}"
    if isinstance(exc, ssl.SSLEOFError | BrokenPipeError):
        return "RESET", _RESET
    if exc.errno == errno.EBADF:
        return "RESET", "the connection was closed while it was in use"
    return "RESET", exc.strerror or str(exc) or type(exc).__name__


def connect_error(exc: OSError, address: Address) -> NetworkError:
    """Make the error for a connection that could not be opened."""
    let_signals_through(exc)
    where = str(address.origin)
    if address.proxy is not None and not isinstance(exc, ssl.SSLError):
        where = f"the proxy {address.proxy} (from proxy= or the environment)"
    code, why, hint = _explain(exc)
    return NetworkError(f"could not connect to {where}: {why}", hint=hint, code=code)


def _explain(exc: OSError) -> tuple[str, str, str]:
    """Return a code, what happened, and what the operator can do."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        advice = _ADVICE.get(getattr(exc, "verify_code", 0), "ssl_context= decides what is accepted")
        return "CERTIFICATE", f"its certificate is not accepted ({_verdict(exc)})", advice
    if isinstance(exc, ssl.SSLEOFError):
        return "TLS", "the peer ended the connection during the TLS handshake", _IS_IT_PLAIN
    if isinstance(exc, ssl.SSLError) and exc.reason in _CERTIFICATE_WANTED:
        return "CLIENT_CERTIFICATE", _NOT_ACCEPTED, _GIVE_CERTIFICATE
    if isinstance(exc, ssl.SSLError) and exc.reason == "TLSV1_ALERT_NO_APPLICATION_PROTOCOL":
        return "ALPN", _NO_PROTOCOL, ""
    if isinstance(exc, ssl.SSLError):
        plain = exc.reason in (
            "WRONG_VERSION_NUMBER",
            "RECORD_LAYER_FAILURE",
            "PACKET_LENGTH_TOO_LONG",
            "HTTP_REQUEST",
        )
        if plain:
            return "TLS", "the server does not speak TLS on this port", _IS_IT_PLAIN
        return "TLS", f"TLS failed ({exc.reason or exc})", ""
    if isinstance(exc, socket.gaierror):
        code = "DNS_TEMPORARY" if exc.errno == socket.EAI_AGAIN else "DNS"
        return code, f"the host name cannot be resolved ({exc.strerror})", ""
    if isinstance(exc, ConnectionRefusedError):
        return "REFUSED", "connection refused", _IS_IT_RUNNING
    if isinstance(exc, ConnectionResetError | BrokenPipeError):
        return "RESET", _RESET, ""
    if isinstance(exc, FileNotFoundError):
        return "REFUSED", "there is no such Unix socket", ""
    return "NETWORK", exc.strerror or str(exc) or type(exc).__name__, ""


def _verdict(exc: ssl.SSLCertVerificationError) -> str:
    """Return why a certificate is refused; the verifiers of macOS and Windows set no message of OpenSSL's."""
    return getattr(exc, "verify_message", "") or str(exc)
