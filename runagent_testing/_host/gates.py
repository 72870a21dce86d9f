"""The gates in the scripts of a scope, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runagent_testing._internal.public import publish
from runagent_testing._script.gates import Gate

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NamedGate", "named_gates"]


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


def named_gates(steps: Iterable[object]) -> dict[str, NamedGate]:
    """Collect the gates among these steps, in order."""
    found: dict[str, NamedGate] = {}
    for gate in dict.fromkeys(step for step in steps if isinstance(step, Gate)):
        found.setdefault(gate.name, NamedGate(gate.name))._gates.append(gate)
    return found


publish(NamedGate)
