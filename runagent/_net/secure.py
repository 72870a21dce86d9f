"""What asyncio and trio share: the proxy's tunnel, and TLS over a connection of either."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

from runagent._net.base import DeadlineExceededError
from runagent._net.tls import TLSLayer, server_name
from runagent._net.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._address.route import Address
    from runagent._net.base import AsyncConnection

__all__ = ["secure"]

_READ_BYTES = 64 * 1024
_MAX_POLLS = 8  # of a peer that never pauses


async def secure(
    connection: AsyncConnection, address: Address, deadline: float, now: Callable[[], float]
) -> AsyncConnection:
    """Open the proxy's tunnel and begin TLS, as far as the address wants them; aborts if that fails.

    Raises:
        DeadlineExceededError: Not in time.
        NetworkError: The proxy refuses.
        OSError: The connection broke, or TLS failed.
    """
    try:
        if address.proxy is not None and address.tunnel:
            tunnel = Tunnel(address)
            await connection.send(tunnel.request, deadline)
            while not tunnel.open:
                tunnel.feed(await connection.receive(_READ_BYTES, deadline))
        if not address.origin.secure:
            return connection
        assert address.ssl_context is not None
        tls = TLSConnection(connection, TLSLayer(address.ssl_context, server_name(address.origin)), now)
        await tls.handshake(deadline)
    except BaseException:
        connection.abort()
        raise
    return tls


class TLSConnection:
    """An `AsyncConnection` over another one."""

    def __init__(self, inner: AsyncConnection, layer: TLSLayer, now: Callable[[], float]) -> None:
        self._inner = inner
        self._layer = layer
        self._now = now

    async def handshake(self, deadline: float) -> None:
        """Agree on keys with a peer whose certificate is trusted."""
        try:
            while not self._layer.handshake():
                await self._flush(deadline)
                self._layer.feed(await self._inner.receive(_READ_BYTES, deadline))
        except ssl.SSLError:
            with contextlib.suppress(DeadlineExceededError, OSError):
                await self._flush(deadline)  # an alert that names the reason for refusing, for the peer's log
            raise
        await self._flush(deadline)

    async def send(self, data: bytes, deadline: float) -> bool | None:
        """See `Connection.send`."""
        self._layer.encrypt(data)
        return await self._inner.send(self._layer.outgoing.read(), deadline)

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `Connection.receive`."""
        layer = self._layer
        late = False
        while layer.drained or (data := layer.read(max_bytes)) is None:
            if late:
                raise DeadlineExceededError
            if layer.outgoing.pending:
                await self._flush(deadline)
            layer.feed(await self._inner.receive(_READ_BYTES, deadline))
            late = self._now() >= deadline  # records without data, of a peer that never pauses
        return data

    def poll(self, max_bytes: int) -> bytes | None:
        """See `Connection.poll`."""
        try:
            for _ in range(_MAX_POLLS):
                if not self._layer.drained and (data := self._layer.read(max_bytes)) is not None:
                    return data
                ciphertext = self._inner.poll(_READ_BYTES)
                if ciphertext is None:
                    return None
                self._layer.feed(ciphertext)
        except OSError:
            return b""
        return None

    def was_reset(self) -> bool:
        """See `Connection.was_reset`."""
        return False

    def close_write(self) -> None:
        """See `Connection.close_write`; TLS has no half-close."""

    def abort(self, farewell: bytes = b"") -> None:
        """See `Connection.abort`."""
        if farewell:
            self._layer.encrypt(farewell)
        self._inner.abort(self._layer.outgoing.read() if farewell else b"")

    async def _flush(self, deadline: float) -> None:
        if ciphertext := self._layer.outgoing.read():
            await self._inner.send(ciphertext, deadline)
