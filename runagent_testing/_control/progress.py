"""How far an answer is, for those who look again and again: each look costs what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing._journal.record import numbers_of
from runagent_testing._render.lazy import Kept
from runagent_testing._render.plan import Pass, Wait, Write
from runagent_testing._script.steps import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._render.plan import AnyPlan, Move

__all__ = ["ChunkWatch", "waits_for"]


class ChunkWatch:
    """Finds the chunks of an answer that have been sent as a whole.

    Attributes:
        sent: How many, as far as was looked; of an endless answer those that nothing has kept, too.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.sent = 0
        self._exchange = exchange
        self._seen = 0
        self._last = -1  # the number of the last chunk that was found

    def look(self) -> list[Any]:
        """Return the contents of the chunks that have been sent since the last look."""
        exchange = self._exchange
        if (plan := exchange.plan) is None:
            return []
        done = exchange.moves_done
        unfinished = _unfinished(plan, done)
        found, is_cut = [], False
        for move in _between(plan.known, self._seen, done):
            for number in move.steps if isinstance(move, Write) else ():
                is_cut = number in unfinished
                if number > self._last and not is_cut:
                    self._last = number
                    step = exchange.steps[number]
                    if isinstance(step, Chunk):
                        found.append(step.content)
        self.sent += len(found)
        # A write whose last step is unfinished is looked at once more.
        self._seen = done - 1 if is_cut else done
        return exchange.secrets.value(found) if found else found


def waits_for(exchange: Exchange) -> dict[str, Any] | None:
    """Return what a running answer waits for: ``{"gate": name}`` or ``{"seconds": length}``; or None."""
    if exchange.outcome != "running" or exchange.plan is None:
        return None
    match exchange.plan.after(exchange.moves_done):
        case Pass(gate=gate) if not gate.is_open:
            return {"gate": exchange.secrets.text(gate.name)}
        case Wait(seconds=seconds):
            return {"seconds": seconds}
    return None


def _unfinished(plan: AnyPlan, done: int) -> set[int]:
    """Return the numbers of the steps that have parts to come: the writes of a step follow one another."""
    following = plan.after(done)
    while isinstance(following, Wait) and following.step is None:  # between two writes
        done += 1
        following = plan.after(done)
    return set() if following is None else set(numbers_of(following))


def _between(moves: Sequence[Move], start: int, end: int) -> Iterable[Move]:
    if isinstance(moves, Kept):
        return [move for at, move in moves.items() if start <= at < end]
    return moves[start:end]
