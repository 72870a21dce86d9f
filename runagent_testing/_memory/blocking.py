"""The memory network of synchronous code: a wait runs the calls that are due, and moves the clock."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from runagent._net.base import ConnectAttempt, DeadlineExceededError
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._internal.uncopied import Uncopied
from runagent_testing._memory.calls import Call, Calls, Clock
from runagent_testing._memory.connection import MemoryConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._address.route import Address
    from runagent_testing._memory.peer import Peer
    from runagent_testing._memory.wire import Wire

__all__ = ["BlockingMemory", "BlockingMemoryConnection", "VirtualClock"]

__tracebackhide__ = is_ours

_PATIENCE = 1.0  # real seconds that another thread has to open a gate


class VirtualClock:
    """Time that passes only while a caller waits."""

    def __init__(self) -> None:
        self._now = 0.0
        self._calls = Calls()

    def time(self) -> float:
        """Return the virtual seconds since the beginning."""
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> Call:
        """Call back at a time."""
        return self._calls.add(when, callback)

    def call_soon_threadsafe(self, callback: Callable[[], object]) -> Call:
        """Call back at the next wait."""
        return self._calls.add(self._now, callback)

    def step(self, deadline: float) -> bool:
        """Jump to the next call that is due by ``deadline`` and make it; False if there is none."""
        if (due := self._calls.take(deadline)) is None:
            return False
        when, callback = due
        self.jump(when)
        callback()
        return True

    def jump(self, when: float) -> None:
        """Set the time; no call may be due before it."""
        self._now = max(self._now, when)


class BlockingMemoryConnection(MemoryConnection):
    """A `runagent._net.base.Connection`."""

    def __init__(self, wire: Wire, peer: Peer, clock: VirtualClock) -> None:
        super().__init__(wire, peer)
        self._clock = clock

    def send(self, data: bytes, deadline: float) -> None:
        """See `runagent._net.base.Connection.send`; takes no time."""
        self._send(data)

    def receive(self, max_bytes: int, deadline: float) -> bytes:
        """See `runagent._net.base.Connection.receive`.

        Raises:
            DeadlockError: The agent waits at a gate that only this thread could open; or there is no
                deadline, and nothing is scheduled that could send bytes.
        """
        while (data := self._take(max_bytes)) is None:
            if self._peer.is_at_gate and not self._is_opened_by_another_thread():
                raise self.deadlock()
            if not self._clock.step(deadline):
                if deadline == math.inf:
                    raise self.deadlock()
                self._clock.jump(deadline)
                raise DeadlineExceededError
        return data

    def interrupt(self) -> None:
        """See `runagent._net.base.Connection.interrupt`; a ``receive`` never really blocks."""
        self._broken = True

    def _is_opened_by_another_thread(self) -> bool:
        return threading.active_count() > 1 and self._peer.wait_at_gate(_PATIENCE)


class BlockingMemory(Uncopied):
    """A `runagent._net.base.Network` on a separate clock."""

    def __init__(self, opener: Callable[[Address, Clock], tuple[Wire, Peer]]) -> None:
        self._open = opener
        self._clock = VirtualClock()

    def connect(self, address: Address, deadline: float, attempt: ConnectAttempt) -> BlockingMemoryConnection:
        """See `runagent._net.base.Network.connect`; takes no time."""
        return BlockingMemoryConnection(*self._open(address, self._clock), self._clock)

    def now(self) -> float:
        """See `runagent._net.base.Network.now`."""
        return self._clock.time()

    def sleep(self, seconds: float) -> None:
        """See `runagent._net.base.Network.sleep`; takes no real time."""
        until = self._clock.time() + seconds
        while self._clock.step(until):
            pass
        self._clock.jump(until)
