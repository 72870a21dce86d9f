"""What a dialect sees of the host of the fake agents that it serves. No I/O."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DialectHost", "DialectState", "RequestedAgent"]


class RequestedAgent(Protocol):
    """A fake agent, as far as a dialect has to know it."""

    id: str

    @property
    def entrypoint_tags(self) -> tuple[str, ...]:
        """The entry points that a description of the agent lists."""

    def has_entrypoint(self, tag: str) -> bool:
        """Whether runs of this entry point are accepted."""


@dataclass(slots=True)
class DialectState:
    """What a host keeps for one dialect until the host is cleared."""

    values: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def copied(self) -> DialectState:
        """Return a copy, whose changes are lost."""
        return DialectState(copy.deepcopy(self.values), Counter(self.counts))


class DialectHost:
    """The server or memory network that has received a request, as its dialect sees it.

    Attributes:
        url: The host's base URL, for documents that contain absolute URLs.
        agents: The fake agents by id.
        state: Values that the dialect keeps between requests, such as its threads; empty at first, and again
            after ``clear()`` of the host. Each host has its own.
        missing: The id of the last agent that `agent` did not find; None if it found all.
    """

    def __init__(self, url: str, agents: Mapping[str, RequestedAgent], state: DialectState) -> None:
        self.url = url
        self.agents = agents
        self._state = state
        self.missing: str | None = None

    @property
    def state(self) -> dict[str, Any]:
        return self._state.values

    def agent(self, agent_id: str) -> RequestedAgent | None:
        """Find the agent that a request names.

        If there is none, the host's ``check()`` reports the request as unmatched, with the nearest id.
        """
        found = self.agents.get(agent_id)
        if found is None:
            self.missing = agent_id
        return found

    def number(self, name: str) -> int:
        """Count: return 1 at the first call with this name, then 2, and so on; 1 again after ``clear()``.

        Ids that are made of such numbers are the same in each run of a test.
        """
        with self._state.lock:
            self._state.counts[name] += 1
            return self._state.counts[name]
