"""The environment's settings of TLS: trusted certificates, and a file for the keys of a debugger."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from runagent._errors import ConfigurationError
from runagent._internal.foreign import is_passing

if TYPE_CHECKING:
    import ssl

__all__ = ["load_named_trust", "log_keys", "named"]


def named() -> tuple[str | None, ...]:
    """Return what the environment names; a new context is made if that changes."""
    return tuple(map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")))


def load_named_trust(context: ssl.SSLContext) -> None:
    """Load the certificates that ``SSL_CERT_FILE`` names; OpenSSL passes over what it cannot read in silence.

    Raises:
        ConfigurationError: There are none, or ``SSL_CERT_DIR`` names no directory.
    """
    file, folders, _ = named()
    if file:
        try:
            context.load_verify_locations(cafile=file)
        except OSError as exc:
            raise _unusable("SSL_CERT_FILE", file, exc, "a PEM file of trusted certificates") from exc
    if folders and not any(map(os.path.isdir, folders.split(os.pathsep))):
        missing = FileNotFoundError(0, "there is no such directory")
        raise _unusable("SSL_CERT_DIR", folders, missing, "a directory of hashed certificates")


def log_keys(context: ssl.SSLContext) -> None:
    """Have a context write the keys of its connections, as `ssl.create_default_context` does.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    *_, file = named()
    if not file or sys.flags.ignore_environment:
        return
    try:
        context.keylog_filename = file
    except OSError as exc:
        raise _unusable("SSLKEYLOGFILE", file, exc, "a file that can be written") from exc


def _unusable(variable: str, value: str, exc: OSError, expected: str) -> ConfigurationError:
    if is_passing(exc):
        raise exc
    why = exc.strerror or str(exc)
    return ConfigurationError(
        f"environment variable {variable}: {value!r} cannot be used: {why}; expected {expected}",
        code="INVALID_TLS_VARIABLE",
    )
