"""What was wrong with exchanges that the journal has forgotten, so that a check still reports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._host.verify import failed, unmatched, unplayed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runagent_testing._journal.exchange import Exchange

__all__ = ["Forgotten"]

_SHOWN = 100  # problems of each kind
_UNMATCHED = "unmatched requests"
_FAILED = "requests that failed"
_UNUSED = "requests with steps that were never played"


class Forgotten:
    """The problems of exchanges that the journal has forgotten: the first ones, and how many more."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Lines] = {}

    def note(self, exchange: Exchange, *, is_unmatched: bool) -> None:
        """Note the problems of an exchange.

        Args:
            exchange: The exchange, which has ended.
            is_unmatched: Whether it was forgotten as a request that no script answers; the list of requests
                may have it, too.
        """
        if is_unmatched:
            self._add(_UNMATCHED, [unmatched(exchange)])
        else:
            self._add(_FAILED, failed(exchange))
            self._add(_UNUSED, unplayed(exchange, exchange.secrets))

    def problems(self, *, allow_unused: bool, allow_unmatched: bool) -> Iterator[str]:
        """List them; arguments as for `AgentHost.problems`."""
        if not allow_unmatched:
            yield from self._shown(_UNMATCHED)
        yield from self._shown(_FAILED)
        if not allow_unused:
            yield from self._shown(_UNUSED)

    def clear(self) -> None:
        """Forget these, too."""
        self._kinds.clear()

    def _add(self, kind: str, lines: Iterable[str]) -> None:
        self._kinds.setdefault(kind, _Lines(kind)).add(lines)

    def _shown(self, kind: str) -> Iterator[str]:
        if kind in self._kinds:
            yield from self._kinds[kind].shown()


class _Lines:
    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._first: list[str] = []
        self._more = 0

    def add(self, lines: Iterable[str]) -> None:
        for line in lines:
            if len(self._first) < _SHOWN:
                self._first.append(line)
            else:
                self._more += 1

    def shown(self) -> Iterator[str]:
        yield from self._first
        if self._more:
            yield f"{self._more} more {self._kind}, which the journal has forgotten"
