"""The memory network of synchronous code: waiting makes what is due happen, and moves the clock."""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import TYPE_CHECKING

from runagent.net.base import Address, DeadlineExceededError, Dialing
from runagent.net.faults import connect_error
from runagent_testing.memory.wire import Clock, DeadlockError, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing.memory.peer import Peer

__all__ = ["BlockingMemory", "BlockingMemoryConnection", "VirtualClock"]


class _Call:
    """A call to come; those of one time come in the order in which they were made."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self._now = 0.0
        self._calls: list[tuple[float, int, _Call]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    def time(self) -> float:
        """Return the virtual seconds since the beginning."""
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> _Call:
        """Call back at a time."""
        call = _Call(callback)
        with self._lock:
            heapq.heappush(self._calls, (when, next(self._order), call))
        return call

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> _Call:
        """Call back at the next wait."""
        return self.call_at(self._now, callback)

    def step(self, deadline: float) -> bool:
        """Jump to the next thing that is due by ``deadline`` and do it; False if there is none."""
        while True:
            with self._lock:
                if not self._calls or self._calls[0][0] > deadline:
                    return False
                when, _, call = heapq.heappop(self._calls)
            if call.callback is not None:
                self._now = max(self._now, when)
                call.callback()
                return True

    def jump(self, when: float) -> None:
        """Go on to a time; nothing may be due before it."""
        self._now = max(self._now, when)


class BlockingMemoryConnection:
    """A `runagent.net.base.Connection`."""

    def __init__(self, wire: Wire, peer: Peer, clock: VirtualClock) -> None:
        self._wire = wire
        self._peer = peer
        self._clock = clock
        self._broken = False

    def send(self, data: bytes, deadline: float) -> None:
        """See `runagent.net.base.Connection.send`; takes no time."""
        self._check()
        self._wire.check_send()
        self._peer.receive_data(data)

    def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `runagent.net.base.Connection.receive`.

        Raises:
            DeadlockError: There is no deadline, and nothing left that could happen before it.
        """
        while (data := self._take(max_bytes)) is None:
            if not self._clock.step(deadline):
                if deadline == float("inf"):
                    raise DeadlockError(f"deadlock: {self._peer.waits_for}")
                self._clock.jump(deadline)
                raise DeadlineExceededError
        return data

    def poll(self, max_bytes: int) -> bytes | None:
        """See `runagent.net.base.Connection.poll`."""
        return b"" if self._broken else self._wire.poll(max_bytes)

    def close_write(self) -> None:
        """See `runagent.net.base.Connection.close_write`."""
        self._peer.client_left("half-closed")

    def interrupt(self) -> None:
        """See `runagent.net.base.Connection.interrupt`; a ``receive`` never really blocks."""
        self._broken = True

    def abort(self, farewell: bytes = b"") -> None:
        """See `runagent.net.base.Connection.abort`."""
        if not self._broken:
            self._broken = True
            if farewell:
                self._peer.receive_data(farewell)
            self._peer.client_left()

    def _take(self, max_bytes: int) -> bytes | None:
        self._check()
        return self._wire.take(max_bytes)

    def _check(self) -> None:
        if self._broken:
            raise OSError("the connection was closed")


class BlockingMemory:
    """A `runagent.net.base.Network` on a clock of its own."""

    def __init__(self, opener: Callable[[Address, Clock], tuple[Wire, Peer]]) -> None:
        self._open = opener
        self._clock = VirtualClock()

    def connect(self, address: Address, deadline: float, dialing: Dialing) -> BlockingMemoryConnection:
        """See `runagent.net.base.Network.connect`; takes no time."""
        try:
            return BlockingMemoryConnection(*self._open(address, self._clock), self._clock)
        except OSError as exc:
            raise connect_error(exc, address) from exc

    def now(self) -> float:
        """See `runagent.net.base.Network.now`."""
        return self._clock.time()

    def sleep(self, seconds: float) -> None:
        """See `runagent.net.base.Network.sleep`; takes no real time."""
        until = self._clock.time() + seconds
        while self._clock.step(until):
            pass
        self._clock.jump(until)
