"""``runagent-fake health``: whether the server of the same options answers, for containers without curl."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
from typing import TYPE_CHECKING

from runagent_testing._standalone.command import GOOD, CommandError, print_lines
from runagent_testing._standalone.options import with_environment

if TYPE_CHECKING:
    import argparse

__all__ = ["health"]

_PATIENCE = 3.0  # seconds
_PATH = "/api/v1/health"


def health(given: argparse.Namespace) -> int:
    """Ask the server for its health; options and variables are those of `serve`.

    Raises:
        CommandError: It does not answer with 200.
    """
    options = with_environment(given, os.environ)
    place = options.unix_socket or f"{options.host}:{options.port}"
    connection = _connection(options)
    try:
        with contextlib.closing(connection):
            connection.request("GET", _PATH)
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as exc:
        raise CommandError(f"no answer from {place}: {type(exc).__name__}: {exc}") from exc
    if status != http.client.OK:
        raise CommandError(f"{place} answers with {status}")
    print_lines([f"{place} is healthy"])
    return GOOD


def _connection(options: argparse.Namespace) -> http.client.HTTPConnection:
    if options.unix_socket is not None:
        return _UnixConnection(options.unix_socket)
    host = _reachable(options.host)
    if options.tls_cert is None:
        return http.client.HTTPConnection(host, options.port, timeout=_PATIENCE)
    context = ssl.create_default_context()
    # The certificate is for the names by which clients reach it.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, options.port, timeout=_PATIENCE, context=context)


def _reachable(host: str) -> str:
    """Return an address of this machine for that of all its interfaces."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(self._path)
