"""Decides on the answer to each request, in any dialect, from the agents' scripts. No I/O."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING
from urllib.parse import unquote

from runagent_testing._host.answers import Pending, WebSocketAnswer
from runagent_testing._host.asked import Asked
from runagent_testing._host.suggestions import unknown_agent, unknown_endpoint
from runagent_testing._internal.credentials import Names
from runagent_testing._internal.redaction import Secrets
from runagent_testing._journal.record import Recorder
from runagent_testing._render.plan import Plan
from runagent_testing._render.render import without_body
from runagent_testing._script.computed import Computed
from runagent_testing._script.script import Script
from runagent_testing._script.steps import Status
from runagent_testing.dialects._base import RunRequest, check_dialect
from runagent_testing.dialects._builtin import BUILT_IN
from runagent_testing.dialects._installed import installed_dialects
from runagent_testing.dialects._request import MAX_BODY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runagent_testing._host.asked import Answer
    from runagent_testing._host.scripts import AgentScripts
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._journal.journal import Journal
    from runagent_testing._render.plan import AnyPlan
    from runagent_testing._script.script import Result
    from runagent_testing._script.steps import Step
    from runagent_testing.dialects import Dialect, Request

__all__ = ["Endpoints", "random_id"]

_ARCHITECTURE = re.compile(r"/api/v1/agents/([^/]+)/architecture")
_HEALTH = "/api/v1/health"
_READS = ("GET", "HEAD")
_NOTHING_YET = Plan((), "close")


def random_id() -> str:
    """Make the id of a run."""
    return str(uuid.uuid4())


class Endpoints:
    """Decides on the answer to every request.

    Args:
        agents: The agents by id.
        journal: Records the requests.
        api_key: The bearer token that a client has to send.
        dialects: Tried before the built-in and the installed ones.
        run_ids: Makes the ids of runs.
    """

    def __init__(
        self,
        agents: Mapping[str, AgentScripts],
        journal: Journal,
        api_key: str | None,
        dialects: Sequence[Dialect] = (),
        run_ids: Callable[[], str] = random_id,
    ) -> None:
        self._agents = agents
        self._journal = journal
        self._api_key = api_key
        self._run_ids = run_ids
        self._dialects = (*map(check_dialect, dialects), *BUILT_IN)
        self._secrets: dict[Sequence[Dialect], Secrets] = {}

    def note(self, exchange: Exchange) -> None:
        """Record a request for a run."""
        self._journal.note(exchange)

    def answer(self, request: Request) -> Answer | Pending | WebSocketAnswer:
        """Decide on the answer to a request."""
        asked = self._understand(request)
        if asked.run_request is None:
            plan = asked.decided(lambda: asked.refused(self._inform(asked)))
            return asked.answer(without_body(plan) if request.method == "HEAD" else plan)
        if asked.run_request.kind == "websocket":
            return self._answer_websocket(asked, asked.run_request)
        self.note(asked.exchange)
        return self._answer_run(asked, asked.run_request)

    def _answer_run(self, asked: Asked, run_request: RunRequest) -> Answer | Pending:
        computed: list[Computed] = []

        def plan() -> AnyPlan:
            taken = self._take(asked, run_request)
            if isinstance(taken, Computed):
                computed.append(taken)
                return _NOTHING_YET
            return asked.refused(taken) if isinstance(taken, Status) else asked.render(taken)

        decided = asked.decided(plan)
        if not computed:
            return asked.answer(decided)
        return Pending(computed[0], asked.exchange, asked.is_plain, asked.run, asked.decided, asked.render)

    def _understand(self, request: Request) -> Asked:
        asked = self._parsed(request)
        # A request that no dialect recognises may be meant for any of them.
        spoken = installed_dialects() if asked.run_request is None else (asked.dialect,)
        Recorder(asked.exchange).hide(self._hidden(spoken), _key(asked.dialect, request))
        return asked

    def _parsed(self, request: Request) -> Asked:
        for dialect in self._dialects:
            if run_request := dialect.parse_request(request):
                return Asked.of(request, dialect, run_request, self._run_ids())
        for dialect in installed_dialects():
            if not _is_information(request) and (run_request := dialect.parse_request(request)):
                return Asked.of(request, dialect, run_request, self._run_ids())
        return Asked.of(request, BUILT_IN[0], None, self._run_ids())

    def _hidden(self, spoken: Sequence[Dialect]) -> Secrets:
        """Return the credentials to hide in these dialects' requests; the host's own are always included."""
        if spoken not in self._secrets:
            named = [name for dialect in (*self._dialects, *spoken) for name in dialect.credential_fields]
            keys = [] if self._api_key is None else [self._api_key]
            self._secrets[spoken] = Secrets(Names(named), keys)
        return self._secrets[spoken]

    def _answer_websocket(self, asked: Asked, run_request: RunRequest) -> Answer | WebSocketAnswer:
        agent = self._agent(asked, run_request)
        if isinstance(agent, Status):
            return self._refuse(asked, agent)
        status = _handshake_fault(asked.request) or asked.dialect.check(run_request, asked.run, agent)
        if status is not None:
            return self._refuse(asked, asked.reject(status))
        # Taken now, because a refusal has to precede the handshake's answer.
        script, put_back = agent.take_script()
        if script is None:
            return self._refuse(asked, self._unscripted(agent, asked))
        if isinstance(script, Script) and script.refuses:
            return self._refuse(asked, *script.steps)
        return WebSocketAnswer(self.note, agent, script, put_back, asked)

    def _refuse(self, asked: Asked, *steps: Step) -> Answer:
        """Refuse a handshake."""
        self.note(asked.exchange)
        return asked.answer(asked.refused(*steps))

    def _take(self, asked: Asked, run_request: RunRequest) -> Script | Result | Computed | Status:
        """Take the script of a run, or return the status that refuses the run."""
        agent = self._agent(asked, run_request)
        if isinstance(agent, Status):
            return agent
        if asked.request.body is None:
            limit = f"a request has at most {MAX_BODY} bytes"
            return asked.reject(Status(413, code="REQUEST_TOO_LARGE", message=limit))
        if status := asked.dialect.check(run_request, asked.run, agent):
            return asked.reject(status)
        taken = agent.take_result() if asked.is_plain else agent.take_script()[0]
        return taken or self._unscripted(agent, asked)

    def _unscripted(self, agent: AgentScripts, asked: Asked) -> Status:
        why = agent.describe_missing(plain=asked.is_plain)
        self._journal.note_unmatched(asked.exchange, why)
        return Status(500, code="NO_SCRIPT", message=why)

    def _agent(self, asked: Asked, run_request: RunRequest) -> AgentScripts | Status:
        """Find the agent, or return the status that refuses the request."""
        if status := self._key_fault(asked):
            return status
        if (agent := self._agents.get(run_request.agent_id)) is not None:
            return agent
        known = list(self._agents)
        self._journal.note_unmatched(asked.exchange, unknown_agent(run_request.agent_id, known))
        return asked.dialect.unknown_agent(run_request)

    def _key_fault(self, asked: Asked) -> Status | None:
        if self._api_key is None or asked.dialect.find_api_key(asked.request) == self._api_key:
            return None
        return asked.reject(Status(401, message="the API key is missing or wrong"))

    def _inform(self, asked: Asked) -> Status:
        """Answer a request that does not ask for a run."""
        request = asked.request
        if request.method == "OPTIONS":
            return _preflight(request)
        if status := self._key_fault(asked):
            return status
        path = request.path.partition("?")[0]
        if request.method in _READS and path == _HEALTH:
            first = next(iter(self._agents), None)
            health = {"status": "healthy", "agent_id": first, "agent_name": first, "framework": "fake"}
            return Status(200, body=health)
        if request.method in _READS and (match := _ARCHITECTURE.fullmatch(path)):
            return self._architecture(asked, unquote(match[1]))
        path = asked.exchange.secrets.text(request.path)
        nearest = unknown_endpoint(request.method, path, list(self._agents))
        self._journal.note_unmatched(asked.exchange, nearest)
        return Status(404, code="NOT_FOUND", message=f"nothing answers {request.method} {path}")

    def _architecture(self, asked: Asked, agent_id: str) -> Status:
        agent = self._agent(asked, RunRequest(agent_id=agent_id, transport=asked.exchange.transport))
        if isinstance(agent, Status):
            return agent
        entrypoints = [
            {"file": "agent.py", "module": tag, "tag": tag, "extractor": {}} for tag in agent.entrypoint_tags
        ]
        return Status(200, body={"data": {"entrypoints": entrypoints}})


def _key(dialect: Dialect, request: Request) -> str | None:
    try:
        return dialect.find_api_key(request)
    except Exception:  # noqa: BLE001 - a dialect may raise anything; the check of the key reports it
        return None


def _handshake_fault(request: Request) -> Status | None:
    """Return the status that refuses a handshake; a 426 names the supported version."""
    if request.handshake_fault is None:
        return None
    code, fault = request.handshake_fault
    headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"} if code == 426 else {}
    return Status(code, code="BAD_HANDSHAKE", message=fault, headers=headers)


def _preflight(request: Request) -> Status:
    """Answer a browser's preflight request, which carries no key, with everything that a page may send."""
    wanted = request.headers.get("access-control-request-headers", "*")
    allowed = {
        "Allow": "GET, HEAD, POST, OPTIONS",
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": wanted,
        "Access-Control-Max-Age": "600",
    }
    return Status(204, body=b"", headers=allowed)


def _is_information(request: Request) -> bool:
    path = request.path.partition("?")[0]
    return (
        request.method == "OPTIONS"
        or (request.method in _READS and path == _HEALTH)
        or bool(_ARCHITECTURE.fullmatch(path))
    )
