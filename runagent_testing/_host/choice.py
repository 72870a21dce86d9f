"""The choice of the script that answers a run: the first rule that applies, or the agent itself. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from runagent_testing._host.conditions import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runagent_testing._host.conditions import Predicate
    from runagent_testing._host.scripts import AgentScripts, RuleScripts
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._script.computed import Computed
    from runagent_testing._script.script import Result, Script
    from runagent_testing.dialects import Dialect

    Answer = Script | Result | Computed | None
    Taken = tuple[Answer, Callable[[], None]]

__all__ = ["Choice", "Disrupt", "Question"]

_RULES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Question:
    """A function that has to be asked before the choice can go on."""

    choice: Choice
    rule: RuleScripts
    predicate: Predicate

    def answer(self, verdict: bool) -> None:
        """Note what the function has returned."""
        self.choice.judged[self.rule] = verdict


class Disrupt(Protocol):
    """Takes the answer of a run with the function that it gets, or a fault in its place."""

    def __call__(self, take: Callable[[], Taken], /, *, is_late: bool) -> Taken: ...


class Choice:
    """The choice for one run.

    Args:
        agent: The agent that is asked.
        exchange: The request.
        dialect: Finds the request's query.
        plain: Whether it asks for a plain run.
        disrupt: Puts a fault in the place of the script, or none.

    Attributes:
        agent: The agent.
        exchange: The request.
        is_late: Whether the handshake of a WebSocket is over, so that it cannot be faulty.
        judged: What the functions of rules have returned so far.
    """

    def __init__(
        self,
        agent: AgentScripts,
        exchange: Exchange,
        dialect: Dialect,
        *,
        plain: bool,
        disrupt: Disrupt | None = None,
    ) -> None:
        self.agent = agent
        self.judged: dict[RuleScripts, bool] = {}
        self.exchange = exchange
        self.is_late = False
        self._dialect = dialect
        self._plain = plain
        self._disrupt = disrupt
        self._number = 0
        self._put_back: Callable[[], None] = _nothing
        self._known: Facts | None = None

    @property
    def needs_input(self) -> bool:
        """Whether the choice depends on the run's input."""
        return any(rule.conditions.needs_input for rule in list(self.agent.rules))

    def begin(self, *, resumes: bool = False) -> None:
        """Count the run, whose input is known by now; one that resumes another is that one."""
        self.agent.count += not resumes
        self._number = self.agent.count
        self._known = None

    def take(self) -> Script | Result | Computed | Question | None:
        """Take the script that answers the run; None if there is none.

        Returns:
            Also a question, whose answer is needed first; then call this again.
        """
        if (question := self._question()) is not None:
            return question
        if self._disrupt is None:
            answer, self._put_back = self._take_own()
        else:
            answer, self._put_back = self._disrupt(self._take_own, is_late=self.is_late)
        return answer

    def _take_own(self) -> Taken:
        """Take the script of the first rule that applies, or of the agent; see `Scripts.take_script`."""
        for rule in self._applying():
            if self.judged.get(rule, rule.conditions.matches is None):
                return self._taken(rule)
        return self._taken(self.agent)

    def put_back(self) -> None:
        """Put the chosen script back to where it was, for another run, as the run has not begun."""
        self._put_back()
        if self.agent.limit is not None:
            self.agent.limit.give_back()

    def describe_missing(self) -> str:
        """Describe why no script answers the run."""
        missing = self.agent.describe_missing(plain=self._plain)
        rules = [(list(self._reasons(rule)), rule) for rule in list(self.agent.rules)]
        nearest = sorted(rules, key=lambda each: len(each[0]))[:_RULES_SHOWN]
        shown = [f"; {rule.conditions}: {' and '.join(reasons)}" for reasons, rule in nearest]
        more = len(rules) - len(shown)
        return "".join([missing, *shown, f"; and {more} more rule(s)" if more else ""])

    @property
    def _facts(self) -> Facts:
        if self._known is None:
            exchange = self.exchange
            query = self._dialect.find_query(exchange.input)
            secrets = exchange.secrets
            self._known = Facts(query, exchange.body, exchange.raw_headers, self._number, secrets)
        return self._known

    def _applying(self) -> Iterator[RuleScripts]:
        """Yield the rules that have an answer left, and whose conditions hold, apart from functions."""
        for rule in list(self.agent.rules):
            holds = next(rule.conditions.differences(self._facts), None) is None
            if holds and rule.has_answer(plain=self._plain):
                yield rule

    def _question(self) -> Question | None:
        """Return the first function that has to be asked, before any rule that is certain to answer."""
        for rule in self._applying():
            predicate = rule.conditions.matches
            if predicate is not None and rule not in self.judged:
                return Question(self, rule, predicate)
            if self.judged.get(rule, True) and rule.lasts(plain=self._plain):
                return None
        return None

    def _taken(self, scripts: AgentScripts | RuleScripts) -> Taken:
        return (scripts.take_result(), _nothing) if self._plain else scripts.take_script()

    def _reasons(self, rule: RuleScripts) -> Iterator[str]:
        """Describe why a rule does not answer the run."""
        yield from rule.conditions.differences(self._facts)
        if self.judged.get(rule) is False:
            assert rule.conditions.matches is not None
            yield f"{rule.conditions.matches.short_name} returned False"
        if rule.has_answer(plain=self._plain):
            return
        used_up = rule.used_up(plain=self._plain)
        kind = "plain" if self._plain else "stream"
        yield f"it has used up its {used_up}(...)" if used_up else f"it has no answer to a {kind} run"


def _nothing() -> None:
    pass
