"""Script files: what agents send, as YAML or JSON; they become calls of a fake agent."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runagent_testing._host.disruptor import Disruptor
from runagent_testing._internal.files import read_file
from runagent_testing._internal.redaction import escaped
from runagent_testing._internal.suggestions import nearest
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.gates import Gate
from runagent_testing._standalone.agents import AgentReader
from runagent_testing._standalone.calls import Call, make_call
from runagent_testing._standalone.conditions import CONDITIONS, read_conditions
from runagent_testing._standalone.document import (
    Item,
    Place,
    Problem,
    Problems,
    TooManyProblemsError,
    read_document,
)
from runagent_testing._standalone.forms import CHAOS, INTEGER, NUMBER, TEXT, read_fields, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runagent_testing._host.scope import Scope

__all__ = [
    "ScriptFile",
    "ScriptFileError",
    "load_script",
    "read_agent",
    "read_request_answer",
    "read_rule_answers",
    "read_rule_conditions",
    "read_script",
]

__tracebackhide__ = is_ours

_TOP = ("agents", "chaos")
_REQUEST_ANSWER = ("request", "answer", "times")


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
class ScriptFile:
    """What a file holds.

    Attributes:
        calls: In order; the same as a test would make.
        gates: By their names; the same name is the same gate.
        places: Where the file has each agent, by its id.
        chaos: The arguments of `Scope.chaos`; empty for none.
    """

    calls: list[Call] = field(default_factory=list)
    gates: dict[str, Gate] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    chaos: dict[str, Any] = field(default_factory=dict)

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
            make_call(call, scope.agent(call.agent_id), gates)
        if self.chaos:
            scope.chaos(**self.chaos)


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
    return _read(text, path, _read_agents, is_local=is_local)


def read_agent(text: str, path: str, agent_id: str) -> ScriptFile:
    """Read what a script file has for one agent, from a text that has come over HTTP.

    Raises:
        ScriptFileError: As for `read_script`.
    """

    def read(document: Item, script: ScriptFile, reader: AgentReader, problems: Problems) -> None:  # noqa: ARG001
        script.calls.extend(reader.read(agent_id, document, document.place))

    return _read(text, path, read)


def read_rule_answers(text: str, path: str, agent_id: str) -> ScriptFile:
    """Read answers for a rule of an agent, from a text that has come over HTTP.

    Raises:
        ScriptFileError: As for `read_script`.
    """

    def read(document: Item, script: ScriptFile, reader: AgentReader, problems: Problems) -> None:  # noqa: ARG001
        script.calls.extend(reader.read_rule_answers(agent_id, document))

    return _read(text, path, read)


def read_rule_conditions(text: str, path: str) -> dict[str, Any]:
    """Read the arguments of `Agent.when`, from a text that has come over HTTP.

    Raises:
        ScriptFileError: As for `read_script`.
    """
    found: dict[str, Any] = {}

    def read(document: Item, script: ScriptFile, reader: AgentReader, problems: Problems) -> None:  # noqa: ARG001
        members = document.value if isinstance(document.value, dict) else {}
        for key in members.keys() - set(CONDITIONS):
            problems.add(document.keys[key], f"{key!r} is no condition: {nearest(key, CONDITIONS)}")
        if members:
            found.update(read_conditions(document, problems))
        else:
            problems.add(document, f"a rule has conditions: some of {', '.join(CONDITIONS)}")

    _read(text, path, read)
    return found


def read_request_answer(text: str, path: str) -> Call:
    """Read the arguments of `Scope.on_request`, from a text that has come over HTTP.

    The members are ``request`` (method and path), ``answer`` (as under ``returns``) and ``times``.

    Raises:
        ScriptFileError: As for `read_script`.
    """
    return _read(text, path, _read_request_answer).calls[0]


def _read(
    text: str,
    path: str,
    read: Callable[[Item, ScriptFile, AgentReader, Problems], None],
    *,
    is_local: bool = False,
) -> ScriptFile:
    problems = Problems()
    script = ScriptFile()
    reader = AgentReader(problems, script.gates, path if is_local else None)
    with contextlib.suppress(TooManyProblemsError):
        document = read_document(text, problems, is_json=path.lower().endswith(".json"))
        if document is not None:
            read(document, script, reader, problems)
        elif not problems:
            problems.add(Place(1, 1), "the file is empty: it needs agents")
    if problems:
        raise ScriptFileError(path, sorted(set(problems)))
    return script


def _read_agents(document: Item, script: ScriptFile, reader: AgentReader, problems: Problems) -> None:
    top = document.value if isinstance(document.value, dict) else {}
    for key in top.keys() - set(_TOP):
        problems.add(document.keys[key], f"{key!r} has no meaning here: {nearest(key, _TOP)}")
    agents = top.get("agents")
    if agents is None or not isinstance(agents.value, dict) or not agents.value:
        problems.add(agents or document, "a script file has agents: a mapping of their ids to what they send")
        return
    for agent_id, item in agents.value.items():
        script.places[agent_id] = agents.keys[agent_id]
        script.calls.extend(reader.read(agent_id, item, agents.keys[agent_id]))
    problems.where = ""
    if "chaos" in top:
        script.chaos.update(_read_chaos(top["chaos"], problems))


def _read_chaos(item: Item, problems: Problems) -> dict[str, Any]:
    """Read the arguments of `Scope.chaos`, or its rate alone."""
    before = len(problems)
    if isinstance(item.value, dict):
        given = read_fields(item, CHAOS, problems, of="chaos")
    else:
        given = {"rate": item.plain}
    if len(problems) > before:
        return {}
    if not NUMBER.fits(given.get("rate")):
        problems.add(item, "chaos needs a rate, such as {rate: 0.1, seed: 7}, or is one")
        return {}
    try:
        Disruptor("socket").set_chaos(**given)
    except (TypeError, ValueError) as exc:
        problems.add(item, str(exc))
    return given


def _read_request_answer(document: Item, script: ScriptFile, reader: AgentReader, problems: Problems) -> None:
    members = document.value if isinstance(document.value, dict) else {}
    for key in members.keys() - set(_REQUEST_ANSWER):
        problems.add(document.keys[key], f"{key!r} has no meaning here: {nearest(key, _REQUEST_ANSWER)}")
    request, answer, times = (members.get(key) for key in _REQUEST_ANSWER)
    if request is None or answer is None or not TEXT.fits(request.plain):
        problems.add(document, "this needs request, such as 'POST /threads', and answer")
        return
    if times is not None and not INTEGER.fits(times.plain):
        problems.add(times, f"times is {INTEGER.name}, not {shown(times.plain)}")
    call = reader.read_result(answer)
    options = call.options if times is None else call.options | {"times": times.plain}
    script.calls.append(replace(call, args=(request.plain, *call.args), options=options))
