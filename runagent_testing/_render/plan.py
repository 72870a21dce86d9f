"""Plans: the exact bytes of each write, the waits and the end. No I/O.

A player of a plan only writes, waits and closes. Every move knows the steps of the script from which
it comes, so that a timeline can show the steps next to the writes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runagent_testing._script.gates import Gate

__all__ = [
    "ENDS",
    "AnyPlan",
    "ConnectionFault",
    "End",
    "EndMeaning",
    "Move",
    "Pass",
    "Plan",
    "Wait",
    "Write",
    "bytes_of",
]

__tracebackhide__ = is_ours

ConnectionFault = Literal["refuse", "close", "reset", "silent"]  # instead of a plan
End = Literal["open", "close", "cut", "reset", "half-close", "stall", "silent"]


class EndMeaning(NamedTuple):
    """What a player does after the last move of a plan.

    Attributes:
        description: The text for timelines.
        is_done: Whether the exchange is done; otherwise it lasts until one side closes the connection.
        drops: Whether the connection is dropped at once, over TLS without close_notify.
        resets: Whether it is dropped by RST instead of FIN.
        shuts_writing: Whether FIN is sent, but the connection is still read.
        closes: Whether the connection is closed as the protocol demands; a WebSocket waits for the client's
            Close.
        serves_on: Whether the next request on the connection is answered.
        pings: Whether a WebSocket sends pings while it is open.
        is_mute: Whether a WebSocket answers neither pings nor a Close.
    """

    description: str
    is_done: bool = True
    drops: bool = False
    resets: bool = False
    shuts_writing: bool = False
    closes: bool = False
    serves_on: bool = False
    pings: bool = True
    is_mute: bool = False


# None: a plan that is still being computed, whose end is not known yet.
ENDS: dict[End | None, EndMeaning] = {
    None: EndMeaning("not known yet"),
    "open": EndMeaning("the connection stays open", serves_on=True),
    "close": EndMeaning("the connection is closed", closes=True),
    "cut": EndMeaning("FIN at the wrong time", drops=True),
    "reset": EndMeaning("RST", drops=True, resets=True),
    "half-close": EndMeaning("FIN, and the agent reads on", shuts_writing=True),
    "stall": EndMeaning("nothing more", is_done=False, pings=False),
    "silent": EndMeaning("nothing more, whatever the client sends", is_done=False, pings=False, is_mute=True),
}


class Write(NamedTuple):
    """Bytes that are sent together.

    Attributes:
        steps: Numbers, from 0, of the steps that have bytes in it; empty for bytes that the protocol adds.
        whole: Whether it ends with a whole frame, so that a WebSocket's pongs may follow it.
    """

    data: bytes
    steps: tuple[int, ...] = ()
    whole: bool = True

    def __repr__(self) -> str:
        """Show no bytes: what an agent sends may repeat the client's key."""
        return f"<write of {len(self.data)} bytes, steps {self.steps}>"


class Wait(NamedTuple):
    """A pause.

    Attributes:
        seconds: How long.
        step: The number of its step; None for the gap between two writes.
        due: Seconds from the beginning of the plan at which it ends, if it has to keep to a schedule: it is
            then shorter if the moves before it have taken longer.
    """

    seconds: float
    step: int | None = None
    due: float | None = None


class Pass(NamedTuple):
    """A gate to wait at."""

    gate: Gate
    step: int | None = None


Move = Write | Wait | Pass


class AnyPlan(Protocol):
    """The interface of every plan, whether it is known before it is played or not."""

    @property
    def end(self) -> End | None:
        """The end; None until it is known."""

    @property
    def is_whole(self) -> bool:
        """Whether no more moves follow those that are known."""

    @property
    def known(self) -> Sequence[Move]:
        """The moves so far."""

    @property
    def moves(self) -> Sequence[Move]:
        """All moves that can be known without playing the plan."""

    @property
    def data(self) -> bytes:
        """The bytes of `moves`."""

    def after(self, count: int) -> Move | None:
        """Return the move after the first ``count``, if there is one."""

    @property
    def rest(self) -> str | None:
        """The name of the function that may make more moves; None if there is none."""

    @property
    def optional_from(self) -> float:
        """The number, from 0, of the first step that a client need not wait for; else infinite."""

    def __iter__(self) -> Iterator[Move]:
        """Yield the moves, also those that are not known yet."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The moves of a player, in order, and what happens to the connection after them.

    Attributes:
        moves: Writes and waits.
        end: What happens to the connection afterwards; `ENDS` has the meaning of each.
        rest: As of every plan; only the copy of a plan that has not been computed to its end has one.
        optional_from: As of every plan.
    """

    moves: Sequence[Move]
    end: End | None
    rest: str | None = None
    optional_from: float = math.inf

    @property
    def is_whole(self) -> bool:
        """Whether these are all moves."""
        return self.rest is None

    @property
    def known(self) -> Sequence[Move]:
        """The rendered moves, which are all of them."""
        return self.moves

    def __iter__(self) -> Iterator[Move]:
        return iter(self.moves)

    @property
    def data(self) -> bytes:
        """All bytes."""
        return bytes_of(self.moves)

    def after(self, count: int) -> Move | None:
        """Return the move after the first ``count``; None at the end."""
        return self.moves[count] if count < len(self.moves) else None


def bytes_of(moves: Iterable[Move]) -> bytes:
    """Join the bytes of all writes."""
    return b"".join(move.data for move in moves if isinstance(move, Write))
