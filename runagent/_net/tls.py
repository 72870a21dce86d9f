"""TLS: which certificates to trust, and the encryption itself as a layer without I/O."""

from __future__ import annotations

import functools
import os
import ssl
import sys
from typing import TYPE_CHECKING

from runagent._errors import ConfigurationError
from runagent._internal.foreign import is_passing
from runagent._net.alpn import check_negotiated, offer_always, offering
from runagent._net.trust import load_named_trust, log_keys, named
from runagent._redact import describe

if TYPE_CHECKING:
    from runagent._address.url import Origin

__all__ = ["TLSLayer", "default_context", "server_name"]

_RECORD_BYTES = 16 * 1024


def default_context(client_cert: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Return a context with the system's trust store; without a certificate, the process shares it.

    Args:
        client_cert: Certificate file, key file, password; what comes last may be left out.

    Raises:
        ConfigurationError: The certificate, or what the environment names, cannot be loaded.
    """
    trusted = os.environ.get("SSL_CERT_FILE")
    if trusted and _may_block(trusted):
        raise ConfigurationError(f"environment variable SSL_CERT_FILE: {trusted!r} is not a regular file")
    if not client_cert:
        return shared_trust(*named())
    context = _system_trust()
    _load_client_cert(context, client_cert)  # each time: certificates are replaced before they expire
    return context


@functools.lru_cache(maxsize=8)
def shared_trust(*_named: str | None) -> ssl.SSLContext:
    """Return the context for what the environment names."""
    return _system_trust()


def _system_trust() -> ssl.SSLContext:
    """Make a context that trusts what the system trusts, or what the environment names."""
    context = _new_context()
    load_named_trust(context)
    log_keys(context)
    offer_always(context)
    return context


def _new_context() -> ssl.SSLContext:
    """Make a context that trusts what the system trusts.

    If the system judges certificates itself, or if OpenSSL does not know of its bundle, truststore
    does it. It reads the bundle again for each connection, though: some 20 ms, which block an event loop.
    """
    cafile = ssl.get_default_verify_paths().cafile
    if sys.platform not in ("darwin", "win32") and cafile is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_default_verify_paths()
        if not context.cert_store_stats()["x509"]:
            _load_bundle(context, cafile)
        return context
    import truststore  # takes its time to import

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _load_bundle(context: ssl.SSLContext, cafile: str) -> None:
    """Load a bundle that OpenSSL has silently failed to read: the context is kept for ever."""
    try:
        context.load_verify_locations(cafile)
    except OSError as exc:
        if is_passing(exc):
            raise


def _load_client_cert(context: ssl.SSLContext, client_cert: tuple[str, ...]) -> None:
    certificate, key, password = (*client_cert, None, None)[:3]
    try:
        for file in filter(None, (certificate, key)):
            if _may_block(file):
                raise OSError(0, f"{file!r} is not a regular file")
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate or "", key, password or "")
    except OSError as exc:
        if is_passing(exc):
            raise
        raise _unusable(certificate, exc.strerror or str(exc)) from exc
    except ValueError as exc:  # a lone surrogate, a NUL: the error itself may hold the password
        raise _unusable(certificate, str(exc)) from None


def _may_block(file: str) -> bool:
    """Whether a file is a pipe or a device: OpenSSL would wait for its other end, for ever."""
    return os.path.exists(file) and not (os.path.isfile(file) or os.path.isdir(file))  # noqa: PTH110, PTH112, PTH113


def _unusable(certificate: str | None, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"client_cert: {describe(certificate, 500)} cannot be used: {why}; expected a PEM certificate file,"
        " and, if they are separate or protected, a key file and its password",
        code="INVALID_CLIENT_CERT",
    )


def server_name(origin: Origin) -> str:
    """Return the name that the certificate must bear."""
    return origin.host.partition("%")[0].rstrip(".")


class TLSLayer:
    """One TLS connection: ciphertext in, plaintext out, and the reverse.

    Attributes:
        outgoing: The ciphertext to send now; a read makes some, too, if the peer changes keys.
        drained: There is nothing to decrypt; `read` would find that out by an exception.
    """

    def __init__(self, context: ssl.SSLContext, server_hostname: str) -> None:
        self.outgoing = ssl.MemoryBIO()
        self._incoming = ssl.MemoryBIO()
        with offering(context):
            self._object = context.wrap_bio(self._incoming, self.outgoing, server_hostname=server_hostname)
        self.drained = False

    def handshake(self) -> bool:
        """Take the handshake as far as it goes; True once it is done.

        Raises:
            ssl.SSLError: The certificate belongs to another peer, or does not speak TLS.
            NetworkError: It has chosen another protocol.
        """
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        check_negotiated(self._object.selected_alpn_protocol())
        return True

    def feed(self, ciphertext: bytes) -> None:
        """Take what the peer sent; b"" is the end of the connection."""
        self.drained = False
        if ciphertext:
            self._incoming.write(ciphertext)
        else:
            self._incoming.write_eof()

    def read(self, max_bytes: int) -> bytes | None:
        """Return plaintext, b"" at the end, None if more ciphertext is needed.

        An end without ``close_notify`` is an end like any other: the protocols above have end markers.

        Raises:
            ssl.SSLError: What came is not intact.
        """
        try:
            data = self._object.read(max_bytes)
        except ssl.SSLWantReadError:
            self.drained = True
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        self.drained = 0 < len(data) < max_bytes and not self._incoming.pending  # an end stays an end
        return data

    def encrypt(self, plaintext: bytes) -> None:
        """Turn plaintext into ciphertext that is ``outgoing``."""
        view = memoryview(plaintext)
        while view:
            view = view[self._object.write(view[:_RECORD_BYTES]) :]
