"""Script files: what agents send, as YAML or JSON; they become calls of a fake agent."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runagent_testing._host.agent import Agent
from runagent_testing._internal.files import read_file
from runagent_testing._internal.redaction import escaped
from runagent_testing._internal.suggestions import nearest
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.gates import Gate
from runagent_testing._script.steps import Chunk, Delay
from runagent_testing._script.validation import StepError
from runagent_testing._standalone.document import (
    Item,
    Place,
    Problem,
    Problems,
    TooManyProblemsError,
    read_document,
)
from runagent_testing._standalone.forms import (
    INTEGER,
    NUMBER,
    OBJECT,
    OPTIONS,
    STEPS,
    TEXT,
    Choice,
    FieldType,
    read_fields,
    read_form,
    shown,
)
from runagent_testing._standalone.local_keys import LOCAL_KEYS, read_local_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from runagent_testing._host.scope import Scope

__all__ = [
    "Call",
    "ScriptFile",
    "ScriptFileError",
    "load_script",
    "read_agent",
    "read_request_answer",
    "read_script",
]

__tracebackhide__ = is_ours

_RESULT_OPTIONS: dict[str, FieldType | Choice] = {
    "usage": OBJECT,
    "execution_time": NUMBER,
    "agent_version": TEXT,
    "writes": OPTIONS["writes"],
    "write_gap": OPTIONS["write_gap"],
}
# By the key of the file: the agent's method, and its options.
_ONE: dict[str, tuple[str, dict[str, FieldType | Choice]]] = {
    "always": ("always", OPTIONS),
    "fails": ("fails", OPTIONS),
    "returns": ("returns", _RESULT_OPTIONS),
}
_MANY: dict[str, tuple[str, dict[str, FieldType | Choice]]] = {
    "replies": ("reply", OPTIONS),
    "returns_once": ("returns_once", _RESULT_OPTIONS),
}
_KEYS = (*_ONE, *_MANY, "entrypoints", *LOCAL_KEYS, *OPTIONS)
_REQUEST_ANSWER = ("request", "answer", "times")
_FAULTS = 100  # of the steps of one answer that are listed


class ScriptFileError(ValueError):
    """An invalid script file.

    Attributes:
        path: As given.
        problems: All of them, in the order of the file.
    """

    def __init__(self, path: str, problems: list[Problem]) -> None:
        super().__init__(path, problems)
        self.path = path
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(
            escaped(f"{self.path}:{problem.place.line}:{problem.place.column}: {problem.text}")
            for problem in self.problems
        )


@dataclass(frozen=True, slots=True)
class Call:
    """A method of an `Agent`, and what it is called with."""

    agent_id: str
    method: str
    args: tuple[Any, ...]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScriptFile:
    """What a file holds.

    Attributes:
        calls: In order; the same as a test would make.
        gates: By their names; the same name is the same gate.
        places: Where the file has each agent, by its id.
    """

    calls: list[Call] = field(default_factory=list)
    gates: dict[str, Gate] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    def apply(self, host: Scope) -> None:
        """Give the agents of a server or network their scripts.

        Every scope that is made later begins with them, and so does a scope that is reset.
        """
        self.apply_once(host)
        host._keep(self)

    def apply_once(self, scope: Scope) -> None:
        """Give the agents of one scope their scripts; a named scope gets its own gates."""
        gates = {name: Gate(name) for name in self.gates} if scope.name else self.gates
        for call in self.calls:
            args = [gates[arg.name] if isinstance(arg, Gate) else arg for arg in call.args]
            getattr(scope.agent(call.agent_id), call.method)(*_as_chunks(args), **call.options)


def load_script(path: str | Path) -> ScriptFile:
    """Read a script file, YAML or, if its name ends in ``.json``, JSON.

    Raises:
        OSError: It cannot be read, or is too large (`MAX_FILE`).
        ScriptFileError: It is invalid; the error lists every place.
    """
    data = read_file(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = data[: exc.start].decode("utf-8", "replace")
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise ScriptFileError(str(path), [Problem(place, "this is not UTF-8")]) from exc
    return read_script(text, str(path))


def read_script(text: str, path: str, *, is_local: bool = True) -> ScriptFile:
    """Read the text of a script file.

    Args:
        text: The text.
        path: The file's name, for messages; if it ends in ``.json``, the text is JSON.
        is_local: Whether the text comes from this machine. Other texts may name neither files nor services:
            ``forwards`` and ``replay`` are problems in them.

    Raises:
        ScriptFileError: As for `load_script`.
    """
    return _read(text, path, _Reader.read, is_local=is_local)


def read_agent(text: str, path: str, agent_id: str) -> ScriptFile:
    """Read what a script file has for one agent, from a text that has come over HTTP.

    Raises:
        ScriptFileError: As for `read_script`.
    """
    return _read(text, path, lambda reader, item: reader.read_agent(agent_id, item, item.place))


def read_request_answer(text: str, path: str) -> Call:
    """Read the arguments of `Scope.on_request`, from a text that has come over HTTP.

    The members are ``request`` (method and path), ``answer`` (as under ``returns``) and ``times``.

    Raises:
        ScriptFileError: As for `read_script`.
    """
    return _read(text, path, _Reader.read_request_answer).calls[0]


def _read(
    text: str, path: str, read: Callable[[_Reader, Item], object], *, is_local: bool = False
) -> ScriptFile:
    problems = Problems()
    reader = _Reader(problems, path if is_local else None)
    with contextlib.suppress(TooManyProblemsError):
        document = read_document(text, problems, is_json=path.lower().endswith(".json"))
        if document is not None:
            read(reader, document)
        elif not problems:
            problems.add(Place(1, 1), "the file is empty: it needs agents")
    if problems:
        raise ScriptFileError(path, sorted(set(problems)))
    return reader.script


class _Reader:
    def __init__(self, problems: Problems, path: str | None) -> None:
        self.script = ScriptFile()
        self._problems = problems
        self._path = path  # None: the text comes from elsewhere

    def read(self, document: Item) -> None:
        top = document.value if isinstance(document.value, dict) else {}
        for key in top.keys() - {"agents"}:
            self._problems.add(document.keys[key], f"{key!r} has no meaning here: {nearest(key, ['agents'])}")
        agents = top.get("agents")
        if agents is None or not isinstance(agents.value, dict) or not agents.value:
            self._problems.add(
                agents or document, "a script file has agents: a mapping of their ids to what they send"
            )
            return
        for agent_id, item in agents.value.items():
            self._problems.where = agent_id
            self.script.places[agent_id] = agents.keys[agent_id]
            self.read_agent(agent_id, item, agents.keys[agent_id])
        self._problems.where = ""

    def read_request_answer(self, document: Item) -> None:
        members = document.value if isinstance(document.value, dict) else {}
        for key in members.keys() - set(_REQUEST_ANSWER):
            known = nearest(key, _REQUEST_ANSWER)
            self._problems.add(document.keys[key], f"{key!r} has no meaning here: {known}")
        request, answer, times = (members.get(key) for key in _REQUEST_ANSWER)
        if request is None or answer is None or not TEXT.fits(request.plain):
            self._problems.add(document, "this needs request, such as 'POST /threads', and answer")
            return
        if times is not None and not INTEGER.fits(times.plain):
            self._problems.add(times, f"times is {INTEGER.name}, not {shown(times.plain)}")
        self._add_call("", answer, {}, "returns", _RESULT_OPTIONS)
        call = self.script.calls[0]
        options = call.options if times is None else call.options | {"times": times.plain}
        self.script.calls[0] = replace(call, args=(request.plain, *call.args), options=options)

    def read_agent(self, agent_id: str, item: Item, place: Place) -> None:
        if not isinstance(item.value, dict) or not item.value:
            self._problems.add(item if item.value else place, f"an agent has some of {', '.join(_KEYS)}")
            return
        shared = Item(item.place, {k: v for k, v in item.value.items() if k in OPTIONS}, item.keys)
        defaults = read_fields(shared, OPTIONS, self._problems, of="an agent")
        for key, value in item.value.items():
            if key in LOCAL_KEYS and self._path is None:
                self._problems.add(item.keys[key], f"{key!r} can only be set on the fake agent's own machine")
            elif key not in _KEYS:
                self._problems.add(item.keys[key], f"{key!r} is nothing an agent has: {nearest(key, _KEYS)}")
            self._problems.where = f"{agent_id}.{key}"
            if key == "entrypoints":
                self._entrypoints(agent_id, value)
            elif key in LOCAL_KEYS and self._path is not None:
                if (options := read_local_key(key, value, self._path, agent_id, self._problems)) is not None:
                    self.script.calls.append(Call(agent_id, key, (), options))
            elif key in _ONE:
                self._add_call(agent_id, value, defaults, *_ONE[key])
            elif key in _MANY:
                for one in self._listed(value, key):
                    self._add_call(agent_id, one, defaults, *_MANY[key])
            self._problems.where = agent_id

    def _entrypoints(self, agent_id: str, item: Item) -> None:
        tags = item.plain
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            self.script.calls.append(Call(agent_id, "entrypoints", tuple(tags), {}))
        else:
            self._problems.add(item, f"entrypoints is a list of tags, not {shown(tags)}")

    def _listed(self, item: Item, key: str) -> list[Item]:
        if isinstance(item.value, list):
            return item.value
        self._problems.add(item, f"{key} is a list of answers, each with its own steps")
        return []

    def _add_call(
        self,
        agent_id: str,
        item: Item,
        defaults: dict[str, Any],
        method: str,
        known: Mapping[str, FieldType | Choice],
    ) -> None:
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
        self.script.calls.append(Call(agent_id, method, (*args, *steps), options))

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
        if not isinstance(item.value, dict):
            return item.plain
        step = read_form(item, STEPS, self._problems)
        if isinstance(step, Gate):
            return self.script.gates.setdefault(step.name, step)
        return Delay(0.0) if step is None else step

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


def _as_chunks(steps: Sequence[Any]) -> list[Any]:
    """Make chunks of lists: in a file, one is not taken for steps that the author forgot to unpack."""
    return [Chunk(step) if isinstance(step, list) else step for step in steps]


def _faults(
    method: str, args: list[Any], steps: list[Any], options: dict[str, Any]
) -> Iterator[TypeError | ValueError]:
    while True:
        try:
            getattr(Agent("?"), method)(*args, *_as_chunks(steps), **options)
        except StepError as exc:
            yield exc
            steps[exc.number - 1] = Delay(0.0)
        except (TypeError, ValueError) as exc:
            yield exc
            return
        else:
            return
