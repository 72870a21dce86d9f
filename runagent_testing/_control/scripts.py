"""Agents, their scripts and faults of connections, over HTTP."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeVar

from runagent_testing._control.messages import ControlError, Reply
from runagent_testing._host.rules import Rule
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.describe import described
from runagent_testing._standalone.calls import make_call
from runagent_testing._standalone.script_file import (
    ScriptFileError,
    read_agent,
    read_request_answer,
    read_rule_answers,
    read_rule_conditions,
    read_script,
)
from runagent_testing.faults import for_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runagent_testing._control.messages import ControlRequest, Outcome
    from runagent_testing._host.scope import Scope
    from runagent_testing._host.scripts import AgentScripts
    from runagent_testing._script.steps import Step
    from runagent_testing._standalone.script_file import ScriptFile

__all__ = [
    "add_agent",
    "add_agents",
    "add_connection_faults",
    "add_fault",
    "add_request_answers",
    "add_rule",
    "add_rule_answers",
    "agents_of",
    "drop_agent",
    "get_agent",
    "list_agents",
    "list_faults",
    "put_agent",
    "put_agents",
    "put_chaos",
]

__tracebackhide__ = is_ours

T = TypeVar("T")

_SHOWN = 20  # answers of an agent that are described, and steps of each
_BODY = "body.json"  # the name of a body, as the reader of script files wants it


def agents_of(scope: Scope) -> list[dict[str, Any]]:
    """List the agents of a scope with what is queued for their runs."""
    return [_shown(scripts) for scripts in list(scope._scripts.values())]


def list_agents(request: ControlRequest) -> Outcome:
    """List the agents of the scope."""
    return Reply({"agents": agents_of(request.scope)})


def get_agent(request: ControlRequest) -> Outcome:
    """Show one agent."""
    return Reply(_shown(_find(request)))


def put_agents(request: ControlRequest) -> Outcome:
    """Replace all agents of the scope by those of a script file."""
    script = _checked(lambda: read_script(request.text, _BODY, is_local=False))
    request.scope._replace_agents([script], list(request.scope._scripts))
    return list_agents(request)


def add_agents(request: ControlRequest) -> Outcome:
    """Call the methods of agents as a script file does: queued answers are added, the others replaced."""
    script = _checked(lambda: read_script(request.text, _BODY, is_local=False))
    script.apply_once(request.scope)
    return list_agents(request)


def put_agent(request: ControlRequest) -> Outcome:
    """Replace all scripts of an agent."""
    request.scope._replace_agents([_read_agent(request)], [])
    return get_agent(request)


def add_agent(request: ControlRequest) -> Outcome:
    """Call the methods of an agent as a script file does."""
    _read_agent(request).apply_once(request.scope)
    return get_agent(request)


def add_rule(request: ControlRequest) -> Outcome:
    """Make a rule of an agent, which has no answers yet."""
    conditions = _checked(lambda: read_rule_conditions(request.text, _BODY))
    agent = request.scope.agent(request.parameters["agent"])
    made = _checked(lambda: agent.when(**conditions))._scripts
    number = next(count for count, rule in enumerate(agent._scripts.rules, 1) if rule is made)
    return Reply({"rule": number})


def add_rule_answers(request: ControlRequest) -> Outcome:
    """Call the methods of a rule as a script file does."""
    scripts, number = _find(request), request.parameters["rule"]
    rule = next((one for count, one in enumerate(scripts.rules, 1) if str(count) == number), None)
    if rule is None:
        raise ControlError(404, "NOT_FOUND", f"agent {scripts.id!r} has no rule {number[:100]!r}")
    script = _checked(lambda: read_rule_answers(request.text, _BODY, scripts.id))
    for call in script.calls:
        make_call(call, Rule(rule, scripts.id), script.gates)
    return get_agent(request)


def drop_agent(request: ControlRequest) -> Outcome:
    """Forget an agent."""
    _find(request)
    request.scope._scripts.pop(request.parameters["agent"], None)
    request.scope._agents.pop(request.parameters["agent"], None)
    return Reply(None, 204)


def add_connection_faults(request: ControlRequest) -> Outcome:
    """Break the next connections."""
    given = request.fields("fault", "times", required=["fault"])
    if request.scope is not request.host:
        raise ControlError(409, "NO_SCOPE", "a connection belongs to no scope: leave out the scope")
    _checked(lambda: request.host.on_connect(given["fault"], times=given.get("times", 1)))
    return Reply(None, 204)


def add_fault(request: ControlRequest) -> Outcome:
    """Have a run meet a fault of the catalogue."""
    given = request.fields("fault", "agent", "run", required=["fault"])
    _checked(lambda: request.scope.inject(**given))
    return Reply(None, 204)


def put_chaos(request: ControlRequest) -> Outcome:
    """Have some runs meet faults, by chance."""
    given = request.fields("rate", "seed", "only", "without", "test", required=["rate"])
    _checked(lambda: request.scope.chaos(given.pop("rate"), **given))
    return Reply(None, 204)


def list_faults(request: ControlRequest) -> Outcome:
    """List the catalogue of faults for a transport."""
    transport = request.query.get("transport", "sse")
    found = _checked(lambda: for_transport(transport))
    return Reply(
        {
            "faults": [
                {
                    "id": fault.id,
                    "kind": fault.kind,
                    "position": str(fault.position),
                    "description": fault.description,
                    "expected": fault.expected.error,
                }
                for fault in found
            ]
        }
    )


def add_request_answers(request: ControlRequest) -> Outcome:
    """Answer the next requests that ask for no run."""
    call = _checked(lambda: read_request_answer(request.text, _BODY))
    _checked(lambda: request.scope.on_request(*call.args, **call.options))
    return Reply(None, 204)


def _checked(work: Callable[[], T]) -> T:
    """Do something with a body; invalid ones are refused.

    Raises:
        ControlError: What the body asks for is invalid.
    """
    try:
        return work()
    except ScriptFileError as exc:
        problems = [
            {"line": problem.place.line, "column": problem.place.column, "message": problem.text}
            for problem in exc.problems
        ]
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ControlError(400, "INVALID_SCRIPT", f"{count}: {problems[0]['message']}", problems) from exc
    except (TypeError, ValueError) as exc:
        raise ControlError(400, "INVALID", str(exc)) from exc


def _read_agent(request: ControlRequest) -> ScriptFile:
    return _checked(lambda: read_agent(request.text, _BODY, request.parameters["agent"]))


def _find(request: ControlRequest) -> AgentScripts:
    agent_id = request.parameters["agent"]
    if (scripts := request.scope._scripts.get(agent_id)) is None:
        raise ControlError(404, "NOT_FOUND", f"there is no agent {agent_id[:200]!r}")
    return scripts


def _shown(scripts: AgentScripts) -> dict[str, Any]:
    rules = [
        {"conditions": str(rule.conditions), "unused": rule.count_unused()} for rule in list(scripts.rules)
    ]
    answers = [_described(*answer) for answer in itertools.islice(scripts.answers(_SHOWN), _SHOWN)]
    shown = {"id": scripts.id, "unused": scripts.count_unused(), "answers": answers}
    return shown | ({"rules": rules} if rules else {})


def _described(method: str, steps: Sequence[Step]) -> dict[str, Any]:
    lines = [described(step) for step in steps[:_SHOWN]]
    if len(steps) > _SHOWN:
        lines.append(f"and {len(steps) - _SHOWN} more")
    return {"method": method, "steps": lines}
