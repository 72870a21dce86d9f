"""One rule of a fake agent, as a test scripts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._host.answering import Answering
from runagent_testing._internal.public import publish
from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from runagent_testing._host.scripts import RuleScripts

__all__ = ["Rule"]

__tracebackhide__ = is_ours


class Rule(Answering):
    """Answers those runs of an agent that meet its conditions; `Agent.when` makes it.

    It has the methods of an agent that set answers; they return the rule.
    """

    def __init__(self, scripts: RuleScripts, agent_id: str) -> None:
        super().__init__(scripts, agent_id)
        self._conditions = scripts.conditions

    def __repr__(self) -> str:
        return f"<Rule {self._conditions}>"


publish(Rule)
