"""Decides on the answer to each request, in any dialect, from the agents' scripts. No I/O."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from runagent_testing._forwarding.upstream import Forward
from runagent_testing._host.answers import Judging, Pending, WebSocketAnswer
from runagent_testing._host.choice import Choice, Question
from runagent_testing._host.forwarded import Forwarded, only_answer
from runagent_testing._host.parsing import RequestParser
from runagent_testing._host.refusals import handshake_fault, preflight, too_large
from runagent_testing._host.runs import KeptRun
from runagent_testing._host.scripts import find_agent
from runagent_testing._host.stamps import random_id, utc_time
from runagent_testing._host.suggestions import describe_attempt, unknown_agent, unknown_endpoint
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._render.plan import Plan
from runagent_testing._render.render import without_body
from runagent_testing._script.computed import Computed
from runagent_testing._script.script import Script
from runagent_testing._script.steps import Status
from runagent_testing.dialects._base import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runagent_testing._host.disruptor import Disruptor
    from runagent_testing._host.others import OtherRequests, RunRefused
    from runagent_testing._host.parsed import Answer, ParsedRequest
    from runagent_testing._host.runs import Reading
    from runagent_testing._host.scripts import AgentScripts
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._journal.journal import Journal
    from runagent_testing._recording.replayed import Replayed
    from runagent_testing._render.plan import AnyPlan
    from runagent_testing._script.script import Result
    from runagent_testing._script.steps import Step
    from runagent_testing.dialects import Request, RunRequest

__all__ = ["Endpoints"]

__tracebackhide__ = is_ours

T = TypeVar("T")

_NOTHING_YET = Plan((), "close")


# Many methods: each checks one thing about a request, and all share the agents, the journal and the dialects.
class Endpoints:
    """Decides on the answer to every request.

    Args:
        agents: The agents by id.
        journal: Records the requests.
        others: Answers requests that ask for no run.
        disruptor: Puts faults in the place of answers.
        api_key: The bearer token that a client has to send.
        dialects: Tried before the built-in and the installed ones.
        run_ids: Makes the ids of runs.
        timestamps: Makes the times at which runs begin, ISO 8601.
    """

    def __init__(
        self,
        agents: Mapping[str, AgentScripts],
        journal: Journal,
        others: OtherRequests,
        disruptor: Disruptor,
        api_key: str | None,
        dialects: Sequence[Dialect] = (),
        run_ids: Callable[[], str] = random_id,
        timestamps: Callable[[], str] = utc_time,
    ) -> None:
        self._agents = agents
        self._journal = journal
        self._others = others
        self._disruptor = disruptor
        self._api_key = api_key
        self._run_ids = run_ids
        self._parser = RequestParser(agents, others, api_key, dialects, run_ids, timestamps)

    def note(self, exchange: Exchange) -> None:
        """Record a request for a run."""
        self._journal.note(exchange)

    def answer(self, request: Request) -> Answer | Pending | WebSocketAnswer:
        """Decide on the answer to a request."""
        if (only := only_answer(self._agents, request)) is not None:
            parsed = self._parser.recognise(request)
            (self._journal.note_other if parsed.run_request is None else self.note)(parsed.exchange)
            return self._safely(parsed, lambda: self._answer_alike(parsed, only))
        parsed = self._parser.parse(request)
        run_request = parsed.run_request
        if run_request is None:
            plan = parsed.decided(lambda: self._other_plan(parsed))
            return parsed.answer(without_body(plan) if request.method == "HEAD" else plan)
        if run_request.kind == "websocket":
            return self._safely(parsed, lambda: self._answer_websocket(parsed, run_request))
        self.note(parsed.exchange)
        return self._answer_run(parsed, run_request)

    def refuse(self, request: Request, status: Status) -> Answer:
        """Refuse a request before any dialect is asked; it counts as unmatched."""
        parsed = self._parser.unknown(request)
        self._journal.note_unmatched(parsed.exchange, str(status.message))
        return parsed.answer(parsed.refused(status))

    def _safely(self, parsed: ParsedRequest, answer: Callable[[], T]) -> T | Answer:
        """Answer, or refuse the request with a 500 if a hook of its dialect raises."""
        try:
            return answer()
        except Exception as exc:  # noqa: BLE001 - a dialect may raise anything; it is reported with the request
            if not parsed.exchange.arrival:
                self.note(parsed.exchange)
            return parsed.failed(exc)

    def _answer_run(
        self, parsed: ParsedRequest, run_request: RunRequest, choice: Choice | None = None
    ) -> Answer | Pending:
        asked: list[Computed | Question | Forward] = []
        readings: list[Reading | None] = []

        def plan() -> AnyPlan:
            taken = self._take(parsed, run_request, choice)
            if isinstance(taken, Computed | Question | Forward):
                asked.append(taken)
                return _NOTHING_YET
            if isinstance(taken, Status):
                return parsed.refused(taken)
            if not (parsed.dialect.keeps_runs and isinstance(taken, Script) and taken.is_known):
                return parsed.render(taken)
            decided, reading = self._read(parsed, run_request, taken)
            readings.append(reading)
            return decided

        decided = parsed.decided(plan)
        exchange, run = parsed.exchange, parsed.run
        match asked:
            case [Question(choice=begun) as question]:
                go_on = partial(self._answer_run, parsed, run_request, begun)
                return Judging.of(question, exchange, run, parsed.decided, go_on)
            case [Forward() as forward]:
                return Forwarded.of(forward, parsed)
            case [Computed() as computed]:
                return Pending(computed, exchange, parsed.is_plain, run, parsed.decided, parsed.render)
        return parsed.answer(decided, next(iter(readings), None))

    def _read(
        self, parsed: ParsedRequest, run_request: RunRequest, script: Script
    ) -> tuple[AnyPlan, Reading | None]:
        """Begin a run that is kept, or attach to one."""
        exchange, runs = parsed.exchange, self._others.runs
        kept = self._parser.attached(parsed.dialect, run_request) or KeptRun(
            parsed.run.run_id, exchange.agent_id, exchange.body, exchange.input
        )
        plan, reading = kept.read(
            exchange,
            parsed.run,
            script,
            lambda run: parsed.render(script, run),
            snapshot=run_request.snapshot and run_request.attach_to is not None,
        )
        runs.keep(parsed.dialect, kept)
        return plan, reading

    def _answer_alike(self, parsed: ParsedRequest, only: Forward | Replayed) -> Answer:
        """Pass on any request, or replay its answer."""
        status = self._key_fault(parsed) or (too_large(parsed) if parsed.request.body is None else None)
        if status is not None:
            return parsed.answer(parsed.refused(status))
        if isinstance(only, Forward):
            return Forwarded.of(only, parsed)
        return parsed.answer(parsed.decided(lambda: parsed.render(only)))

    def _answer_websocket(self, parsed: ParsedRequest, run_request: RunRequest) -> Answer | WebSocketAnswer:
        agent = self._agent(parsed, run_request)
        if isinstance(agent, Status):
            return self._refuse(parsed, agent)
        status = handshake_fault(parsed.request) or self._invalid(parsed, run_request, agent)
        status = status or _over_limit(parsed, agent)
        if status is not None:
            return self._refuse(parsed, parsed.reject(status))
        choice = self._choose(parsed, agent)
        script: Script | Computed | None = None
        if not choice.needs_input:
            # Taken now, because a refusal has to precede the handshake's answer.
            script = cast("Script | Computed | None", choice.take())
            if script is None:
                return self._refuse(parsed, self._unscripted(choice, parsed))
            if isinstance(script, Script) and script.refuses:
                refusal = script
                choice.begin()
                self.note(parsed.exchange)
                if isinstance(refusal, Forward):
                    return Forwarded.of(refusal, parsed)
                return parsed.answer(parsed.decided(lambda: parsed.render(refusal)))
        key = self._api_key if self._awaits_key(parsed) else None
        return WebSocketAnswer(self.note, self._unscripted, choice, script, parsed, key)

    def _refuse(self, parsed: ParsedRequest, *steps: Step) -> Answer:
        """Refuse a handshake."""
        self.note(parsed.exchange)
        return parsed.answer(parsed.refused(*steps))

    def _take(
        self, parsed: ParsedRequest, run_request: RunRequest, choice: Choice | None
    ) -> Script | Result | Computed | Question | Status:
        """Take the script of a run; or return the status that refuses the run, or a question to ask first."""
        kept = self._parser.attached(parsed.dialect, run_request)
        if choice is None:
            agent = self._admitted(parsed, run_request, kept)
            if isinstance(agent, Status):
                return agent
            choice = self._choose(parsed, agent)
            choice.begin(resumes=parsed.resumes)
        taken = choice.take() if kept is None or parsed.is_plain else kept.next_script(choice.take)
        return taken or self._unscripted(choice, parsed)

    def _choose(self, parsed: ParsedRequest, agent: AgentScripts) -> Choice:
        disrupt = partial(self._disruptor.take, parsed)
        return Choice(agent, parsed.exchange, parsed.dialect, plain=parsed.is_plain, disrupt=disrupt)

    def _admitted(
        self, parsed: ParsedRequest, run_request: RunRequest, kept: KeptRun | None
    ) -> AgentScripts | Status:
        """Return the agent of a run, or the status that refuses the run."""
        if status := self._key_fault(parsed):
            return status
        if run_request.attach_to is not None and kept is None:
            return parsed.reject(parsed.dialect.unknown_run(run_request))
        agent = self._agent(parsed, run_request)
        if isinstance(agent, Status):
            return agent
        if parsed.request.body is None:
            return too_large(parsed)
        if status := self._invalid(parsed, run_request, agent) or _over_limit(parsed, agent):
            return parsed.reject(status)
        return agent

    def _invalid(self, parsed: ParsedRequest, run_request: RunRequest, agent: AgentScripts) -> Status | None:
        """Return the status that refuses an invalid request; None if it is valid."""
        dialect, status = parsed.dialect, None
        if type(dialect).check_state is not Dialect.check_state:
            status = dialect.check_state(
                run_request, self._others.host_of(dialect, parsed.request, self._run_ids)
            )
        return status or dialect.check(run_request, parsed.run, agent)

    def _unscripted(self, choice: Choice, parsed: ParsedRequest) -> Status:
        attempt = describe_attempt(parsed.exchange, self._journal.requests)
        why = parsed.exchange.secrets.text(choice.describe_missing() + attempt)
        self._journal.note_unmatched(parsed.exchange, why)
        return Status(500, code="NO_SCRIPT", message=why)

    def _agent(self, parsed: ParsedRequest, run_request: RunRequest) -> AgentScripts | Status:
        """Find the agent, or return the status that refuses the request."""
        if status := self._key_fault(parsed):
            return status
        if (agent := find_agent(self._agents, run_request.agent_id)) is not None:
            return agent
        known = list(self._agents)
        self._journal.note_unmatched(parsed.exchange, unknown_agent(run_request.agent_id, known))
        return parsed.dialect.unknown_agent(run_request)

    def _key_fault(self, parsed: ParsedRequest) -> Status | None:
        if self._parser.has_key(parsed.dialect, parsed.request) or self._awaits_key(parsed):
            return None
        return parsed.reject(parsed.dialect.wrong_key(parsed.request))

    def _awaits_key(self, parsed: ParsedRequest) -> bool:
        """Whether the key may still come, in a message of a WebSocket."""
        in_messages = type(parsed.dialect).find_key_in_message is not Dialect.find_key_in_message
        is_websocket = parsed.run_request is not None and parsed.run_request.kind == "websocket"
        return is_websocket and in_messages and parsed.dialect.find_api_key(parsed.request) is None

    def _other_plan(self, parsed: ParsedRequest) -> AnyPlan:
        """Answer a request that does not ask for a run."""
        if parsed.failure is not None:
            self._journal.note_other(parsed.exchange)
            raise parsed.failure
        if parsed.request.method == "OPTIONS":
            return parsed.refused(preflight(parsed.request))
        if parsed.inquiry is not None and parsed.inquiry.refused is not None:
            return self._refuse_begin(parsed, parsed.inquiry.refused)
        if parsed.inquiry is not None:
            self._journal.note_other(parsed.exchange)
        if status := self._key_fault(parsed):
            return parsed.refused(status)
        if (queued := self._others.take(parsed.request)) is not None:
            if parsed.inquiry is None:
                self._journal.note_other(parsed.exchange)
            return parsed.render(queued)
        return parsed.refused(self._unknown(parsed) if parsed.inquiry is None else self._inform(parsed))

    def _inform(self, parsed: ParsedRequest) -> Status:
        assert parsed.inquiry is not None
        self._note_missing(parsed, parsed.inquiry.host.missing)
        return parsed.inquiry.outcome()

    def _note_missing(self, parsed: ParsedRequest, agent_id: str | None) -> None:
        if agent_id is not None:
            self._journal.note_unmatched(parsed.exchange, unknown_agent(agent_id, list(self._agents)))

    def _refuse_begin(self, parsed: ParsedRequest, refused: RunRefused) -> AnyPlan:
        """Refuse a run that its dialect wanted to begin; it counts as a request for a run."""
        assert parsed.inquiry is not None
        exchange, asked = parsed.exchange, refused.run_request
        exchange.agent_id, exchange.input = asked.agent_id, asked.input
        self.note(exchange)
        self._note_missing(parsed, parsed.inquiry.host.missing)
        if isinstance(refused.by, Script):
            return parsed.render(refused.by)
        if isinstance(refused.by, Choice):
            return parsed.refused(self._unscripted(refused.by, parsed))
        return parsed.refused(refused.by)

    def _unknown(self, parsed: ParsedRequest) -> Status:
        method, path = parsed.request.method, parsed.exchange.secrets.text(parsed.request.path)
        nearest = unknown_endpoint(method, path, list(self._agents))
        self._journal.note_unmatched(parsed.exchange, nearest)
        return Status(404, code="NOT_FOUND", message=f"nothing answers {method} {path}")


def _over_limit(parsed: ParsedRequest, agent: AgentScripts) -> Status | None:
    """Return the status that refuses one run too many; None if it is accepted."""
    if agent.limit is None or parsed.resumes:
        return None
    return agent.limit.refusal(parsed.request.now(), parsed.run)
