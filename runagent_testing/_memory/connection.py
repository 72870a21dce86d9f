"""The client's end of a connection: the parts that all styles share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._memory.wire import DeadlockError

if TYPE_CHECKING:
    from runagent_testing._memory.calls import Timer
    from runagent_testing._memory.peer import Peer
    from runagent_testing._memory.wire import Wire

__all__ = ["MemoryConnection"]

__tracebackhide__ = is_ours


class MemoryConnection:
    """A `runagent._net.base.Connection` or `AsyncConnection`; ``send`` and ``receive`` are the subclass's."""

    def __init__(self, wire: Wire, peer: Peer) -> None:
        self._wire = wire
        self._peer = peer
        self._broken = False
        self._deadline: Timer | None = None  # of the reader
        wire.wake = self._wake

    def poll(self, max_bytes: int) -> bytes | None:
        """See `runagent._net.base.Connection.poll`."""
        return b"" if self._broken else self._wire.poll(max_bytes)

    def was_reset(self) -> bool:
        """See `runagent._net.base.Connection.was_reset`; agents here read everything before they close."""
        return False

    def close_write(self) -> None:
        """See `runagent._net.base.Connection.close_write`."""
        self._peer.client_left("half-closed")

    def abort(self, farewell: bytes = b"") -> None:
        """See `runagent._net.base.Connection.abort`."""
        if not self._broken:
            self._broken = True
            if farewell:
                self._peer.receive_data(farewell)
            self._peer.client_left()
            self._wake()

    @property
    def waits(self) -> bool:
        """Whether a reader waits and has not been woken."""
        raise NotImplementedError

    @property
    def waits_at_gate(self) -> bool:
        """Whether a reader waits for bytes that a closed gate holds back."""
        return self.waits and self._peer.is_at_gate

    @property
    def idle_timers(self) -> list[object]:
        """The timers that cannot open a gate: the next ping, and a deadline of a read that waits for one."""
        timers = [self._peer.ping_timer, self._deadline if self.waits_at_gate else None]
        return [timer for timer in timers if timer is not None]

    def deadlock(self) -> DeadlockError:
        """Make the error that describes what a reader waits for in vain."""
        return DeadlockError(f"deadlock: {self._peer.waits_for}")

    def _send(self, data: bytes) -> None:
        self._check()
        self._wire.check_send()
        self._peer.receive_data(data)

    def _take(self, max_bytes: int) -> bytes | None:
        self._check()
        return self._wire.take(max_bytes)

    def _check(self) -> None:
        if self._broken:
            raise OSError("the connection was closed")

    def _wake(self) -> None:
        """Wake the reader."""
