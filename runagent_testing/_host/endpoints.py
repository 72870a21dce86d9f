"""What answers a request, in whichever dialect, from the agents' scripts. No I/O."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

from runagent_testing._host.scripts import AgentScripts, as_result
from runagent_testing._host.suggestions import unknown_agent, unknown_endpoint
from runagent_testing._host.websocket import Conversation
from runagent_testing._internal.credentials import Names
from runagent_testing._internal.log import log_failure
from runagent_testing._internal.redaction import Secrets
from runagent_testing._journal.exchange import Exchange
from runagent_testing._journal.record import Recorder
from runagent_testing._render.lazy import LazyPlan
from runagent_testing._render.plan import AnyPlan, Plan
from runagent_testing._render.render import (
    handshake_plan,
    refusal_plan,
    result_plan,
    without_body,
    words_plan,
)
from runagent_testing._render.templates import shared_plan
from runagent_testing._script.computed import Computed
from runagent_testing._script.script import Result, Script
from runagent_testing._script.steps import Status, Step
from runagent_testing.dialects._base import Question, Run, need_dialect
from runagent_testing.dialects._builtin import BUILT_IN
from runagent_testing.dialects._installed import installed_dialects
from runagent_testing.dialects._request import MAX_BODY, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runagent_testing._journal.journal import Journal
    from runagent_testing._script.computed import Source
    from runagent_testing.dialects import Dialect

__all__ = ["Answer", "Endpoints", "Pending", "WebSocketAnswer", "random_id"]

_ARCHITECTURE = re.compile(r"/api/v1/agents/([^/]+)/architecture")
_HEALTH = "/api/v1/health"
_READS = ("GET", "HEAD")
_NOTHING_YET = Plan((), "close")


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan, and the exchange that it is for."""

    exchange: Exchange
    plan: AnyPlan


@dataclass(frozen=True, slots=True)
class Pending:
    """An answer that a function of the test's has to be asked for first, by whoever can run it.

    Attributes:
        is_plain: Whether it is no stream, so that its steps are needed at once.
    """

    computed: Computed
    exchange: Exchange
    is_plain: bool
    _run: Run
    _decide: Callable[[Callable[[], AnyPlan]], AnyPlan]
    _render: Callable[[Script | Result], AnyPlan]

    def answer(self, steps: tuple[Any, ...]) -> Answer:
        """Answer with all its steps."""
        options = self.computed.options
        if self.is_plain:
            return self._answer(lambda: self._render(as_result(steps, options)))
        return self._answer(lambda: self._render(Script.of(steps, **options)))

    def stream(self, first: Any, source: Source) -> Answer:
        """Answer with steps that come one by one."""

        recorder = Recorder(self.exchange)

        def plan() -> LazyPlan:
            made = LazyPlan(self.computed, first, source, self._run, recorder)
            self.exchange.steps = made.steps
            recorder.forget_times()
            return made

        return self._answer(plan)

    def failed(self, exc: Exception) -> Answer:
        """Answer that the function has failed."""

        def fail() -> NoReturn:
            raise exc

        return self._answer(fail)

    def _answer(self, plan: Callable[[], AnyPlan]) -> Answer:
        self.exchange.plan = self._decide(plan)
        return Answer(self.exchange, self.exchange.plan)


class WebSocketAnswer:
    """The answer to a WebSocket's handshake, and then to its request.

    Attributes:
        handshake: What the connection begins with.
        talk: What both sides say besides.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        agent: AgentScripts,
        script: Script | Computed,
        put_back: Callable[[], None],
        asked: _Asked,
    ) -> None:
        self.handshake = handshake_plan(script if isinstance(script, Script) else None, asked.run)
        self.talk = Conversation(asked.exchange.secrets.veiled)
        asked.exchange.messages = self.talk.messages
        self._endpoints = endpoints
        self._agent = agent
        self._script: Script | Computed | None = script
        self._put_back = put_back
        self._asked = asked
        if isinstance(script, Script) and script.keeps_waiting:
            self.exchange.steps = script.steps
            endpoints.note(self.exchange)

    @property
    def exchange(self) -> Exchange:
        """What the handshake belongs to."""
        return self._asked.exchange

    @property
    def is_noted(self) -> bool:
        """Whether the run counts as asked for: the request has come, or the script lets it wait to come."""
        return self.exchange.number > 0

    def answer(self, message: str | bytes) -> Answer | Pending:
        """Decide on the answer to the request, which has come."""
        exchange, dialect = self._asked.exchange, self._asked.dialect
        exchange.body, exchange.input, fault = dialect.read_message(message, self._agent)
        exchange.secrets.veil(exchange.body)
        exchange.secrets.veil(exchange.input)
        if not self.is_noted:
            self._endpoints.note(exchange)
        if fault:
            self._give_back()
            exchange.refused, exchange.steps = exchange.secrets.text(fault), ()
            exchange.plan = words_plan(dialect.objection(fault))
            return Answer(exchange, exchange.plan)
        script, self._script = self._script, None
        assert script is not None
        if isinstance(script, Computed):
            run = self._asked.new_run(keep_alive=True)
            return Pending(script, exchange, False, run, self._decide, self._render)
        exchange.plan = self._decide(lambda: self._render(script))
        return Answer(exchange, exchange.plan)

    def give_up(self) -> None:
        """Keep the script for another run if none has come to use it."""
        if not self.is_noted:
            self._give_back()

    def _give_back(self) -> None:
        if self._script is not None:
            self._script = None
            self._put_back()

    def _decide(self, plan: Callable[[], AnyPlan]) -> AnyPlan:
        return _guarded(plan, self.exchange, lambda failure: self._object(str(failure.message)))

    def _render(self, script: Script | Result) -> AnyPlan:
        assert isinstance(script, Script)
        self._asked.exchange.steps = script.steps
        if script.refuses:
            last = script.steps[-1]
            return self._object(str(last.message or last.status) if isinstance(last, Status) else "refused")
        return shared_plan(script, self._asked.new_run(keep_alive=True))

    def _object(self, fault: str) -> Plan:
        return words_plan(self._asked.dialect.objection(fault))


def random_id() -> str:
    """Make the id of a run."""
    return str(uuid.uuid4())


class Endpoints:
    """Decides what every request is answered with.

    Args:
        agents: By their ids.
        journal: Where requests are noted.
        api_key: What a client has to send as its bearer token.
        dialects: Asked before the built-in ones and those that are installed.
        run_ids: Gives every run its id.
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
        self._dialects = (*map(need_dialect, dialects), *BUILT_IN)
        self._secrets: dict[Sequence[Dialect], Secrets] = {}

    def note(self, exchange: Exchange) -> None:
        """Note a run that was asked for."""
        self._journal.note(exchange)

    def answer(self, request: Request) -> Answer | Pending | WebSocketAnswer:
        """Decide on the answer to a request."""
        asked = self._understand(request)
        if asked.question is None:
            plan = self._refusable(lambda: self._information(asked), asked)
            return asked.answer(without_body(plan) if request.method == "HEAD" else plan)
        if asked.question.kind == "websocket":
            return self._answer_websocket(asked, asked.question)
        self.note(asked.exchange)
        return self._answer_run(asked, asked.question)

    def _answer_run(self, asked: _Asked, question: Question) -> Answer | Pending:
        computed: list[Computed] = []

        def plan() -> AnyPlan:
            taken = self._take(asked, question)
            if not isinstance(taken, Computed):
                return asked.render(taken)
            computed.append(taken)
            return _NOTHING_YET

        decided = self._refusable(plan, asked)
        if not computed:
            return asked.answer(decided)

        def decide(plan: Callable[[], AnyPlan]) -> AnyPlan:
            return self._refusable(plan, asked)

        return Pending(computed[0], asked.exchange, asked.is_plain, asked.run, decide, asked.render)

    def _understand(self, request: Request) -> _Asked:
        asked = self._recognised(request)
        # What is not recognised may be meant for any of them.
        spoken = installed_dialects() if asked.question is None else (asked.dialect,)
        Recorder(asked.exchange).hide(self._hidden(spoken), _key(asked.dialect, request))
        return asked

    def _recognised(self, request: Request) -> _Asked:
        for dialect in self._dialects:
            if question := dialect.recognise(request):
                return _Asked.of(request, dialect, question, self._run_ids())
        for dialect in installed_dialects():
            if not _is_information(request) and (question := dialect.recognise(request)):
                return _Asked.of(request, dialect, question, self._run_ids())
        return _Asked.of(request, BUILT_IN[0], None, self._run_ids())

    def _hidden(self, spoken: Sequence[Dialect]) -> Secrets:
        """Return what is hidden of requests in a dialect; those given here may share a client's headers."""
        if spoken not in self._secrets:
            named = [name for dialect in (*self._dialects, *spoken) for name in dialect.credential_fields]
            keys = [] if self._api_key is None else [self._api_key]
            self._secrets[spoken] = Secrets(Names(named), keys)
        return self._secrets[spoken]

    def _refusable(self, decide: Callable[[], AnyPlan], asked: _Asked) -> AnyPlan:
        try:
            return _guarded(decide, asked.exchange, lambda failure: asked.refused((failure,)))
        except _Refused as refused:
            return asked.refused(refused.steps)

    def _answer_websocket(self, asked: _Asked, question: Question) -> Answer | WebSocketAnswer:
        try:
            agent = self._agent(asked, question)
            if fault := asked.request.handshake_fault:
                raise asked.objection(_handshake_refusal(*fault))
            if status := asked.dialect.fault(question, asked.run, agent):
                raise asked.objection(status)
            # Taken now, as a refusal has to come before the handshake's answer.
            taken, put_back = agent.take_script()
            script = taken or self._refuse_unscripted(agent, asked)
            if isinstance(script, Script) and script.refuses:
                raise _Refused(*script.steps)
        except _Refused as refused:
            self.note(asked.exchange)
            return asked.answer(asked.refused(refused.steps))
        return WebSocketAnswer(self, agent, script, put_back, asked)

    def _take(self, asked: _Asked, question: Question) -> Script | Result | Computed:
        """Take what answers a run that may be asked for."""
        agent = self._agent(asked, question)
        if asked.request.body is None:
            limit = f"a request has {MAX_BODY} bytes at most"
            raise asked.objection(Status(413, code="REQUEST_TOO_LARGE", message=limit))
        if status := asked.dialect.fault(question, asked.run, agent):
            raise asked.objection(status)
        taken = agent.take_result() if asked.is_plain else agent.take_script()[0]
        return taken or self._refuse_unscripted(agent, asked)

    def _refuse_unscripted(self, agent: AgentScripts, asked: _Asked) -> NoReturn:
        why = agent.lack(plain=asked.is_plain)
        self._journal.note_unmatched(asked.exchange, why)
        raise _Refused(Status(500, code="NO_SCRIPT", message=why))

    def _agent(self, asked: _Asked, question: Question) -> AgentScripts:
        self._check_key(asked)
        agent = self._agents.get(question.agent_id)
        if agent is None:
            known = list(self._agents)
            self._journal.note_unmatched(asked.exchange, unknown_agent(question.agent_id, known))
            raise _Refused(asked.dialect.unknown_agent(question))
        return agent

    def _check_key(self, asked: _Asked) -> None:
        if self._api_key is not None and asked.dialect.key(asked.request) != self._api_key:
            raise asked.objection(Status(401, message="the API key is missing or wrong"))

    def _information(self, asked: _Asked) -> AnyPlan:
        """Answer what is not a run."""
        raise _Refused(self._inform(asked.request, asked))

    def _inform(self, request: Request, asked: _Asked) -> Status:
        if request.method == "OPTIONS":
            return _preflight(request)
        self._check_key(asked)
        path = request.path.partition("?")[0]
        if request.method in _READS and path == _HEALTH:
            first = next(iter(self._agents), None)
            health = {"status": "healthy", "agent_id": first, "agent_name": first, "framework": "fake"}
            return Status(200, body=health)
        if request.method in _READS and (match := _ARCHITECTURE.fullmatch(path)):
            whose = Question(agent_id=unquote(match[1]), transport=asked.exchange.transport)
            tags = self._agent(asked, whose).tags
            entrypoints = [{"file": "agent.py", "module": tag, "tag": tag, "extractor": {}} for tag in tags]
            return Status(200, body={"data": {"entrypoints": entrypoints}})
        path = asked.exchange.secrets.text(request.path)
        nearest = unknown_endpoint(request.method, path, list(self._agents))
        self._journal.note_unmatched(asked.exchange, nearest)
        return Status(404, code="NOT_FOUND", message=f"nothing answers {request.method} {path}")


class _Refused(Exception):
    """No error: the way from a check to its answer."""

    def __init__(self, *steps: Step) -> None:
        super().__init__(*steps)
        self.steps = steps


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, and what it asks for in which dialect; ``question`` is None where it asks for no run."""

    request: Request
    dialect: Dialect
    question: Question | None
    exchange: Exchange
    run: Run

    @classmethod
    def of(cls, request: Request, dialect: Dialect, question: Question | None, run_id: str) -> _Asked:
        exchange = Exchange(
            request.method,
            "sse" if question is None else question.transport,
            "" if question is None else question.agent_id,
            request.path,
            request.headers,
            request.connection,
            request.reused,
            None if question is None else question.body,
            request.now,
            input=None if question is None else question.input,
            surface=dialect.name,
        )
        websocket = question is not None and question.kind == "websocket"
        keep_alive = not websocket and request.body is not None
        run = _run(request, dialect, question, exchange, run_id, keep_alive=keep_alive)
        return cls(request, dialect, question, exchange, run)

    @property
    def is_plain(self) -> bool:
        return self.question is not None and self.question.kind == "plain"

    def new_run(self, *, keep_alive: bool) -> Run:
        return _run(
            self.request, self.dialect, self.question, self.exchange, self.run.run_id, keep_alive=keep_alive
        )

    def objection(self, status: Status) -> _Refused:
        """Note what is wrong with the request."""
        self.exchange.refused = self.exchange.secrets.text(status.message or f"status {status.status}")
        return _Refused(status)

    def render(self, script: Script | Result) -> AnyPlan:
        self.exchange.steps = script.steps
        if isinstance(script, Result):
            return result_plan(script, self.run)
        return refusal_plan(script.steps, self.run) if script.refuses else shared_plan(script, self.run)

    def refused(self, steps: tuple[Step, ...]) -> Plan:
        self.exchange.steps = steps
        return refusal_plan(steps, self.run)

    def answer(self, plan: AnyPlan) -> Answer:
        self.exchange.plan = plan
        return Answer(self.exchange, plan)


def _guarded(decide: Callable[[], AnyPlan], exchange: Exchange, failed: Callable[[Status], Plan]) -> AnyPlan:
    """Answer what a test's own function raises, and scripts that cannot be rendered, with a 500."""
    try:
        return decide()
    except _Refused:
        raise
    except Exception as exc:  # noqa: BLE001 - whatever a test's function or a dialect may raise
        log_failure("the fake agent could not answer", exc, exchange.secrets)
        exchange.steps = ()
        return failed(Status(500, code="SCRIPT_FAILED", message=Recorder(exchange).failed(exc)))


def _key(dialect: Dialect, request: Request) -> str | None:
    try:
        return dialect.key(request)
    except Exception:  # noqa: BLE001 - whatever a dialect may raise: shown where the key is checked
        return None


def _handshake_refusal(code: int, fault: str) -> Status:
    """Refuse a handshake; who asks for no upgrade, or for another version, is told which one there is."""
    headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"} if code == 426 else {}
    return Status(code, code="BAD_HANDSHAKE", message=fault, headers=headers)


def _preflight(request: Request) -> Status:
    """Allow what a browser asks for before it lets a page send it; the question carries no key."""
    wanted = request.headers.get("access-control-request-headers", "*")
    allowed = {
        "Allow": "GET, HEAD, POST, OPTIONS",
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": wanted,
        "Access-Control-Max-Age": "600",
    }
    return Status(204, body=b"", headers=allowed)


def _run(
    request: Request,
    dialect: Dialect,
    question: Question | None,
    exchange: Exchange,
    run_id: str,
    *,
    keep_alive: bool,
) -> Run:
    return Run(
        exchange.transport,
        run_id=run_id,
        timestamp=datetime.now(UTC).isoformat(),
        input=exchange.input if isinstance(exchange.input, dict) else {},
        headers=request.headers,
        http_1_1=request.http_1_1,
        keep_alive=keep_alive and request.keep_alive and request.http_1_1,
        dialect=dialect,
        resume_from=None if question is None else question.resume_from,
        subprotocol=None if question is None else question.subprotocol,
    )


def _is_information(request: Request) -> bool:
    path = request.path.partition("?")[0]
    return (
        request.method == "OPTIONS"
        or (request.method in _READS and path == _HEALTH)
        or bool(_ARCHITECTURE.fullmatch(path))
    )
