"""Reads what a script file has for one agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing._host.agent import Agent
from runagent_testing._internal.suggestions import nearest
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.steps import Delay
from runagent_testing._script.validation import StepError
from runagent_testing._standalone.calls import Call, with_gates
from runagent_testing._standalone.conditions import CONDITIONS, read_conditions, read_limit
from runagent_testing._standalone.document import Item
from runagent_testing._standalone.forms import (
    INTEGER,
    NUMBER,
    OBJECT,
    OPTIONS,
    STEPS,
    TEXT,
    Choice,
    FieldType,
    as_chunks,
    read_fields,
    read_step,
    shown,
)
from runagent_testing._standalone.local_keys import LOCAL_KEYS, read_local_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runagent_testing._script.gates import Gate
    from runagent_testing._standalone.document import Place, Problems

__all__ = ["AgentReader"]

__tracebackhide__ = is_ours

_RESULT_OPTIONS: dict[str, FieldType | Choice] = {
    "usage": OBJECT,
    "execution_time": NUMBER,
    "agent_version": TEXT,
    "writes": OPTIONS["writes"],
    "write_gap": OPTIONS["write_gap"],
}
# By the key of the file: the method, and its options.
_ONE: dict[str, tuple[str, dict[str, FieldType | Choice]]] = {
    "always": ("always", OPTIONS),
    "fails": ("fails", OPTIONS),
    "returns": ("returns", _RESULT_OPTIONS),
}
_MANY: dict[str, tuple[str, dict[str, FieldType | Choice]]] = {
    "replies": ("reply", OPTIONS),
    "returns_once": ("returns_once", _RESULT_OPTIONS),
}
# By the method's name, which is the likely mistake.
_KEY_OF = {method: key for key, (method, _) in _MANY.items()}
_ANSWERS = (*_ONE, *_MANY, *LOCAL_KEYS)
_KEYS = (*_ANSWERS, "when", "limit", "entrypoints", *OPTIONS)
_RULE_KEYS = (*CONDITIONS, *_ANSWERS, *OPTIONS)
_FAULTS = 100  # of the steps of one answer that are listed


class AgentReader:
    """Reads agents; what is wrong with one is noted.

    Args:
        problems: Where problems are noted.
        gates: Gets the gates, by name.
        path: The path of the file; None for a text of another machine.
    """

    def __init__(self, problems: Problems, gates: dict[str, Gate], path: str | None) -> None:
        self._problems = problems
        self._gates = gates
        self._path = path
        self._agent_id = ""

    def read(self, agent_id: str, item: Item, place: Place) -> list[Call]:
        """Read an agent.

        Args:
            agent_id: Its id.
            item: What the file has for it.
            place: The place of the id.
        """
        self._agent_id = agent_id
        return self._calls(agent_id, item, {}, _KEYS, place)

    def read_rule_answers(self, agent_id: str, item: Item) -> list[Call]:
        """Read answers for a rule that exists."""
        self._agent_id = agent_id
        return self._calls(agent_id, item, {}, (*_ANSWERS, *OPTIONS), item.place)

    def read_result(self, item: Item) -> Call:
        """Read the answer to a plain run, as under ``returns``."""
        return self._answer(item, {}, "returns", _RESULT_OPTIONS)

    def _calls(
        self, where: str, item: Item, defaults: dict[str, Any], known: tuple[str, ...], place: Place
    ) -> list[Call]:
        """Read an agent or a rule, whatever keys it has."""
        self._problems.where = where
        what = "an agent" if known is _KEYS else "a rule"
        if not isinstance(item.value, dict) or not item.value:
            self._problems.add(item if item.value else place, f"{what} has some of {', '.join(known)}")
            return []
        shared = Item(item.place, {k: v for k, v in item.value.items() if k in OPTIONS}, item.keys)
        defaults = defaults | read_fields(shared, OPTIONS, self._problems, of=what)
        calls: list[Call] = []
        for key, value in item.value.items():
            if key in LOCAL_KEYS and self._path is None:
                self._problems.add(item.keys[key], f"{key!r} can only be set on the fake agent's own machine")
            elif key not in known:
                meant = nearest(_KEY_OF.get(key) or key, known)
                self._problems.add(item.keys[key], f"{key!r} is nothing {what} has: {meant}")
            self._problems.where = f"{where}.{key}"
            calls += self._of_key(key, value, defaults) if key in known else []
            self._problems.where = where
        return calls

    def _of_key(self, key: str, item: Item, defaults: dict[str, Any]) -> Iterator[Call]:
        if key in _ONE:
            yield self._answer(item, defaults, *_ONE[key])
        elif key in _MANY:
            for one in self._listed(item, f"{key} is a list of answers, each with its own steps"):
                yield self._answer(one, defaults, *_MANY[key])
        elif key in LOCAL_KEYS and self._path is not None:
            options = read_local_key(key, item, self._path, self._agent_id, self._problems)
            if options is not None:
                yield Call(self._agent_id, key, (), options)
        elif key == "when":
            rules = self._listed(item, "when is a list of rules, each with its conditions and answers")
            for number, rule in enumerate(rules, 1):
                yield self._rule(f"{self._problems.where}.{number}", rule, defaults)
        elif key == "limit":
            yield Call(self._agent_id, "limit", (), read_limit(item, self._problems))
        elif key == "entrypoints":
            yield self._entrypoints(item)

    def _rule(self, where: str, item: Item, defaults: dict[str, Any]) -> Call:
        before = self._problems.where
        answers = self._calls(where, item, defaults, _RULE_KEYS, item.place)
        self._problems.where = where
        conditions = read_conditions(item, self._problems) if isinstance(item.value, dict) else {}
        if isinstance(item.value, dict) and not item.value.keys() & {*_ANSWERS}:
            self._problems.add(item, f"a rule has answers: some of {', '.join(_ANSWERS)}")
        self._problems.where = before
        return Call(self._agent_id, "when", (), conditions, tuple(answers))

    def _entrypoints(self, item: Item) -> Call:
        tags = item.plain
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            self._problems.add(item, f"entrypoints is a list of tags, not {shown(tags)}")
            tags = []
        return Call(self._agent_id, "entrypoints", tuple(tags), {})

    def _listed(self, item: Item, fault: str) -> list[Item]:
        if isinstance(item.value, list):
            return item.value
        self._problems.add(item, fault)
        return []

    def _answer(
        self,
        item: Item,
        defaults: dict[str, Any],
        method: str,
        known: Mapping[str, FieldType | Choice],
    ) -> Call:
        before = len(self._problems)
        args: list[Any] = []
        options: dict[str, Any] = {}
        step_items = [item]
        if method == "fails":
            known = {**known, "times": INTEGER}
        if isinstance(item.value, list):
            step_items = item.value
        elif isinstance(item.value, dict):
            step_items, options = self._steps_with_options(item, known, method)
        elif method == "fails":
            step_items, options = [], {"times": item.value}
        elif item.value is None:
            self._problems.add(item, "nothing is here: write steps, or [null] for a chunk that is null")
        if method == "fails":
            times = options.pop("times", None)
            if not INTEGER.fits(times):
                self._problems.add(item, "fails is how many times: fails: 2, or {times: 2, steps: [...]}")
            args = [times]
        options = {name: value for name, value in defaults.items() if name in known} | options
        steps = [self._step(one) for one in step_items]
        self._check(method, args, steps, options, [item, *step_items], quiet=len(self._problems) > before)
        return Call(self._agent_id, method, (*args, *steps), options)

    def _steps_with_options(
        self, item: Item, known: Mapping[str, FieldType | Choice], method: str
    ) -> tuple[list[Item], dict[str, Any]]:
        """Read ``{steps: [...], option: ...}``."""
        steps = item.value.get("steps")
        rest = {key: value for key, value in item.value.items() if key != "steps"}
        if steps is None and method != "fails":
            hint = " (a single step is in a list, too)" if rest.keys() & STEPS.forms.keys() else ""
            self._problems.add(item, f"this needs steps, a list{hint}")
            return [], {}
        options = read_fields(Item(item.place, rest, item.keys), known, self._problems, of=method)
        if steps is None:
            return [], options
        return steps.value if isinstance(steps.value, list) else [steps], options

    def _step(self, item: Item) -> Any:
        step = read_step(item, self._problems)
        return with_gates(step, lambda gate: self._gates.setdefault(gate.name, gate))

    def _check(
        self,
        method: str,
        args: list[Any],
        steps: list[Any],
        options: dict[str, Any],
        places: list[Item],
        *,
        quiet: bool,
    ) -> None:
        """Have an agent look at it; a bad step is noted and made harmless, to find the next one."""
        for count, problem in enumerate(_faults(method, args, list(steps), options)):
            if count == _FAULTS:  # each takes another look at all steps
                self._problems.add(places[0], f"there may be more faults than these {_FAULTS}")
                return
            if isinstance(problem, StepError):
                self._problems.add(places[problem.number], str(problem))
                quiet = True
            elif not quiet:
                self._problems.add(places[0], str(problem))


def _faults(
    method: str, args: list[Any], steps: list[Any], options: dict[str, Any]
) -> Iterator[TypeError | ValueError]:
    while True:
        try:
            getattr(Agent("?"), method)(*args, *as_chunks(steps), **options)
        except StepError as exc:
            yield exc
            steps[exc.number - 1] = Delay(0.0)
        except (TypeError, ValueError) as exc:
            yield exc
            return
        else:
            return
