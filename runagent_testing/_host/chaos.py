"""Which runs meet a fault of the catalogue in place of their answer: by chance, or because a test wants it.

Chance is a hash of the seed, the test, the agent and the run's number, so the same in every process and
every version of Python.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Chaos", "Injection"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chaos:
    """Faults by chance; see `AgentHost.chaos`."""

    rate: float
    seed: int = 0
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    test: str = ""

    def strikes(self, agent_id: str, number: int) -> bool:
        """Whether a run meets a fault, if the catalogue has one for it.

        Args:
            agent_id: The agent.
            number: The run's place among those of the agent, from 1.
        """
        return self._draw("strikes", agent_id, number) < self.rate

    def choose(self, agent_id: str, number: int, faults: Sequence[T]) -> T:
        """Choose the fault of a run."""
        return faults[int(self._draw("chooses", agent_id, number) * len(faults))]

    def _draw(self, purpose: str, agent_id: str, number: int) -> float:
        """Draw a number, 0 or more and less than 1, in steps that a float can have."""
        drawn_from = json.dumps([purpose, self.seed, self.test, agent_id, number]).encode()
        return (int.from_bytes(hashlib.blake2b(drawn_from, digest_size=8).digest(), "big") >> 11) / 2**53


@dataclass(slots=True, eq=False)
class Injection:
    """A fault that a run has to meet; see `AgentHost.inject`.

    Attributes:
        name: As the test has it.
        transport: Of the run; None for any.
        agent_id: Likewise.
        run: The run's place among those of its agent, from 1; None for the next one.
        misfits: Why answers had no place for the fault.
        is_met: Whether a run has met it.
    """

    name: str
    transport: str | None
    agent_id: str | None
    run: int | None
    misfits: list[str] = field(default_factory=list)
    is_met: bool = False

    @property
    def fault_id(self) -> str:
        """The fault's id in the catalogue of a transport."""
        return self.name.rpartition("/")[2]

    def is_for(self, transport: str, agent_id: str, number: int) -> bool:
        """Whether it is for a run."""
        wanted = (self.transport, transport), (self.agent_id, agent_id), (self.run, number)
        return all(one is None or one == other for one, other in wanted)

    def __str__(self) -> str:
        run = "" if self.run is None else f" in run {self.run}"
        agent = "" if self.agent_id is None else f" of agent {self.agent_id!r}"
        why = f" ({self.misfits[-1]})" if self.misfits else ""
        return f"never met: fault {self.name!r}{run}{agent}{why}"
