"""What a script file holds, as calls of agents and rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runagent_testing._script.gates import Gate
from runagent_testing._script.repetition import Repeat
from runagent_testing._standalone.forms import as_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runagent_testing._host.answering import Answering

__all__ = ["Call", "make_call", "with_gates"]


@dataclass(frozen=True, slots=True)
class Call:
    """A method of an `Agent` or `Rule`, and what it is called with.

    Attributes:
        agent_id: The agent.
        method: The method's name.
        args: The positional arguments.
        options: The others.
        then: Calls of the rule that ``when`` returns.
    """

    agent_id: str
    method: str
    args: tuple[Any, ...]
    options: dict[str, Any]
    then: tuple[Call, ...] = ()


def make_call(call: Call, target: Answering, gates: Mapping[str, Gate]) -> None:
    """Make a call.

    Args:
        call: The call.
        target: The agent or rule.
        gates: The gates to use, by name.
    """
    args = [with_gates(arg, lambda gate: gates[gate.name]) for arg in call.args]
    made = getattr(target, call.method)(*as_chunks(args), **call.options)
    for follower in call.then:
        make_call(follower, made, gates)


def with_gates(step: Any, gate_for: Callable[[Gate], Gate]) -> Any:
    """Replace the gates in a step."""
    if isinstance(step, Gate):
        return gate_for(step)
    if isinstance(step, Repeat):
        return replace(step, steps=tuple(with_gates(one, gate_for) for one in step.steps))
    return step
