"""One request, the run that it asks for, and the plans that may answer it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from runagent_testing._host.exchanges import new_exchange
from runagent_testing._internal.log import log_failure
from runagent_testing._journal.recorder import Recorder
from runagent_testing._recording.replayed import Replayed
from runagent_testing._render.lazy import LazyPlan
from runagent_testing._render.places import asks_to_resume
from runagent_testing._render.render import refusal_plan, result_plan
from runagent_testing._render.replay import replay_plan
from runagent_testing._render.templates import shared_plan
from runagent_testing._script.repeated import Repetition
from runagent_testing._script.script import Result, Script
from runagent_testing._script.steps import Status, Step
from runagent_testing.dialects._base import DialectRun, error_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._host.others import Inquiry
    from runagent_testing._host.runs import Reading
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._render.plan import AnyPlan, Plan
    from runagent_testing._script.computed import Source
    from runagent_testing.dialects import Dialect, Request, RunRequest

__all__ = ["Answer", "ParsedRequest", "guarded"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan and its exchange.

    Attributes:
        exchange: The record.
        plan: What is played.
        reading: Ends the answer if the run is cancelled; None if it cannot be.
    """

    exchange: Exchange
    plan: AnyPlan
    reading: Reading | None = None


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request as its dialect understands it.

    Attributes:
        request: The request.
        dialect: Its dialect; a built-in one if no dialect knows the request.
        run_request: The run that it asks for, if it does.
        exchange: Its record.
        run: The run, or as much of one as is necessary for another answer.
        inquiry: The dialect's answer if it asks for no run.
        failure: What the dialect raised in place of understanding it.
    """

    request: Request
    dialect: Dialect
    run_request: RunRequest | None
    exchange: Exchange
    run: DialectRun
    inquiry: Inquiry | None = None
    failure: Exception | None = None

    @classmethod
    def of(
        cls,
        request: Request,
        dialect: Dialect,
        run_request: RunRequest | None,
        run_id: str,
        timestamp: str,
        inquiry: Inquiry | None = None,
        failure: Exception | None = None,
    ) -> ParsedRequest:
        """Begin the exchange."""
        other = "sse" if inquiry is None and failure is None else dialect.name
        exchange = new_exchange(request, dialect, run_request, other=other)
        websocket = run_request is not None and run_request.kind == "websocket"
        keep_alive = not websocket and request.body is not None
        run = _run(request, dialect, run_request, exchange, run_id, timestamp, keep_alive=keep_alive)
        return cls(request, dialect, run_request, exchange, run, inquiry, failure)

    @property
    def is_plain(self) -> bool:
        """Whether it asks for a plain run, whose answer is one whole."""
        return self.run_request is not None and self.run_request.kind == "plain"

    @property
    def is_websocket(self) -> bool:
        """Whether it is the handshake of a WebSocket."""
        return self.run_request is not None and self.run_request.kind == "websocket"

    def new_run(self, *, keep_alive: bool) -> DialectRun:
        """Make the run once its input is known, as on a WebSocket after the handshake."""
        return _run(
            self.request,
            self.dialect,
            self.run_request,
            self.exchange,
            self.run.run_id,
            self.run.timestamp,
            keep_alive=keep_alive,
        )

    def reject(self, status: Status) -> Status:
        """Record why the request is refused, and return the status."""
        self.exchange.refused = self.exchange.secrets.text(status.message or f"status {status.status}")
        return status

    def render(self, script: Script | Result, run: DialectRun | None = None) -> AnyPlan:
        """Make the plan of a script, for this run if no other one is given."""
        run = run or self.run
        self.exchange.steps = script.steps
        if isinstance(script, Result):
            return result_plan(script, run)
        if isinstance(script, Replayed):
            return replay_plan(script, run, asks_for_websocket=self.is_websocket)
        if script.is_long:
            return repeated_plan(self.exchange, script, run)
        return refusal_plan(script.steps, run) if script.refuses else shared_plan(script, run)

    def refused(self, *steps: Step) -> Plan:
        """Make the plan of a refusal."""
        self.exchange.steps = steps
        return refusal_plan(steps, self.run)

    @property
    def resumes(self) -> bool:
        """Whether it asks for the rest of a run."""
        asked, exchange = self.run_request, self.exchange
        return asked is not None and (
            bool(asked.resume_from)
            or asked.resume_after is not None
            or asked.attach_to is not None
            or asks_to_resume(exchange.input, exchange.raw_headers)
        )

    def decided(self, decide: Callable[[], AnyPlan]) -> AnyPlan:
        """Return the decided plan, or a refusal with a 500 if deciding fails."""
        return guarded(decide, self.exchange, self._failed)

    def failed(self, exc: Exception) -> Answer:
        """Answer with a 500, and let the test fail."""

        def fail() -> NoReturn:
            raise exc

        return self.answer(self.decided(fail))

    def _failed(self, status: Status) -> Plan:
        try:
            return self.refused(status)
        except Exception as exc:  # noqa: BLE001 - the dialect cannot even write a refusal; its first failure counts
            log_failure("the dialect was unable to refuse a request", exc, self.exchange.secrets)
            return self.refused(replace(status, body=error_body(status, self.run)))

    def answer(self, plan: AnyPlan, reading: Reading | None = None) -> Answer:
        """Answer with a plan."""
        self.exchange.plan = plan
        return Answer(self.exchange, plan, reading)


def guarded(decide: Callable[[], AnyPlan], exchange: Exchange, failed: Callable[[Status], Plan]) -> AnyPlan:
    """Decide on a plan; answer with a 500 if a test's function raises, or the script cannot be rendered."""
    try:
        return decide()
    except Exception as exc:  # noqa: BLE001 - a test's function or a dialect may raise anything
        log_failure("the fake agent was unable to answer", exc, exchange.secrets)
        exchange.steps = ()
        return failed(Status(500, code="SCRIPT_FAILED", message=Recorder(exchange).note_failure(exc)))


def repeated_plan(exchange: Exchange, script: Script, run: DialectRun) -> LazyPlan:
    """Make the plan of a script with a repetition that is too long to be written out."""
    source = Repetition(script.steps)
    return lazy_plan(exchange, script, "repeat(...)", source.next_now(), source, run)


def lazy_plan(
    exchange: Exchange, script: Script, name: str, first: Any, source: Source, run: DialectRun
) -> LazyPlan:
    """Make a plan whose steps come one by one; arguments as for a `LazyPlan`."""
    recorder = Recorder(exchange)
    made = LazyPlan(script, name, first, source, run, recorder)
    exchange.steps = made.steps
    recorder.forget_times()
    return made


def _run(
    request: Request,
    dialect: Dialect,
    run_request: RunRequest | None,
    exchange: Exchange,
    run_id: str,
    timestamp: str,
    *,
    keep_alive: bool,
) -> DialectRun:
    return DialectRun(
        exchange.transport,
        run_id=run_id,
        timestamp=timestamp,
        input=exchange.input if isinstance(exchange.input, dict) else {},
        headers=request.headers,
        http_1_1=request.http_1_1,
        keep_alive=keep_alive and request.keep_alive and request.http_1_1,
        dialect=dialect,
        resume_from=None if run_request is None else run_request.resume_from,
        resume_after=None if run_request is None else run_request.resume_after,
        subprotocol=None if run_request is None else run_request.subprotocol,
        body=exchange.body,
        path=request.path,
    )
