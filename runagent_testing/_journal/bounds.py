"""How much a journal keeps: so many exchanges, and so many bytes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._render.lazy import LazyPlan
from runagent_testing._render.plan import Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._journal.exchange import Exchange

__all__ = ["MAX_BYTES", "Bounds"]

MAX_BYTES = 64 * 1024 * 1024  # that the kept exchanges have received and sent, each move counted as some
_MOVE = 100
_EXCHANGE = 2000
_LAZY_MOVES = 2000  # that a plan keeps whose steps a generator makes


class Bounds:
    """Forgets the oldest exchanges that have ended, when there are too many or when they are too large.

    Args:
        count: How many exchanges a list keeps.
        on_forget: Called with each exchange that is forgotten, and its list.
    """

    def __init__(self, count: int, on_forget: Callable[[Exchange, list[Exchange]], object]) -> None:
        self.count = count
        self._on_forget = on_forget
        self._running: list[Exchange] = []
        self._sizes: dict[Exchange, int] = {}
        self._size = 0

    def add(self, exchange: Exchange, exchanges: list[Exchange]) -> None:
        """Note that a list has another exchange, and forget others of the list if it has to be."""
        if exchange not in self._sizes:
            self._sizes[exchange] = 0
            self._running.append(exchange)
        self._measure()
        while len(exchanges) > self.count or self._size > MAX_BYTES:
            ended = (at for at, one in enumerate(exchanges) if one.outcome != "running")
            if (at := next(ended, None)) is None:
                return
            forgotten = exchanges.pop(at)
            self._size -= self._sizes.pop(forgotten, 0)
            self._on_forget(forgotten, exchanges)

    def clear(self) -> None:
        """Forget every size."""
        self._running.clear()
        self._sizes.clear()
        self._size = 0

    def _measure(self) -> None:
        """Add the sizes of the exchanges that have ended since the last time."""
        ended = [exchange for exchange in self._running if exchange.outcome != "running"]
        if not ended:
            return
        self._running = [exchange for exchange in self._running if exchange.outcome == "running"]
        for exchange in ended:
            if exchange in self._sizes:
                self._sizes[exchange] = _size_of(exchange)
                self._size += self._sizes[exchange]


def _size_of(exchange: Exchange) -> int:
    """Estimate how many bytes an exchange occupies; other exchanges may share some of them."""
    length = exchange.raw_headers.get("content-length", "")
    received = (int(length) if length.isdecimal() else 0) + sum(map(len, exchange.messages))
    if exchange.plan is None:
        return _EXCHANGE + received
    if isinstance(exchange.plan, LazyPlan):
        return _EXCHANGE + received + _MOVE * min(exchange.moves_done, _LAZY_MOVES)
    sent = sum(len(move.data) for move in exchange.plan.known if isinstance(move, Write))
    return _EXCHANGE + received + sent + _MOVE * exchange.moves_done
