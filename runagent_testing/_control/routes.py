"""The routes of the control API, as data: requests are dispatched by them, and OpenAPI describes them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from runagent_testing._control import exchanges, scripts, state
from runagent_testing._control.messages import ControlError, Later, Reply
from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._control.messages import ControlRequest, Outcome

__all__ = ["ROUTES", "Route", "dispatch"]

__tracebackhide__ = is_ours


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        method: The method; GET answers HEAD as well.
        path: Below ``/_fake``; a segment in braces is open.
        handle: Answers the request.
        summary: What it does.
        answer: The schema of the answer's content, "" for none.
        body: The schema of the request's body, "" for none.
        query: The parameters of the query.
        status: The status if all goes well.
        faults: The other statuses, those of the guard aside.
    """

    method: str
    path: str
    handle: Callable[[ControlRequest], Outcome]
    summary: str
    answer: str = ""
    body: str = ""
    query: tuple[str, ...] = ()
    status: int = 200
    faults: tuple[int, ...] = ()


_changing = threading.Lock()  # so that changes come one after another
_BODY_FAULTS = (400, 413)
_AGENT, _EXCHANGE = "/agents/{agent}", "/exchanges/{arrival}"
_RULES = f"{_AGENT}/rules"
ROUTES = (
    Route("GET", "/state", state.get_state, "Show agents, gates, counts and running answers", "State"),
    Route("GET", "/events", state.stream_events, "Stream what changes, as server-sent events", "Events"),
    Route("GET", "/agents", scripts.list_agents, "List the agents", "Agents"),
    Route(
        "PUT", "/agents", scripts.put_agents, "Replace all agents", "Agents", "ScriptFile", faults=(400, 413)
    ),
    Route(
        "POST",
        "/agents",
        scripts.add_agents,
        "Add scripts to agents",
        "Agents",
        "ScriptFile",
        faults=(400, 413),
    ),
    Route("GET", _AGENT, scripts.get_agent, "Show an agent", "Agent", faults=(404,)),
    Route(
        "PUT",
        _AGENT,
        scripts.put_agent,
        "Replace an agent's scripts",
        "Agent",
        "Scripts",
        faults=(400, 413),
    ),
    Route(
        "POST", _AGENT, scripts.add_agent, "Add scripts to an agent", "Agent", "Scripts", faults=(400, 413)
    ),
    Route("DELETE", _AGENT, scripts.drop_agent, "Forget an agent", status=204, faults=(404,)),
    Route(
        "POST", f"{_AGENT}/rules", scripts.add_rule, "Make a rule", "Rule", "Conditions", faults=_BODY_FAULTS
    ),
    Route(
        "POST",
        f"{_RULES}/{{rule}}",
        scripts.add_rule_answers,
        "Add answers to a rule",
        "Agent",
        "Scripts",
        faults=(400, 404, 413),
    ),
    Route("GET", "/gates", state.list_gates, "List the gates", "Gates"),
    Route("GET", "/gates/{gate}", state.get_gate, "Show a gate", "Gate", faults=(404,)),
    Route(
        "PUT",
        "/gates/{gate}",
        state.put_gate,
        "Open or close it",
        "Gate",
        "GateChange",
        faults=(400, 404),
    ),
    Route(
        "GET",
        "/exchanges",
        exchanges.list_exchanges,
        "List requests and their answers, or wait for some",
        "Exchanges",
        query=("kind", "agent", "after", "full", "wait", "timeout"),
        faults=(400, 504),
    ),
    Route(
        "GET",
        _EXCHANGE,
        exchanges.get_exchange,
        "Show one request with its answer, or wait for it to get somewhere",
        "ReachedExchange",
        query=("until", "chunks", "step", "timeout"),
        faults=(400, 404),
    ),
    Route(
        "GET",
        f"{_EXCHANGE}/transcript",
        exchanges.get_transcript,
        "Show an exchange without what changes from run to run",
        "Transcript",
        query=("headers",),
        faults=(404,),
    ),
    Route(
        "GET",
        "/journal",
        exchanges.get_journal,
        "Show all exchanges in full: as JSON, as an HTTP Archive (HAR 1.2), or as transcripts",
        "Journal",
        query=("format", "headers", "sort"),
        faults=(400,),
    ),
    Route("GET", "/counts", state.get_counts, "Count requests, and connections", "Counts"),
    Route(
        "GET",
        "/problems",
        exchanges.get_problems,
        "List unmet expectations: unmatched requests, unused replies, steps that were never played",
        "Problems",
        query=("allow_unused", "allow_unmatched"),
        faults=(400,),
    ),
    Route("GET", "/timelines", exchanges.get_timelines, "Show the last exchanges as text", "Timelines"),
    Route("GET", "/faults", scripts.list_faults, "List faults", "Faults", "", ("transport",), faults=(400,)),
    Route(
        "POST",
        "/faults",
        scripts.add_fault,
        "Have a run meet a fault of the catalogue in place of its answer",
        body="Fault",
        status=204,
        faults=(400,),
    ),
    Route(
        "PUT",
        "/chaos",
        scripts.put_chaos,
        "Have some runs meet faults, by seeded chance",
        body="Chaos",
        status=204,
        faults=(400,),
    ),
    Route(
        "POST",
        "/on-request",
        scripts.add_request_answers,
        "Answer the next requests with a method and path, which ask for no run",
        body="RequestAnswer",
        status=204,
        faults=(400, 413),
    ),
    Route(
        "POST",
        "/on-connect",
        scripts.add_connection_faults,
        "Break the next connections",
        body="ConnectionFaults",
        status=204,
        faults=(400, 409),
    ),
    Route("POST", "/reset", state.reset, "Go back to the script files", status=204),
    Route("POST", "/clear", state.clear, "Forget all, agents too", status=204),
    Route("GET", "/scopes", state.list_scopes, "List the scopes", "Scopes"),
    Route("DELETE", "/scopes/{scope}", state.drop_scope, "Drop a scope", status=204, faults=(404,)),
)


def dispatch(request: ControlRequest) -> Outcome:
    """Answer a request by its route.

    Raises:
        ControlError: There is no such route, or the request is invalid.
    """
    allowed: list[str] = []
    for route in ROUTES:
        parameters = _match(route.path, request.path)
        if parameters is None:
            continue
        if route.method == request.method:
            for name in request.query.keys() - set(route.query):
                raise ControlError(400, "INVALID", f"the query has no parameter {name[:100]!r} here")
            return _handled(route, replace(request, parameters=parameters))
        allowed.append(route.method)
    if not allowed:
        raise ControlError(404, "NOT_FOUND", "there is no such path: see /_fake/openapi.json")
    methods = ", ".join([*allowed, *(["HEAD"] if "GET" in allowed else [])])
    raise ControlError(405, "WRONG_METHOD", f"this path takes {methods}", headers={"Allow": methods})


def _handled(route: Route, request: ControlRequest) -> Outcome:
    if not route.body:
        return route.handle(request)

    def look(_: float) -> Reply:
        with _changing:
            reply = route.handle(request)
        assert isinstance(reply, Reply)
        return reply

    # Reading a large script takes seconds, in which the agents have to go on.
    return Later(look)


def _match(template: str, path: str) -> dict[str, str] | None:
    """Return the open parts of a path that a template fits; None if it does not."""
    wanted, given = template.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    parameters = {}
    for want, one in zip(wanted, given, strict=True):
        if want.startswith("{") and one:
            parameters[want[1:-1]] = unquote(one)
        elif want != one:
            return None
    return parameters
