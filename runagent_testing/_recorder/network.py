"""Networks around those of a client, which record what they carry (docs/recordings.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._internal.public import publish
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._recorder.connection import ConnectionTap
from runagent_testing._recording.folder import RecordingFolder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runagent._address.route import Address
    from runagent._net.base import (
        AsyncConnection,
        AsyncNetwork,
        ConnectAttempt,
        Connection,
        Network,
    )

__all__ = ["AsyncRecordingNetwork", "RecordingNetwork"]

__tracebackhide__ = is_ours


class RecordingNetwork:
    """The network of a `RunAgentClient` that records every exchange: ``network=RecordingNetwork(folder)``.

    Credentials do not reach the disk (docs/recordings.md has what is looked for).

    Args:
        directory: The folder of the recordings; made if it does not exist.
        network: The network that carries the bytes; default: the client's usual one.
        stable_ids: Whether ids become placeholders, so that two recordings differ in little else.
        secrets: Texts that are hidden in addition to the credentials that the requests have.

    Raises:
        OSError: The folder cannot be made or read.
    """

    def __init__(
        self,
        directory: str | Path,
        network: Network | None = None,
        *,
        stable_ids: bool = False,
        secrets: Iterable[str] = (),
    ) -> None:
        if network is None:
            from runagent._net.blocking import BlockingNetwork

            network = BlockingNetwork()
        self._network = network
        self._folder = RecordingFolder(directory, stable_ids=stable_ids, secrets=secrets)

    def connect(self, address: Address, deadline: float, attempt: ConnectAttempt) -> Connection:
        """Open a connection that is recorded; see `runagent.Network.connect`."""
        connection = self._network.connect(address, deadline, attempt)
        return _RecordedConnection(connection, ConnectionTap(self._folder, self.now))

    def now(self) -> float:
        """Return monotonic seconds."""
        return self._network.now()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._network.sleep(seconds)


class AsyncRecordingNetwork:
    """`RecordingNetwork` for asyncio and trio; make it in the running event loop, to which it belongs.

    Args:
        directory: As for `RecordingNetwork`.
        network: Likewise; default: the usual one of the event loop.
        stable_ids: Likewise.
        secrets: Likewise.

    Raises:
        OSError: The folder cannot be made or read.
        ConfigurationError: No network is given, and neither asyncio nor trio is running.
    """

    def __init__(
        self,
        directory: str | Path,
        network: AsyncNetwork | None = None,
        *,
        stable_ids: bool = False,
        secrets: Iterable[str] = (),
    ) -> None:
        if network is None:
            from runagent._net.loops import new_network

            network = new_network()
        self._network = network
        self._folder = RecordingFolder(directory, stable_ids=stable_ids, secrets=secrets)

    async def connect(self, address: Address, deadline: float, attempt: ConnectAttempt) -> AsyncConnection:
        """Open a connection that is recorded; see `runagent.AsyncNetwork.connect`."""
        connection = await self._network.connect(address, deadline, attempt)
        return _AsyncRecordedConnection(connection, ConnectionTap(self._folder, self.now))

    def now(self) -> float:
        """Return monotonic seconds."""
        return self._network.now()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._network.sleep(seconds)

    async def checkpoint(self) -> None:
        """Let others run, and notice a cancellation."""
        await self._network.checkpoint()


class _Recorded:
    """The calls of a connection that wait for nothing."""

    def __init__(self, connection: Connection | AsyncConnection, tap: ConnectionTap) -> None:
        self._carrier = connection
        self._tap = tap

    def poll(self, max_bytes: int) -> bytes | None:
        """See `Connection.poll`."""
        data = self._carrier.poll(max_bytes)
        if data is not None:
            self._tap.received(data)
        return data

    def was_reset(self) -> bool:
        """See `Connection.was_reset`."""
        return self._carrier.was_reset()

    def close_write(self) -> None:
        """See `Connection.close_write`."""
        self._carrier.close_write()

    def abort(self, farewell: bytes = b"") -> None:
        """See `Connection.abort`."""
        self._carrier.abort(farewell)
        self._tap.closed()


class _RecordedConnection(_Recorded):
    def __init__(self, connection: Connection, tap: ConnectionTap) -> None:
        super().__init__(connection, tap)
        self._connection = connection

    def send(self, data: bytes, deadline: float) -> bool | None:
        self._tap.sent(data)
        return self._connection.send(data, deadline)

    def receive(self, max_bytes: int, deadline: float) -> bytes:
        try:
            data = self._connection.receive(max_bytes, deadline)
        except OSError:
            self._tap.broke()
            raise
        self._tap.received(data)
        return data

    def interrupt(self) -> None:
        self._connection.interrupt()


class _AsyncRecordedConnection(_Recorded):
    def __init__(self, connection: AsyncConnection, tap: ConnectionTap) -> None:
        super().__init__(connection, tap)
        self._connection = connection

    async def send(self, data: bytes, deadline: float) -> bool | None:
        self._tap.sent(data)
        return await self._connection.send(data, deadline)

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        try:
            data = await self._connection.receive(max_bytes, deadline)
        except OSError:
            self._tap.broke()
            raise
        self._tap.received(data)
        return data


publish(AsyncRecordingNetwork, RecordingNetwork)
