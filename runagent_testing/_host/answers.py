"""Answers that are decided in two stages: WebSockets, and replies of a test's function. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from runagent_testing._host.parsed import Answer, guarded
from runagent_testing._host.scripts import as_result
from runagent_testing._host.websocket import Conversation
from runagent_testing._journal.record import Recorder
from runagent_testing._render.lazy import LazyPlan
from runagent_testing._render.render import frames_plan, handshake_plan
from runagent_testing._render.templates import shared_plan
from runagent_testing._script.computed import Computed
from runagent_testing._script.script import Result, Script
from runagent_testing._script.steps import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._host.parsed import ParsedRequest
    from runagent_testing._host.scripts import AgentScripts
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._render.plan import AnyPlan, Plan
    from runagent_testing._script.computed import Source
    from runagent_testing.dialects import DialectRun

__all__ = ["Pending", "WebSocketAnswer"]


@dataclass(frozen=True, slots=True)
class Pending:
    """An answer whose steps a function of the test computes; the player calls the function.

    Attributes:
        is_plain: Whether it is not a stream, so that all its steps are needed at once.
    """

    computed: Computed
    exchange: Exchange
    is_plain: bool
    _run: DialectRun
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
        """Answer with the function's failure."""

        def fail() -> NoReturn:
            raise exc

        return self._answer(fail)

    def _answer(self, plan: Callable[[], AnyPlan]) -> Answer:
        self.exchange.plan = self._decide(plan)
        return Answer(self.exchange, self.exchange.plan)


class WebSocketAnswer:
    """The answer to a WebSocket's handshake, and then to its request.

    Attributes:
        handshake: The plan of the handshake's answer.
        conversation: The messages and control frames that follow.
    """

    def __init__(
        self,
        note: Callable[[Exchange], None],
        agent: AgentScripts,
        script: Script | Computed,
        put_back: Callable[[], None],
        parsed: ParsedRequest,
    ) -> None:
        self.handshake = handshake_plan(script if isinstance(script, Script) else None, parsed.run)
        self.conversation = Conversation(parsed.exchange.secrets.veiled)
        parsed.exchange.messages = self.conversation.messages
        self._note = note
        self._agent = agent
        self._script: Script | Computed | None = script
        self._put_back = put_back
        self._parsed_request = parsed
        if isinstance(script, Script) and script.keeps_waiting:
            self.exchange.steps = script.steps
            note(self.exchange)

    @property
    def exchange(self) -> Exchange:
        """The exchange of the handshake."""
        return self._parsed_request.exchange

    @property
    def is_noted(self) -> bool:
        """Whether the run counts as requested: its message has come, or the handshake waits in a pause."""
        return self.exchange.number > 0

    def answer(self, message: str | bytes) -> Answer | Pending:
        """Decide on the answer to the request's message."""
        exchange, dialect = self._parsed_request.exchange, self._parsed_request.dialect
        exchange.body, exchange.input, fault = dialect.parse_message(message, self._agent)
        exchange.secrets.veil(exchange.body)
        exchange.secrets.veil(exchange.input)
        if not self.is_noted:
            self._note(exchange)
        if fault:
            self._give_back()
            exchange.refused, exchange.steps = exchange.secrets.text(fault), ()
            exchange.plan = frames_plan(dialect.reject_message(fault))
            return Answer(exchange, exchange.plan)
        script, self._script = self._script, None
        assert script is not None
        if isinstance(script, Computed):
            run = self._parsed_request.new_run(keep_alive=True)
            return Pending(script, exchange, False, run, self._decide, self._render)
        exchange.plan = self._decide(lambda: self._render(script))
        return Answer(exchange, exchange.plan)

    def give_up(self) -> None:
        """Put the script back for another run if no request has used it."""
        if not self.is_noted:
            self._give_back()

    def _give_back(self) -> None:
        if self._script is not None:
            self._script = None
            self._put_back()

    def _decide(self, plan: Callable[[], AnyPlan]) -> AnyPlan:
        return guarded(plan, self.exchange, lambda failure: self._reject(str(failure.message)))

    def _render(self, script: Script | Result) -> AnyPlan:
        assert isinstance(script, Script)
        self._parsed_request.exchange.steps = script.steps
        if script.refuses:
            last = script.steps[-1]
            return self._reject(str(last.message or last.status) if isinstance(last, Status) else "refused")
        return shared_plan(script, self._parsed_request.new_run(keep_alive=True))

    def _reject(self, fault: str) -> Plan:
        return frames_plan(self._parsed_request.dialect.reject_message(fault))
