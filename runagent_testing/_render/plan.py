"""Plans: the exact bytes of each write, the waits and the end. No I/O.

A player of a plan only writes, waits and closes. Every move knows the steps of the script from which
it comes, so that a timeline can show the steps next to the writes.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

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
    "GrowingPlan",
    "Move",
    "Pass",
    "Plan",
    "Wait",
    "Write",
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


@dataclass(frozen=True, slots=True)
class Write:
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


@dataclass(frozen=True, slots=True)
class Wait:
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


@dataclass(frozen=True, slots=True)
class Pass:
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

    def __iter__(self) -> Iterator[Move]:
        """Yield the moves, also those that are not known yet."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The moves of a player, in order, and what happens to the connection after them.

    Attributes:
        moves: Writes and waits.
        end: What happens to the connection afterwards; `ENDS` has the meaning of each.
        rest: As of every plan; only the copy of a plan that has not been computed to its end has one.
    """

    moves: Sequence[Move]
    end: End | None
    rest: str | None = None

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
        return _bytes_of(self.moves)

    def after(self, count: int) -> Move | None:
        """Return the move after the first ``count``; None at the end."""
        return self.moves[count] if count < len(self.moves) else None


class GrowingPlan:
    """A plan that is rendered while it is played, so that its first bytes need not wait for later steps.

    Several runs may play it at once, and any thread may read it.

    Args:
        parts: The moves, in order.
        end: As of a `Plan`.

    Attributes:
        known: The moves rendered so far.
        is_whole: Whether these are all.
        rest: As of every plan: no function makes more moves.
    """

    rest = None

    def __init__(self, parts: Iterator[list[Move]], end: End) -> None:
        self.end = end
        self._parts = parts
        self.known: list[Move] = []
        self.is_whole = False
        self._failure: Exception | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Plan, (tuple(self.moves), self.end)

    def __iter__(self) -> Iterator[Move]:
        for at in itertools.count():
            if (move := self.after(at)) is None:
                return
            yield move

    @property
    def moves(self) -> Sequence[Move]:
        """All moves, up to one that cannot be rendered; renders those that no run has reached yet."""
        with contextlib.suppress(Exception):  # a dialect's, which the run that reaches it has for its failure
            while self._grow(len(self.known)):
                pass
        return self.known

    @property
    def data(self) -> bytes:
        """All bytes."""
        return _bytes_of(self.moves)

    def after(self, count: int) -> Move | None:
        """Return the move after the first ``count``, rendering it if necessary; None at the end."""
        while count >= len(self.known):
            if not self._grow(count):
                return None
        return self.known[count]

    def _grow(self, size: int) -> bool:
        """Render the next part, unless another thread has done so; False if there is none."""
        with self._lock:  # held for one part only, as the server's thread may wait for it
            if size >= len(self.known) and not self.is_whole:
                self._render()
        return not self.is_whole or size < len(self.known)

    def _render(self) -> None:
        if self._failure is not None:  # a generator that has raised would look as if it had ended normally
            raise self._failure
        try:
            part = next(self._parts, None)
        except Exception as exc:
            self._failure = exc
            raise
        self.known += part or []
        self.is_whole = part is None


def _bytes_of(moves: Iterable[Move]) -> bytes:
    return b"".join(move.data for move in moves if isinstance(move, Write))
