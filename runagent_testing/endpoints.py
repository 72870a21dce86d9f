"""What answers a request: both surfaces of WIRE.md, from the agents' scripts. No I/O."""

from __future__ import annotations

import logging
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

from runagent_testing.agent import Agent, Computed
from runagent_testing.answers import envelope
from runagent_testing.conversation import Conversation
from runagent_testing.exchange import Exchange
from runagent_testing.formats import Run, Transport
from runagent_testing.render import handshake_plan, refusal_plan, result_plan, words_plan
from runagent_testing.request import MAX_BODY, Request, as_json, run_message_fault, run_request_faults
from runagent_testing.script import Result, Script
from runagent_testing.steps import Error, Status, Step
from runagent_testing.templates import shared_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runagent_testing.plan import Plan

__all__ = ["Answer", "Endpoints", "WebSocketAnswer"]

logger = logging.getLogger("runagent.testing")

_AGENT_PATH = re.compile(r"/(v1|api/v1)/agents/([^/]+)/([a-z-]+)")
_RUNS = {("POST", "v1", "stream"), ("POST", "v1", "invoke"), ("POST", "api/v1", "run")}
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
            exchange.plan = _guarded(self._plan, lambda failure: words_plan(str(failure.message)))
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
        if script.refuses:
            last = script.steps[-1]
            return words_plan(str(last.message or last.status) if isinstance(last, Status) else "refused")
        return shared_plan(script, _run(self._asked.request, self._asked.exchange, keep_alive=True))


class Endpoints:
    """Decides what every request is answered with.

    Args:
        agents: By their ids.
        exchanges: Where runs are noted.
        api_key: What a client has to send as its bearer token.
    """

    def __init__(self, agents: Mapping[str, Agent], exchanges: list[Exchange], api_key: str | None) -> None:
        self._agents = agents
        self._exchanges = exchanges
        self._api_key = api_key

    def note(self, exchange: Exchange) -> None:
        """Note a run that was asked for."""
        self._exchanges.append(exchange)

    def answer(self, request: Request) -> Answer | WebSocketAnswer:
        """Decide on the answer to a request."""
        route = _Route.of(request)
        if route.endpoint == _WEBSOCKET:
            return self._answer_websocket(request, route)
        transport = _PLAIN.get(route.action) or _accepted(request) or "sse"
        asked = _Asked.of(request, transport, route, as_json(request.body))
        if route.endpoint in _RUNS:
            self.note(asked.exchange)
        try:
            plan = _guarded(
                lambda: self._plan(route, asked), lambda failure: refusal_plan((failure,), asked.run)
            )
        except _Refused as refused:
            plan = refusal_plan(refused.steps, asked.run)
        return asked.answer(plan)

    def _answer_websocket(self, request: Request, route: _Route) -> Answer | WebSocketAnswer:
        asked = _Asked.of(request, "websocket", route)
        try:
            agent = self._agent(request, route)
            if fault := request.handshake_fault:
                raise _Refused(Status(400, code="BAD_HANDSHAKE", message=fault))
            # Taken now, as a refusal has to come before the handshake's answer.
            script = agent.take_script()
            if isinstance(script, Script) and script.refuses:
                raise _Refused(*script.steps)
        except _Refused as refused:
            self.note(asked.exchange)
            return asked.answer(refusal_plan(refused.steps, asked.run))
        return WebSocketAnswer(self, agent, script, asked)

    def _plan(self, route: _Route, asked: _Asked) -> Plan:
        request, run, body = asked.request, asked.run, asked.exchange.body
        if route.endpoint not in _RUNS:
            raise _Refused(self._information(request, route))
        agent = self._agent(request, route)
        if request.body is None:
            limit = f"a request has {MAX_BODY} bytes at most"
            raise _Refused(Status(413, code="REQUEST_TOO_LARGE", message=limit))
        if run.transport == "run":
            _check_run_request(agent, body, run)
        elif not isinstance(body, dict):
            raise _Refused(Status(400, code="INVALID_FIELD_TYPE", message="the body is not a JSON object"))
        if run.transport in _PLAIN:
            return result_plan(_result(agent, asked.exchange), run)
        if _accepted(request) is None:
            raise _Refused(Status(406, message=f"this agent streams {', '.join(list(_ACCEPTED)[:3])}"))
        script = agent.take_script()
        if isinstance(script, Computed):
            script = script.script(asked.exchange)
        return refusal_plan(script.steps, run) if script.refuses else shared_plan(script, run)

    def _agent(self, request: Request, route: _Route) -> Agent:
        self._check_key(request)
        agent = self._agents.get(route.agent_id)
        if agent is None and route.endpoint == _WEBSOCKET:
            raise _Refused(Status(403, body=b""))
        if agent is None:
            raise _Refused(Status(404, message=f"there is no agent {route.agent_id!r}"))
        return agent

    def _check_key(self, request: Request) -> None:
        if self._api_key is not None and request.headers.get("authorization") != f"Bearer {self._api_key}":
            raise _Refused(Status(401, message="the API key is missing or wrong"))

    def _information(self, request: Request, route: _Route) -> Status:
        """Answer what is not a run."""
        self._check_key(request)
        if route.endpoint == ("GET", "", "/api/v1/health"):
            first = next(iter(self._agents), None)
            health = {"status": "healthy", "agent_id": first, "agent_name": first, "framework": "fake"}
            return Status(200, body=health)
        if route.endpoint == ("GET", "api/v1", "architecture"):
            tags = self._agent(request, route).tags
            entrypoints = [{"file": "agent.py", "module": tag, "tag": tag, "extractor": {}} for tag in tags]
            return Status(200, body={"data": {"entrypoints": entrypoints}})
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
            transport, route.agent_id, request.path, request.headers, request.connection, body
        )
        keep_alive = transport != "websocket" and request.body is not None
        return cls(request, exchange, _run(request, exchange, keep_alive=keep_alive))

    def answer(self, plan: Plan) -> Answer:
        self.exchange.plan = plan
        return Answer(self.exchange, plan)


def _guarded(decide: Callable[[], Plan], failed: Callable[[Status], Plan]) -> Plan:
    """Answer what a test's own function raises, and scripts that cannot be rendered, with a 500."""
    try:
        return decide()
    except _Refused:
        raise
    except Exception as exc:
        logger.exception("the fake agent could not answer")
        return failed(Status(500, code="SCRIPT_FAILED", message=f"{type(exc).__name__}: {exc}"))


def _result(agent: Agent, exchange: Exchange) -> Result:
    result = agent.take_result()
    return result.result(exchange) if isinstance(result, Computed) else result


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
        headers=exchange.headers,
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
