"""Requests that ask for no run, such as a card or a list of models. No I/O."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from runagent_testing._host.choice import Choice, Question
from runagent_testing._host.exchanges import new_exchange
from runagent_testing._host.runs import KeptRun, KeptRuns
from runagent_testing._host.scripts import find_agent
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._journal.journal import FALLBACK
from runagent_testing._script.script import Result, Script
from runagent_testing._script.steps import Status
from runagent_testing.dialects._hosting import DialectHost, DialectState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runagent_testing._host.scripts import AgentScripts
    from runagent_testing._script.computed import Computed
    from runagent_testing.dialects import Dialect, Request, RunRequest

__all__ = ["Inquiry", "OtherRequests", "RunRefused", "line_of"]

__tracebackhide__ = is_ours


class OtherRequests:
    """What a host keeps for requests that ask for no run: queued answers, and the state of dialects.

    Args:
        agents: The agents by id.
        url: Returns the host's base URL.

    Attributes:
        runs: The runs that dialects keep.
    """

    def __init__(self, agents: Mapping[str, AgentScripts], url: Callable[[], str]) -> None:
        self._agents = agents
        self._url = url
        self.runs = KeptRuns()
        self._states: dict[Dialect, DialectState] = {}
        self._queued: dict[str, deque[Result]] = {}

    def add(self, line: str, result: Result, times: int) -> None:
        """Queue the answer to the next requests with this method and path; ``*`` is any one segment."""
        self._queued.setdefault(line, deque()).extend([result] * times)

    def take(self, request: Request) -> Result | None:
        """Take the queued answer to a request; None if there is none."""
        queue = self._queue_for(request)
        return queue.popleft() if queue else None

    def _queue_for(self, request: Request) -> deque[Result] | None:
        line = line_of(request)
        if queue := self._queued.get(line):
            return queue
        return next(
            (queue for pattern, queue in self._queued.items() if queue and _fits(line, pattern)), None
        )

    def unused(self) -> Iterator[tuple[str, Result]]:
        """Yield each answer that no request took, and its method and path."""
        for line, queue in self._queued.items():
            for result in queue:
                yield line, result

    def host_of(
        self, dialect: Dialect, request: Request, run_ids: Callable[[], str], *, trial: bool = False
    ) -> DialectHost:
        """Return the host as a dialect sees it; what it changes in a trial is lost.

        Args:
            dialect: The dialect.
            request: The request that it answers.
            run_ids: Makes the ids of runs that the dialect begins.
            trial: Whether another answer than the dialect's will be sent.
        """
        state = self._states.setdefault(dialect, DialectState())

        def find_run(run_id: str) -> KeptRun | None:
            run = self.runs.find(dialect, run_id)
            return run.tried() if trial and run is not None else run

        def begin_run(run_request: RunRequest) -> KeptRun:
            return self._begin_run(host, dialect, request, run_request, None if trial else run_ids)

        seen = state.copied() if trial else state
        agents, fallback = self._agents, self._agents.get(FALLBACK)
        if fallback is not None:
            agents = {agent_id: agent for agent_id, agent in agents.items() if agent_id != FALLBACK}
        host = DialectHost(self._url(), agents, seen, find_run, begin_run, fallback)
        return host

    def _begin_run(
        self,
        host: DialectHost,
        dialect: Dialect,
        request: Request,
        run_request: RunRequest,
        run_ids: Callable[[], str] | None,
    ) -> KeptRun:
        """Begin a run that later requests read; without ids, only try it."""
        if not dialect.keeps_runs:
            raise TypeError(f"{type(dialect).__name__} does not keep its runs: set keeps_runs = True")
        agent_id, body, given = run_request.agent_id, run_request.body, run_request.input
        if run_ids is None:
            return KeptRun(run_request.run_id or "", agent_id, body, given)
        agent = find_agent(self._agents, agent_id)
        if agent is None:
            host.agent(agent_id)  # notes that it is missing
            raise RunRefused(run_request, dialect.unknown_agent(run_request))
        if agent.limit is not None and (status := agent.limit.refusal(request.now())):
            raise RunRefused(run_request, status)
        choice = Choice(agent, new_exchange(request, dialect, run_request), dialect, plain=False)
        script = _taken(choice, run_request)
        run_id = run_request.run_id or self.runs.free_id(dialect, run_ids())
        run = KeptRun(run_id, agent_id, body, given, script)
        self.runs.keep(dialect, run)
        return run

    def ask(
        self, dialect: Dialect, request: Request, run_ids: Callable[[], str], *, has_key: bool
    ) -> Inquiry | None:
        """Ask a dialect for its answer; None if the request is not the dialect's.

        The answer is only tried if another one will be sent, so that a refused request changes nothing.
        """
        trial = not has_key or self._queue_for(request) is not None
        host = self.host_of(dialect, request, run_ids, trial=trial)
        inquiry = Inquiry(host)
        try:
            inquiry.status = dialect.answer(request, host)
            if inquiry.status is not None and not isinstance(inquiry.status, Status):
                given = type(inquiry.status).__name__
                raise TypeError(
                    f"{type(dialect).__name__}.answer() returned a {given}: return a Status, or None"
                )
        except RunRefused as refused:
            inquiry.refused = refused
            return inquiry
        except Exception as exc:  # noqa: BLE001 - a dialect may raise anything; it is reported with the request
            inquiry.failure = exc
        return None if inquiry.status is None and inquiry.failure is None else inquiry

    def clear(self) -> None:
        """Forget everything."""
        self._states.clear()
        self.runs.clear()
        self._queued.clear()


def _fits(line: str, pattern: str) -> bool:
    found, wanted = line.split("/"), pattern.split("/")
    return len(found) == len(wanted) and all(w in ("*", f) for f, w in zip(found, wanted, strict=True))


class RunRefused(Exception):
    """A run that a dialect wanted to begin is refused.

    Attributes:
        run_request: The run.
        by: The answer: a status or a script. Or the choice that has found no script.
    """

    def __init__(self, run_request: RunRequest, by: Status | Script | Choice) -> None:
        super().__init__()
        self.run_request = run_request
        self.by = by


class Inquiry:
    """A dialect's answer to a request that asks for no run.

    Attributes:
        host: The host as the dialect saw it.
        status: The answer.
        failure: What the dialect raised in place of an answer.
        refused: The refusal of the run that the dialect wanted to begin.
    """

    def __init__(self, host: DialectHost) -> None:
        self.host = host
        self.status: Status | None = None
        self.failure: Exception | None = None
        self.refused: RunRefused | None = None

    def outcome(self) -> Status:
        """Return the answer, or raise the dialect's error."""
        if self.failure is not None:
            raise self.failure
        assert self.status is not None
        return self.status


def _taken(choice: Choice, run_request: RunRequest) -> Script | Computed:
    """Take the script of a run; functions of rules are called here, as the dialect cannot wait.

    Raises:
        RunRefused: There is none, or it refuses the run.
    """
    choice.begin()
    while isinstance(script := choice.take(), Question):
        script.answer(bool(script.predicate.function(choice.exchange)))
    if script is None:
        raise RunRefused(run_request, choice)
    if isinstance(script, Script) and script.refuses:
        raise RunRefused(run_request, script)
    assert not isinstance(script, Result)
    return script


def line_of(request: Request) -> str:
    """Return the method and path of a request, without its query."""
    return f"{request.method} {request.path.partition('?')[0]}"
