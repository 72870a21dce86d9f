"""A plain HTTP proxy that records what it is asked, and refuses it."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

__all__ = ["RecordingProxy"]

_PATIENCE = 5.0  # seconds
_LONGEST_HEAD = 65536  # bytes
_REFUSAL = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="kit"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
)


class RecordingProxy:
    """A proxy on loopback; a context manager.

    Attributes:
        port: Where it listens.
        heads: The head of each request, in order of arrival.
    """

    def __init__(self) -> None:
        self.heads: list[str] = []
        self._failure: Exception | None = None
        self._is_over = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="kit-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._is_over = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread on Linux
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), _PATIENCE):
            pass  # wakes it elsewhere
        self._thread.join(_PATIENCE)
        self._listener.close()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            while not self._is_over:
                self._answer(self._listener.accept()[0])
        except OSError:
            return  # it was closed
        except Exception as exc:  # noqa: BLE001 - raised where the proxy is left
            self._failure = exc

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_PATIENCE)
            self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _LONGEST_HEAD:
            if not (data := connection.recv(_LONGEST_HEAD)):
                return
            head += data
        self.heads.append(head.partition(b"\r\n\r\n")[0].decode("latin-1"))
        connection.sendall(_REFUSAL)
