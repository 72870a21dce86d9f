"""What a run is made of, and the words between it and its pump."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from runagent._address.route import Address
    from runagent._address.url import Origin
    from runagent._call import AgentCall
    from runagent._config.timeouts import Timeouts
    from runagent._plugins.observers import Observers
    from runagent._run.policy import RetryPolicy
    from runagent.transports._base import Transport

__all__ = ["KnownUnsupported", "RunContext", "RunSpec", "Step"]

_UNSUPPORTED_SECONDS = 300.0


class Step(enum.Enum):
    """What the pump has to do next.

    Attributes:
        SEND: To send the rest of what the peer did not take at once.
        PROBE: To see whether a reset follows the end of a kept connection.
    """

    CONNECT = "connect"
    READ = "read"
    SEND = "send"
    CLOSE_WRITE = "close_write"
    BACK_OFF = "back_off"
    PROBE = "probe"
    END = "end"


class KnownUnsupported:
    """Which origins have proven not to speak a transport; kept for five minutes."""

    def __init__(self) -> None:
        self._until: dict[tuple[Origin, str], float] = {}

    def add(self, origin: Origin, transport: str, now: float) -> None:
        """Note a proof."""
        self._until[origin, transport] = now + _UNSUPPORTED_SECONDS

    def choose(self, origin: Origin, transports: Sequence[str], now: float) -> Sequence[str]:
        """Return the transports to try, in order: those without a verdict, or all where none is left."""
        if not self._until:
            return transports
        return [t for t in transports if self._until.get((origin, t), 0.0) <= now] or transports


class RunContext(Protocol):
    """What all runs of a client have in common.

    Attributes:
        known_unsupported: Which transports earlier runs found unsupported.
    """

    known_unsupported: KnownUnsupported

    def find(self, name: str) -> Transport:
        """Return the transport of a name; raises where there is none."""

    def address(self, tunnels: bool) -> Address:
        """Return where to connect, through a tunnel if the transport wants one."""

    def api_key(self) -> str | Awaitable[str] | None:
        """Return the key, or what gives it; asked again for each attempt."""

    def clock(self) -> float:
        """Return seconds since the epoch."""


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants of one run.

    Attributes:
        call: What is asked; key, idempotency key and time are filled in for each attempt.
        transports: Names, in order of preference.
        timeouts: The limits.
        policy: What is tried again.
        context: What all runs of the client have in common.
        observers: Who is told of the call, if anyone is.
    """

    call: AgentCall
    transports: Sequence[str]
    timeouts: Timeouts
    policy: RetryPolicy
    context: RunContext
    observers: Observers | None = None
