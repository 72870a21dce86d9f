"""The input of a run, and the actions that it asks of its pump."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from runagent._address.route import Address
    from runagent._address.url import Origin
    from runagent._call import AgentCall, FoundByClient, ResumePoint
    from runagent._config.timeouts import Timeouts
    from runagent._errors import RunAgentError
    from runagent._plugins.observers import Observers
    from runagent._run.policy import RetryPolicy
    from runagent.transports._base import Transport

__all__ = ["Action", "KnownUnsupported", "RunContext", "RunSpec"]

_UNSUPPORTED_SECONDS = 300.0


class Action(enum.Enum):
    """What the pump has to do next.

    Attributes:
        SEND: Send the rest of the bytes that the peer did not accept at once.
        TURN: Let others run, then let the session go on with the bytes that it has.
        PROBE: Check whether a reset follows the end of a pooled connection.
    """

    CONNECT = "connect"
    READ = "read"
    TURN = "turn"
    SEND = "send"
    CLOSE_WRITE = "close_write"
    BACK_OFF = "back_off"
    PROBE = "probe"
    END = "end"

    __hash__ = object.__hash__  # that of `Enum` is Python, and runs in each step of a pump


SAME_CONNECTION = frozenset({Action.READ, Action.TURN, Action.SEND, Action.CLOSE_WRITE, Action.PROBE})


class KnownUnsupported:
    """Which transports an origin has proven not to support; each proof is kept for five minutes."""

    def __init__(self) -> None:
        self._until: dict[tuple[Origin, str], float] = {}

    def add(self, origin: Origin, transport: str, now: float) -> None:
        """Note that the origin does not support the transport."""
        self._until[origin, transport] = now + _UNSUPPORTED_SECONDS

    def choose(self, origin: Origin, transports: Sequence[str], now: float) -> Sequence[str]:
        """Return the transports to try, in order: those without such a proof, or all if there is none."""
        if not self._until:
            return transports
        return [t for t in transports if self._until.get((origin, t), 0.0) <= now] or transports


class RunContext(Protocol):
    """What a run needs of its client.

    Attributes:
        known_unsupported: Which transports earlier runs found unsupported.
        asks_key: The key comes from a function.
        found: What steps of earlier runs found.
    """

    known_unsupported: KnownUnsupported
    asks_key: bool
    found: FoundByClient

    def find(self, name: str) -> Transport:
        """Return the transport of a name, or raise a ConfigurationError."""

    def address(self, tunnels: bool, origin: Origin | None = None) -> Address:
        """Return the address to connect to, through a tunnel if the transport needs one.

        Args:
            tunnels: The transport needs one.
            origin: Where to; None for the origin of the base URL.

        Raises:
            ConfigurationError: The caller does not allow the origin.
        """

    def api_key(self) -> str | Awaitable[str] | None:
        """Return the key, or an awaitable of it; called for each attempt."""

    def hint_at(self, error: RunAgentError) -> str:
        """Return what the settings may have to do with an error: the key, the address; "" if unknown."""

    def clock(self) -> float:
        """Return seconds since the epoch."""


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The input of one run.

    Attributes:
        call: The call; key, idempotency key and time are filled in for each attempt.
        transports: The names of the transports, in order of preference.
        timeouts: The limits of the phases.
        policy: Which failures are retried or resumed.
        context: What the run needs of its client.
        observers: The observers that see the call, or None.
        resume: Where the caller asks to go on, in place of the beginning, or None.
    """

    call: AgentCall
    transports: Sequence[str]
    timeouts: Timeouts
    policy: RetryPolicy
    context: RunContext
    observers: Observers | None = None
    resume: ResumePoint | None = None
