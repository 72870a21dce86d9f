"""What answers a request: both surfaces of docs/wire.md, from the agents' scripts. No I/O."""

from __future__ import annotations

import logging
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, unquote

from runagent_testing.agent import Agent, Computed
from runagent_testing.answers import envelope
from runagent_testing.conversation import Conversation
from runagent_testing.exchange import Exchange
from runagent_testing.formats import Run, Transport
from runagent_testing.nearest import unknown_agent, unknown_endpoint
from runagent_testing.render import handshake_plan, refusal_plan, result_plan, words_plan
from runagent_testing.request import MAX_BODY, Request, as_json, run_message_fault, run_request_faults
from runagent_testing.script import Result, Script
from runagent_testing.steps import Error, Status, Step
from runagent_testing.templates import shared_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runagent_testing.journal import Journal
    from runagent_testing.plan import Plan

__all__ = ["Answer", "Endpoints", "WebSocketAnswer"]

logger = logging.getLogger("runagent_testing")

S = TypeVar("S", bound=Script | Result | Computed)

_AGENT_PATH = re.compile(r"/(v1|api/v1)/agents/([^/]+)/([a-z-]+)")
# A browser's EventSource can only GET.
_EVENT_SOURCE = ("GET", "v1", "stream")
_RUNS = {_EVENT_SOURCE, ("POST", "v1", "stream"), ("POST", "v1", "invoke"), ("POST", "api/v1", "run")}
_WEBSOCKET = ("GET", "api/v1", "run-stream")
_PLAIN: dict[str, Transport] = {"invoke": "invoke", "run": "run"}
_ACCEPTED: dict[str, Transport] = {
    "text/event-stream": "sse",
    "application/x-ndjson": "chunked",
    "text/plain": "text",
    "*/*": "sse",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan, and the exchange that it is for."""

    exchange: Exchange
    plan: Plan


class WebSocketAnswer:
    """The answer to a WebSocket's handshake, and then to its request.

    Attributes:
        handshake: What the connection begins with.
        talk: What both sides say besides.
    """

    def __init__(self, endpoints: Endpoints, agent: Agent, script: Script | Computed, asked: _Asked) -> None:
        self.handshake = handshake_plan(script if isinstance(script, Script) else None, asked.run)
        self.talk = Conversation()
        self._endpoints = endpoints
        self._agent = agent
        self._script: Script | Computed | None = script
        self._asked = asked

    @property
    def exchange(self) -> Exchange:
        """What the handshake belongs to; noted when the request has come."""
        return self._asked.exchange

    def answer(self, message: str) -> Answer:
        """Decide on the answer to the request, which has come."""
        exchange = self._asked.exchange
        exchange.body, fault = run_message_fault(message)
        self._endpoints.note(exchange)
        fault = fault or _stream_tag_fault(self._agent, exchange.body["entrypoint_tag"])
        if fault:
            self.give_up()
            exchange.plan = words_plan(fault)
        else:
            exchange.plan = _guarded(self._plan, exchange, lambda failure: words_plan(str(failure.message)))
        return Answer(exchange, exchange.plan)

    def give_up(self) -> None:
        """Keep the script for another run, as none has come to use it."""
        script, self._script = self._script, None
        if script is not None:
            self._agent.give_back(script)

    def _plan(self) -> Plan:
        script, self._script = self._script, None
        if isinstance(script, Computed):
            script = script.script(self._asked.exchange)
        assert script is not None
        self._asked.exchange.steps = script.steps
        if script.refuses:
            last = script.steps[-1]
            return words_plan(str(last.message or last.status) if isinstance(last, Status) else "refused")
        return shared_plan(script, _run(self._asked.request, self._asked.exchange, keep_alive=True))


class Endpoints:
    """Decides what every request is answered with.

    Args:
        agents: By their ids.
        journal: Where requests are noted.
        api_key: What a client has to send as its bearer token.
    """

    def __init__(self, agents: Mapping[str, Agent], journal: Journal, api_key: str | None) -> None:
        self._agents = agents
        self._journal = journal
        self._api_key = api_key

    def note(self, exchange: Exchange) -> None:
        """Note a run that was asked for."""
        self._journal.note(exchange)

    def answer(self, request: Request) -> Answer | WebSocketAnswer:
        """Decide on the answer to a request."""
        route = _Route.of(request)
        if route.endpoint == _WEBSOCKET:
            return self._answer_websocket(request, route)
        transport = _PLAIN.get(route.action) or _accepted(request) or "sse"
        asked = _Asked.of(request, transport, route, _input(request, route))
        if route.endpoint in _RUNS:
            self.note(asked.exchange)
        try:
            plan = _guarded(
                lambda: self._plan(route, asked), asked.exchange, lambda failure: asked.refused((failure,))
            )
        except _Refused as refused:
            plan = asked.refused(refused.steps)
        return asked.answer(plan)

    def _answer_websocket(self, request: Request, route: _Route) -> Answer | WebSocketAnswer:
        asked = _Asked.of(request, "websocket", route)
        try:
            agent = self._agent(request, route, asked.exchange)
            if fault := request.handshake_fault:
                raise _Refused(Status(400, code="BAD_HANDSHAKE", message=fault))
            # Taken now, as a refusal has to come before the handshake's answer.
            script = self._scripted(agent, agent.take_script(), asked.exchange)
            if isinstance(script, Script) and script.refuses:
                raise _Refused(*script.steps)
        except _Refused as refused:
            self.note(asked.exchange)
            return asked.answer(asked.refused(refused.steps))
        return WebSocketAnswer(self, agent, script, asked)

    def _plan(self, route: _Route, asked: _Asked) -> Plan:
        request, run, body = asked.request, asked.run, asked.exchange.body
        if route.endpoint not in _RUNS:
            raise _Refused(self._information(request, route, asked.exchange))
        agent = self._agent(request, route, asked.exchange)
        if request.body is None:
            limit = f"a request has {MAX_BODY} bytes at most"
            raise _Refused(Status(413, code="REQUEST_TOO_LARGE", message=limit))
        if run.transport == "run":
            _check_run_request(agent, body, run)
        elif not isinstance(body, dict):
            raise _Refused(Status(400, code="INVALID_FIELD_TYPE", message="the body is not a JSON object"))
        if run.transport in _PLAIN:
            return result_plan(self._result(agent, asked.exchange), run)
        if _accepted(request) is None:
            raise _Refused(Status(406, message=f"this agent streams {', '.join(list(_ACCEPTED)[:3])}"))
        script = self._scripted(agent, agent.take_script(), asked.exchange)
        if isinstance(script, Computed):
            script = script.script(asked.exchange)
        asked.exchange.steps = script.steps
        return refusal_plan(script.steps, run) if script.refuses else shared_plan(script, run)

    def _result(self, agent: Agent, exchange: Exchange) -> Result:
        result = self._scripted(agent, agent.take_result(), exchange)
        if isinstance(result, Computed):
            result = result.result(exchange)
        exchange.steps = result.steps
        return result

    def _scripted(self, agent: Agent, taken: S, exchange: Exchange) -> S:
        """Note a run for which nobody has written anything."""
        if agent.lacks(taken):
            kind, method = ("plain", "returns") if exchange.transport in _PLAIN else ("stream", "always")
            why = f"agent {agent.id!r} has no answer to a {kind} run: call {method}(...)"
            self._journal.note_unmatched(exchange, why)
        return taken

    def _agent(self, request: Request, route: _Route, exchange: Exchange) -> Agent:
        self._check_key(request)
        agent = self._agents.get(route.agent_id)
        if agent is None:
            self._journal.note_unmatched(exchange, unknown_agent(route.agent_id, list(self._agents)))
        if agent is None and route.endpoint == _WEBSOCKET:
            raise _Refused(Status(403, body=b""))
        if agent is None:
            raise _Refused(Status(404, message=f"there is no agent {route.agent_id!r}"))
        return agent

    def _check_key(self, request: Request) -> None:
        if self._api_key is not None and request.headers.get("authorization") != f"Bearer {self._api_key}":
            raise _Refused(Status(401, message="the API key is missing or wrong"))

    def _information(self, request: Request, route: _Route, exchange: Exchange) -> Status:
        """Answer what is not a run."""
        if route.method == "OPTIONS":
            return _preflight(request)
        self._check_key(request)
        if route.endpoint == ("GET", "", "/api/v1/health"):
            first = next(iter(self._agents), None)
            health = {"status": "healthy", "agent_id": first, "agent_name": first, "framework": "fake"}
            return Status(200, body=health)
        if route.endpoint == ("GET", "api/v1", "architecture"):
            tags = self._agent(request, route, exchange).tags
            entrypoints = [{"file": "agent.py", "module": tag, "tag": tag, "extractor": {}} for tag in tags]
            return Status(200, body={"data": {"entrypoints": entrypoints}})
        nearest = unknown_endpoint(route.method, request.path, list(self._agents))
        self._journal.note_unmatched(exchange, nearest)
        return Status(404, code="NOT_FOUND", message=f"nothing answers {route.method} {request.path}")


class _Refused(Exception):
    """No error: the way from a check to its answer."""

    def __init__(self, *steps: Step) -> None:
        super().__init__(*steps)
        self.steps = steps


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    surface: str
    agent_id: str
    action: str

    @classmethod
    def of(cls, request: Request) -> _Route:
        path = request.path.partition("?")[0]
        match = _AGENT_PATH.fullmatch(path)
        surface, agent_id, action = match.groups() if match else ("", "", path)
        return cls(request.method, surface, unquote(agent_id), action)

    @property
    def endpoint(self) -> tuple[str, str, str]:
        return self.method, self.surface, self.action


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    exchange: Exchange
    run: Run

    @classmethod
    def of(cls, request: Request, transport: Transport, route: _Route, body: object = None) -> _Asked:
        exchange = Exchange(
            request.method,
            transport,
            route.agent_id,
            request.path,
            request.headers,
            request.connection,
            request.reused,
            body,
            request.now,
        )
        keep_alive = transport != "websocket" and request.body is not None
        return cls(request, exchange, _run(request, exchange, keep_alive=keep_alive))

    def refused(self, steps: tuple[Step, ...]) -> Plan:
        self.exchange.steps = steps
        return refusal_plan(steps, self.run)

    def answer(self, plan: Plan) -> Answer:
        self.exchange.plan = plan
        return Answer(self.exchange, plan)


def _guarded(decide: Callable[[], Plan], exchange: Exchange, failed: Callable[[Status], Plan]) -> Plan:
    """Answer what a test's own function raises, and scripts that cannot be rendered, with a 500."""
    try:
        return decide()
    except _Refused:
        raise
    except Exception as exc:
        logger.exception("the fake agent could not answer")
        exchange.failure = f"{type(exc).__name__}: {exc}"
        exchange.steps = ()
        return failed(Status(500, code="SCRIPT_FAILED", message=exchange.failure))


def _input(request: Request, route: _Route) -> object:
    if route.endpoint == _EVENT_SOURCE:
        return dict(parse_qsl(request.path.partition("?")[2], keep_blank_values=True))
    return as_json(request.body)


def _preflight(request: Request) -> Status:
    """Allow what a browser asks for before it lets a page send it; the question carries no key."""
    wanted = request.headers.get("access-control-request-headers", "*")
    allowed = {
        "Allow": "GET, POST, OPTIONS",
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": wanted,
        "Access-Control-Max-Age": "600",
    }
    return Status(204, body=b"", headers=allowed)


def _accepted(request: Request) -> Transport | None:
    accept = request.headers.get("accept", "*/*").lower()
    media_types = {item.partition(";")[0].strip() for item in accept.split(",")}
    return next((transport for name, transport in _ACCEPTED.items() if name in media_types), None)


def _run(request: Request, exchange: Exchange, *, keep_alive: bool) -> Run:
    return Run(
        exchange.transport,
        run_id=str(uuid.uuid4()),
        timestamp=datetime.now(UTC).isoformat(),
        input=exchange.input if isinstance(exchange.input, dict) else {},
        headers=request.headers,
        http_1_1=request.http_1_1,
        keep_alive=keep_alive and request.keep_alive and request.http_1_1,
    )


def _stream_tag_fault(agent: Agent, tag: str) -> str | None:
    if not agent.knows(tag):
        return f"Entrypoint {tag} not found"
    if not tag.endswith("_stream"):
        return f"Entrypoint `{tag}` is not a streaming entrypoint. Ask the run endpoint for it."
    return None


def _check_run_request(agent: Agent, body: object, run: Run) -> None:
    if faults := run_request_faults(body):
        raise _Refused(Status(422, body={"detail": faults}))
    assert isinstance(body, dict)
    tag = body["entrypoint_tag"]
    if not agent.knows(tag):
        failure = Error("NOT_FOUND", f"Entrypoint {tag} not found")
        raise _Refused(Status(404, body=envelope(failure, run)))
    if tag.endswith("_stream"):
        failure = Error(
            "VALIDATION_ERROR", f"Entrypoint `{tag}` streams: ask the run-stream endpoint for it."
        )
        raise _Refused(Status(400, body=envelope(failure, run)))
