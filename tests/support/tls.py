"""TLS of the tests: contexts of both sides, a client's certificate, and runs over them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from tests.support.peer import sse

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

    from tests.support.styles import Style

__all__ = ["STREAM", "certificate_files", "client_context", "server_context", "stream"]

STREAM = sse(("chunk", {"content": "x"}), ("done", {}), connection="close")


def server_context(ca: trustme.CA, *names: str, client_ca: trustme.CA | None = None) -> ssl.SSLContext:
    """A server's context, with a certificate for these names; the loopback's by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        client_ca.configure_trust(context)
    return context


def client_context(ca: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts one authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    return context


def certificate_files(ca: trustme.CA, folder: Path, password: bytes | None = None) -> tuple[str, str]:
    """Write a certificate, its key and both together; return the paths of certificate and key."""
    from cryptography.hazmat.primitives import serialization

    certificate = ca.issue_cert("client.test")
    pem = certificate.private_key_pem.bytes()
    if password:
        key = serialization.load_pem_private_key(pem, None)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )
    (folder / "key.pem").write_bytes(pem)
    (folder / "cert.pem").write_bytes(certificate.cert_chain_pems[0].bytes())
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    return str(folder / "cert.pem"), str(folder / "key.pem")


def stream(style: Style, url: str, *, times: Any = 1, **options: Any) -> str:
    """Run a stream a number of times with one client; return the text of all."""

    async def scenario() -> str:
        client = style.client("a", base_url=url, **{"max_retries": 0} | options)
        return "".join([str(await client.run_generic_stream("x").text()) for _ in range(times)])

    return str(style.run(scenario))
