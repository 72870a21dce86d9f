"""The gates in the scripts of a scope, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runagent_testing._internal.public import publish
from runagent_testing._render.lazy import Kept
from runagent_testing._script.gates import Gate
from runagent_testing._script.unrolling import leaves

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from runagent_testing._host.scripts import AgentScripts
    from runagent_testing._script.steps import Step

__all__ = ["GateFinder", "NamedGate"]


@dataclass(frozen=True, slots=True)
class NamedGate:
    """Every gate with one name in the scripts of a server, network or scope.

    Attributes:
        name: The name.
    """

    name: str
    _gates: list[Gate] = field(default_factory=list, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether runs pass all of them without waiting."""
        return all(gate.is_open for gate in self._gates)

    @property
    def waiting(self) -> int:
        """The number of runs that wait at them."""
        return sum(gate.waiting for gate in self._gates)

    def open(self) -> None:
        """Let every run pass, now and later; callable from any thread."""
        for gate in self._gates:
            gate.open()

    def close(self) -> None:
        """Make the runs wait that reach one of them from now on."""
        for gate in self._gates:
            gate.close()


class GateFinder:
    """Finds the gates in scripts; each script is searched once, as a page asks again and again."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Sequence[Step], list[Gate]]] = {}
        self._waiting: tuple[list[int], list[Sequence[Step]]] = [], []

    def find(
        self, agents: Collection[AgentScripts], running: Iterable[Sequence[Step]]
    ) -> dict[str, NamedGate]:
        """Collect the gates among the steps of scripts, in order.

        Args:
            agents: Their scripts wait for runs.
            running: The steps of runs that have not ended.
        """
        versions, waiting = self._waiting
        if versions != (current := [version for scripts in agents for version in scripts.versions]):
            waiting = [steps for scripts in agents for _, steps in scripts.answers()]
        searched = self._search([*waiting, *running])
        # Unless an answer changes, only those are searched again that have gates.
        self._waiting = current, [steps for steps in waiting if searched[id(steps)][1]]
        named: dict[str, NamedGate] = {}
        for gate in dict.fromkeys(gate for _, gates in searched.values() for gate in gates):
            named.setdefault(gate.name, NamedGate(gate.name))._gates.append(gate)
        return named

    def _search(self, scripts: Sequence[Sequence[Step]]) -> dict[int, tuple[Sequence[Step], list[Gate]]]:
        # By identity, which is that of the script as long as this has it, too.
        before, found = self._found, {id(steps): steps for steps in scripts}
        self._found = {
            key: before[key] if key in before and not isinstance(steps, Kept) else (steps, _gates_in(steps))
            for key, steps in found.items()
        }
        return self._found


def _gates_in(steps: Sequence[Step]) -> list[Gate]:
    # Of an endless answer, whose steps still come, only some are kept.
    known = [step for _, step in steps.items()] if isinstance(steps, Kept) else steps
    return [step for step in leaves(known) if isinstance(step, Gate)]


publish(NamedGate)
