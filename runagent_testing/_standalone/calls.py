"""What a script file holds, as calls of agents and rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent_testing._script.gates import Gate
from runagent_testing._script.steps import Chunk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runagent_testing._host.answering import Answering

__all__ = ["Call", "as_chunks", "make_call"]


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
    args = [gates[arg.name] if isinstance(arg, Gate) else arg for arg in call.args]
    made = getattr(target, call.method)(*as_chunks(args), **call.options)
    for follower in call.then:
        make_call(follower, made, gates)


def as_chunks(steps: Sequence[Any]) -> list[Any]:
    """Make chunks of lists: in a file, one is not taken for steps that the author forgot to unpack."""
    return [Chunk(step) if isinstance(step, list) else step for step in steps]
