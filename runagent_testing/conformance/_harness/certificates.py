"""TLS on loopback: a certificate for localhost, and contexts that trust its authority or nothing.

The key is no secret: it comes with the package, and nobody trusts its authority.
"""

from __future__ import annotations

import ssl
from pathlib import Path

__all__ = ["server_context", "trusting_context", "untrusting_context"]

_FOLDER = Path(__file__).parent


def server_context() -> ssl.SSLContext:
    """Make the context of a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_FOLDER / "localhost.pem")
    return context


def trusting_context() -> ssl.SSLContext:
    """Make a client's context that trusts the server's authority, and no other."""
    context = untrusting_context()
    context.load_verify_locations(_FOLDER / "authority.pem")
    return context


def untrusting_context() -> ssl.SSLContext:
    """Make a client's context that trusts nobody."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
