"""What answers a request: both surfaces of docs/wire.md, from the agents' scripts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

from aiohttp import HttpVersion11, web

from runagent_testing.agent import Agent, Exchange
from runagent_testing.answers import envelope
from runagent_testing.conversation import Conversation, read_request
from runagent_testing.formats import Run, Transport
from runagent_testing.plan import Plan, refusal_plan, result_plan, stream_plan
from runagent_testing.player import Sent, play
from runagent_testing.request_body import MAX_BODY, as_json, read_body, run_request_faults
from runagent_testing.script import Error, Status, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Connection", "Endpoints"]

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


class Connection(web.RequestHandler):
    """aiohttp's protocol of one connection, numbered."""

    __slots__ = ("number",)

    def __init__(self, server: web.Server, number: int) -> None:
        loop = asyncio.get_running_loop()
        # No lingering: who is answered before the request was read is not listened to any longer.
        super().__init__(server, loop=loop, access_log=None, lingering_time=0)  # type: ignore[arg-type]
        self.number = number


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    surface: str
    agent_id: str
    action: str

    @classmethod
    def of(cls, request: web.BaseRequest) -> _Route:
        match = _AGENT_PATH.fullmatch(request.rel_url.raw_path)
        surface, agent_id, action = match.groups() if match else ("", "", request.rel_url.raw_path)
        return cls(request.method, surface, unquote(agent_id), action)

    @property
    def endpoint(self) -> tuple[str, str, str]:
        return self.method, self.surface, self.action


class _Refused(Exception):
    """No error: the way from a check to its answer."""

    def __init__(self, *steps: Step) -> None:
        super().__init__(*steps)
        self.steps = steps


class Endpoints:
    """The request handler of a `FakeAgentServer`."""

    def __init__(self, agents: Mapping[str, Agent], exchanges: list[Exchange], api_key: str | None) -> None:
        self._agents = agents
        self._exchanges = exchanges
        self._api_key = api_key
        self.closing = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; a failure in here is logged and ends the connection."""
        route = _Route.of(request)
        try:
            if route.endpoint == _WEBSOCKET:
                return await self._answer_websocket(request, route)
            return await self._answer_http(request, route)
        except web.HTTPException:
            raise  # aiohttp's own refusal of a bad WebSocket handshake
        except ConnectionError:
            return Sent(keep_alive=False)
        except Exception:
            logger.exception("the fake agent server could not answer %s", route)
            return Sent(keep_alive=False)

    async def _answer_http(self, request: web.BaseRequest, route: _Route) -> web.StreamResponse:
        body = await read_body(request)
        transport = _PLAIN.get(route.action) or _accepted(request) or "sse"
        exchange = _exchange(request, transport, route, as_json(body))
        if route.endpoint in _RUNS:
            self._exchanges.append(exchange)
        run = _run(request, exchange, keep_alive=body is not None)
        try:
            plan = self._plan(request, route, run, exchange.body, too_large=body is None)
        except _Refused as refused:
            plan = refusal_plan(refused.steps, run)
        await self._play(plan, request, exchange)
        return Sent(keep_alive=plan.end == "open")

    async def _answer_websocket(self, request: web.BaseRequest, route: _Route) -> web.StreamResponse:
        exchange = _exchange(request, "websocket", route)
        try:
            await self._converse(request, self._agent(request, route), exchange)
        except _Refused as refused:
            self._exchanges.append(exchange)
            run = _run(request, exchange, keep_alive=False)
            await self._play(refusal_plan(refused.steps, run), request, exchange)
        return Sent(keep_alive=False)

    async def _converse(self, request: web.BaseRequest, agent: Agent, exchange: Exchange) -> None:
        # Taken now, as a refusal has to come before the handshake's answer.
        script = agent.take_script()
        if script.refuses:
            raise _Refused(*script.steps)
        talk = Conversation(request)
        fault: str | None = "no request has come"
        try:
            await talk.open()
            fault = await self._read_request(talk, agent, exchange)
        finally:
            if fault:
                agent.give_back(script)
        with self._watching(exchange):
            if fault:
                await talk.refuse(fault)
                exchange.end("done")
            else:
                await talk.run(stream_plan(script, _run(request, exchange, keep_alive=True)), exchange)

    async def _read_request(self, talk: Conversation, agent: Agent, exchange: Exchange) -> str | None:
        message = await talk.next_text()
        if message is None:
            raise ConnectionResetError("the client has left without a request")
        exchange.body, fault = read_request(message)
        self._exchanges.append(exchange)
        return fault or _stream_tag_fault(agent, exchange.body["entrypoint_tag"])

    async def _play(self, plan: Plan, request: web.BaseRequest, exchange: Exchange) -> None:
        with self._watching(exchange):
            await play(plan, request)
        exchange.end("done")

    @contextlib.contextmanager
    def _watching(self, exchange: Exchange) -> Iterator[None]:
        # aiohttp cancels the handler of a connection that is lost.
        try:
            yield
        except (ConnectionError, asyncio.CancelledError):
            exchange.end("server closed" if self.closing else "client gone")
            raise

    def _plan(
        self, request: web.BaseRequest, route: _Route, run: Run, body: object, *, too_large: bool
    ) -> Plan:
        if route.endpoint not in _RUNS:
            raise _Refused(self._information(request, route))
        agent = self._agent(request, route)
        if too_large:
            limit = f"a request has {MAX_BODY} bytes at most"
            raise _Refused(Status(413, code="REQUEST_TOO_LARGE", message=limit))
        if run.transport == "run":
            _check_run_request(agent, body, run)
        elif not isinstance(body, dict):
            raise _Refused(Status(400, code="INVALID_FIELD_TYPE", message="the body is not a JSON object"))
        if run.transport in _PLAIN:
            return result_plan(agent.take_result(), run)
        if _accepted(request) is None:
            raise _Refused(Status(406, message=f"this agent streams {', '.join(list(_ACCEPTED)[:3])}"))
        script = agent.take_script()
        return refusal_plan(script.steps, run) if script.refuses else stream_plan(script, run)

    def _agent(self, request: web.BaseRequest, route: _Route) -> Agent:
        self._check_key(request)
        agent = self._agents.get(route.agent_id)
        if agent is None and route.endpoint == _WEBSOCKET:
            raise _Refused(Status(403, body=b""))
        if agent is None:
            raise _Refused(Status(404, message=f"there is no agent {route.agent_id!r}"))
        return agent

    def _check_key(self, request: web.BaseRequest) -> None:
        if self._api_key is not None and request.headers.get("Authorization") != f"Bearer {self._api_key}":
            raise _Refused(Status(401, message="the API key is missing or wrong"))

    def _information(self, request: web.BaseRequest, route: _Route) -> Status:
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
        return Status(404, code="NOT_FOUND", message=f"nothing answers {route.method} {request.raw_path}")


def _accepted(request: web.BaseRequest) -> Transport | None:
    accept = request.headers.get("Accept", "*/*").lower()
    media_types = {item.partition(";")[0].strip() for item in accept.split(",")}
    return next((transport for name, transport in _ACCEPTED.items() if name in media_types), None)


def _exchange(request: web.BaseRequest, transport: Transport, route: _Route, body: object = None) -> Exchange:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    connection = request.protocol
    assert isinstance(connection, Connection)
    return Exchange(transport, route.agent_id, request.raw_path, headers, connection.number, body)


def _run(request: web.BaseRequest, exchange: Exchange, *, keep_alive: bool) -> Run:
    http_1_1 = request.version >= HttpVersion11
    return Run(
        exchange.transport,
        run_id=str(uuid.uuid4()),
        timestamp=datetime.now(UTC).isoformat(),
        input=exchange.input if isinstance(exchange.input, dict) else {},
        headers=exchange.headers,
        http_1_1=http_1_1,
        keep_alive=keep_alive and request.keep_alive and http_1_1,
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
