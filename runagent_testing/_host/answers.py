"""Answers that are decided in two stages: WebSockets, and replies of a test's function. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from runagent_testing._host.choice import Question
from runagent_testing._host.parsed import Answer, guarded, lazy_plan, repeated_plan
from runagent_testing._host.scripts import as_result
from runagent_testing._host.websocket import Conversation
from runagent_testing._internal.log import log_failure
from runagent_testing._journal.recorder import Recorder
from runagent_testing._recording.replayed import Replayed
from runagent_testing._render.render import frames_plan, handshake_plan, stream_plan
from runagent_testing._render.replay import replay_plan
from runagent_testing._render.templates import shared_plan
from runagent_testing._script.computed import Computed
from runagent_testing._script.script import Result, Script
from runagent_testing._script.steps import Status
from runagent_testing.dialects._frames import close_frame
from runagent_testing.dialects._messages import MessageContext, MessageReply, RunMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._host.choice import Choice
    from runagent_testing._host.parsed import ParsedRequest
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._render.plan import AnyPlan, Plan
    from runagent_testing._script.computed import Source
    from runagent_testing._script.steps import Step
    from runagent_testing.dialects import Dialect, DialectRun

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

    def answer(self, steps: tuple[Any, ...]) -> Answer | Pending:
        """Answer with all its steps."""
        options = self.computed.options
        if self.is_plain:
            return self._answer(lambda: self._render(as_result(steps, options)))
        return self._answer(lambda: self._render(Script.of(steps, **options)))

    def stream(self, first: Any, source: Source) -> Answer:
        """Answer with steps that come one by one."""
        name, script = self.computed.name, self.computed.script
        return self._answer(lambda: lazy_plan(self.exchange, script, name, first, source, self._run))

    def failed(self, exc: Exception) -> Answer:
        """Answer with the function's failure."""

        def fail() -> NoReturn:
            raise exc

        return self._answer(fail)

    def _answer(self, plan: Callable[[], AnyPlan]) -> Answer:
        self.exchange.plan = self._decide(plan)
        return Answer(self.exchange, self.exchange.plan)


@dataclass(frozen=True, slots=True)
class Judging(Pending):
    """A function that decides whether a rule applies; the answer follows its verdict."""

    _question: Question
    _go_on: Callable[[], Answer | Pending]

    @classmethod
    def of(
        cls,
        question: Question,
        exchange: Exchange,
        run: DialectRun,
        decide: Callable[[Callable[[], AnyPlan]], AnyPlan],
        go_on: Callable[[], Answer | Pending],
    ) -> Judging:
        """Ask a question, and go on once it is answered."""
        return cls(question.predicate, exchange, True, run, decide, _no_script, question, go_on)

    def answer(self, steps: tuple[Any, ...]) -> Answer | Pending:
        """Go on with the function's verdict."""
        self._question.answer(bool(steps[-1]))
        return self._go_on()

    def failed(self, exc: Exception) -> Answer:
        """Answer with the function's failure, whose note names the function."""
        answer = Pending.failed(self, exc)
        if not isinstance(exc, TimeoutError):
            Recorder(self.exchange).note_failure(exc, f"{self.computed.method} with {self.computed.name}")
        return answer


class WebSocketAnswer:
    """The answer to a WebSocket's handshake, and then to its messages.

    Args:
        note: Records the run.
        unscripted: Records that no script answers the run, and returns the status that refuses it.
        choice: Chooses the script of the run.
        script: The script, if it was chosen before the handshake.
        parsed: The handshake.
        key: The API key that a message has to bring; None if none has to.

    Attributes:
        handshake: The plan of the handshake's answer.
        conversation: The messages and control frames that follow.
        asked: The answer to the message that asks for the run; None until that has come.
        is_stopped: Whether a message has ended the run.
    """

    def __init__(
        self,
        note: Callable[[Exchange], None],
        unscripted: Callable[[Choice, ParsedRequest], Status],
        choice: Choice,
        script: Script | Computed | None,
        parsed: ParsedRequest,
        key: str | None = None,
    ) -> None:
        self.handshake = handshake_plan(script if isinstance(script, Script) else None, parsed.run)
        self.conversation = Conversation(parsed.exchange.secrets.veiled, parsed.exchange._elapsed)
        parsed.exchange.messages = self.conversation.messages
        parsed.exchange.message_times = self.conversation.message_times
        self._note = note
        self._unscripted = unscripted
        self._choice = choice
        choice.is_late = script is None
        self._script: Script | Computed | None = script
        self._shaken_by = script  # its pauses precede the handshake's answer
        self._has_begun = False
        self._parsed_request = parsed
        self._key = key
        self._taken = 0
        self._run_message: RunMessage | None = None
        self.asked: Answer | Pending | None = None
        self.is_stopped = False
        # A client that meets a fault in the handshake sends no message, and yet has met it.
        if isinstance(script, Script) and (script.keeps_waiting or self.exchange.fault is not None):
            self.exchange.steps = script.steps
            note(self.exchange)

    @property
    def exchange(self) -> Exchange:
        """The exchange of the handshake."""
        return self._parsed_request.exchange

    @property
    def is_noted(self) -> bool:
        """Whether the run counts as requested: its message has come, or the handshake waits or is faulty."""
        return self.exchange.number > 0

    def take_messages(self) -> None:
        """Give the messages that have come since the last call to the dialect."""
        messages = self.conversation.messages
        while self._taken < len(messages):
            message = messages[self._taken]
            if self.asked is None:
                self.asked = self._decided_by(message)
            elif self.exchange.refused is None:
                self._reply(message)
            self._taken += 1

    def _decided_by(self, message: str | bytes) -> Answer | Pending | None:
        """Take a message before the run; None if it does not ask for it."""
        dialect = self._parsed_request.dialect
        try:
            if not self._has_key(message):
                return self._refuse("the API key is missing or wrong", dialect.reject_key())
            parsed = dialect.parse_message(message, self._context())
            if isinstance(parsed, RunMessage):
                return self._begin(message, parsed)
            reply = _checked(parsed, dialect, "parse_message")
            if reply.ends is not None:
                return self._refuse(reply.ends, reply.frames)
            self.conversation.say(reply.frames)
        except Exception as exc:  # noqa: BLE001 - a dialect may raise anything; it is reported with the request
            return self._fail(exc)
        return None

    def _begin(self, message: str | bytes, parsed: RunMessage) -> Answer | Pending:
        self._run_message = parsed
        self.exchange.body, self.exchange.input = parsed.body, parsed.input
        self._veil()
        if self._key is not None:
            return self._refuse("the API key is missing or wrong", self._parsed_request.dialect.reject_key())
        if parsed.fault:
            return self._refuse(parsed.fault, self._parsed_request.dialect.reject_message(parsed.fault))
        if not self.is_noted:
            self._note(self.exchange)
        self._has_begun = True
        self._choice.begin(resumes=self._parsed_request.resumes)
        return self.answer(message)

    def _has_key(self, message: str | bytes) -> bool:
        """Whether a message brings the awaited key, or may leave it to a later one."""
        if self._key is None:
            return True
        found = self._parsed_request.dialect.find_key_in_message(message)
        if found is None:
            return True
        Recorder(self.exchange).hide_key(found)
        self._veil()
        if found != self._key:
            return False
        self._key = None
        return True

    def _veil(self) -> None:
        secrets = self.exchange.secrets
        secrets.veil(self.exchange.body)
        secrets.veil(self.exchange.input)
        messages = self.conversation.messages
        messages[:] = [secrets.veiled(item) if isinstance(item, str) else item for item in messages]

    def _context(self) -> MessageContext:
        parsed = self._parsed_request
        earlier = tuple(self.conversation.messages[: self._taken])
        return MessageContext(parsed.request, self._choice.agent, earlier, self._run_message)

    def _reply(self, message: str | bytes) -> None:
        """Take a message after the one that asked for the run."""
        dialect = self._parsed_request.dialect
        try:
            reply = dialect.reply_to_message(message, self._context())
            if reply is None:
                return
            _checked(reply, dialect, "reply_to_message")
            self.conversation.say(reply.frames)
            self.is_stopped |= reply.ends is not None
        except Exception as exc:  # noqa: BLE001 - as before the run
            Recorder(self.exchange).note_failure(exc)

    def _refuse(self, fault: str, frames: bytes) -> Answer:
        if not self.is_noted:
            self._note(self.exchange)
        self._give_back()
        self.exchange.refused, self.exchange.steps = self.exchange.secrets.text(fault), ()
        self.exchange.plan = frames_plan(frames)
        return Answer(self.exchange, self.exchange.plan)

    def _fail(self, exc: Exception) -> Answer:
        log_failure("the fake agent was unable to answer", exc, self.exchange.secrets)
        fault = Recorder(self.exchange).note_failure(exc)
        return self._refuse(fault, self._rejection(fault))

    def _rejection(self, fault: str) -> bytes:
        """Write the refusal that follows a failure, which the dialect may be unable to write as well."""
        try:
            return self._parsed_request.dialect.reject_message(fault)
        except Exception:  # noqa: BLE001 - the first failure is the one that counts
            return close_frame(1011)

    def answer(self, message: str | bytes) -> Answer | Pending:
        """Decide on the answer to the message that asks for the run."""
        exchange = self.exchange
        script, self._script = self._script or self._choice.take(), None
        run = self._parsed_request.new_run(keep_alive=True)
        if isinstance(script, Question):
            return Judging.of(script, exchange, run, self._decide, partial(self.answer, message))
        if isinstance(script, Computed):
            return Pending(script, exchange, False, run, self._decide, self._render)
        exchange.plan = self._decide(lambda: self._render(script))
        return Answer(exchange, exchange.plan)

    def give_up(self) -> None:
        """Put the script back for another run if no request has used it."""
        if not self.is_noted:
            self._give_back()

    def _give_back(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._choice.put_back()

    def _decide(self, plan: Callable[[], AnyPlan]) -> AnyPlan:
        return guarded(
            plan, self.exchange, lambda failure: frames_plan(self._rejection(str(failure.message)))
        )

    def _render(self, script: Script | Result | None) -> AnyPlan:
        if script is None:
            status = self._unscripted(self._choice, self._parsed_request)
            return self._reject(str(status.message))
        assert isinstance(script, Script)
        self._parsed_request.exchange.steps = script.steps
        if script.refuses:
            last = script.steps[-1]
            fault = str(last.message or last.status) if isinstance(last, Status) else "refused"
            return self._reject(fault, script.steps)
        run = self._parsed_request.new_run(keep_alive=True)
        if isinstance(script, Replayed):
            return replay_plan(script, run, asks_for_websocket=True)
        if script.is_long:
            return repeated_plan(self.exchange, script, run)
        if script.keeps_waiting and script is not self._shaken_by:
            return stream_plan(script, run, is_late=True)
        return shared_plan(script, run)

    def _reject(self, fault: str, steps: tuple[Step, ...] = ()) -> Plan:
        return frames_plan(self._parsed_request.dialect.reject_message(fault), steps)


def _no_script(script: Script | Result) -> AnyPlan:
    raise NotImplementedError  # a verdict is no script


def _checked(reply: object, dialect: Dialect, hook: str) -> MessageReply:
    if not isinstance(reply, MessageReply):
        wanted = "RunMessage or MessageReply" if hook == "parse_message" else "MessageReply"
        given = f"{type(dialect).__name__}.{hook}() returned a {type(reply).__name__}"
        raise TypeError(f"{given}: return a {wanted}")
    return reply
