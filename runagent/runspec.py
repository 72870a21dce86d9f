"""What a run is made of, and the words between it and its pump."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runagent.call import AgentCall
    from runagent.config import Timeouts
    from runagent.net.base import Address
    from runagent.observers import Observers
    from runagent.policy import RetryPolicy
    from runagent.transports.base import Transport

__all__ = ["RunSpec", "Step", "Verdicts"]

_VERDICT_SECONDS = 300.0


class Step(enum.Enum):
    """What the pump has to do next."""

    CONNECT = "connect"
    READ = "read"
    CLOSE_WRITE = "close_write"
    BACK_OFF = "back_off"
    END = "end"


class Verdicts:
    """Which origins have proven not to speak a transport; kept for five minutes."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}

    def add(self, origin: str, transport: str, now: float) -> None:
        """Note a proof."""
        self._until[origin, transport] = now + _VERDICT_SECONDS

    def choose(self, origin: str, transports: Sequence[str], now: float) -> list[str]:
        """Return the transports to try, in order: those without a verdict, or all where none is left."""
        return [t for t in transports if self._until.get((origin, t), 0.0) <= now] or list(transports)


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants of one run.

    Attributes:
        call: What is asked; key, idempotency key and time are filled in for each attempt.
        transports: Names, in order of preference.
        find: Gives the transport of a name; raises where there is none.
        address: Gives the address, through a tunnel if the transport wants one.
        api_key: Gives the key, asked again for each attempt.
        clock: Seconds since the epoch.
        policy: What is tried again.
        timeouts: The limits.
        verdicts: What earlier runs have learnt.
        observers: Who is told of the call, if anyone is.
    """

    call: AgentCall
    transports: Sequence[str]
    find: Callable[[str], Transport]
    address: Callable[[bool], Address]
    api_key: Callable[[], str | None]
    clock: Callable[[], float]
    policy: RetryPolicy
    timeouts: Timeouts
    verdicts: Verdicts
    observers: Observers | None = None
