"""What both endpoints have in common: refusals, a stream of events, and one whole answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import (
    AgentError,
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    Reasoning,
    RunAgentError,
    RunResult,
    Started,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
    ToolCall,
)
from runagent.transports import (
    Event,
    HttpSession,
    InvokeSession,
    ServerSentEvent,
    SSEDecoder,
    SurrogateJoiner,
    Wants,
    quote,
)
from runagent_openai.calls import events_of, is_whole
from runagent_openai.decoding import joined, undecodable
from runagent_openai.faults import complete_refusal, decode, find_error, plain_error, stream_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runagent.transports import AgentCall, Route

__all__ = ["EventStream", "PlainAnswer"]

_METADATA = ("id", "model", "created", "created_at", "service_tier", "status", "system_fingerprint")
_QUOTED = 1000
# Why an answer stops before the model has sent all: a limit on tokens, or a filter.
_CUT = frozenset({"content_filter", "length", "max_output_tokens"})


class _Session(HttpSession):
    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make the error that an answer means whose status is not 2xx."""
        return complete_refusal(super().make_refusal(status, body), self.headers, body)


class EventStream(_Session):
    """A streamed run: text as it comes, everything else once it is whole."""

    expects = "text/event-stream"
    # Not made in __init__: Python is slower to read attributes of an object that has more than 30 of them.
    _thoughts: SurrogateJoiner | None = None
    _calls_made = 0

    def __init__(self, call: AgentCall, route: Route) -> None:
        super().__init__(call, route, None)
        self._begun = False
        self._left_out = ""
        self._decoder = SSEDecoder(max_event_bytes=call.limits.max_event_bytes)
        self._surrogates = SurrogateJoiner()
        self._refusal: list[str] = []
        self._refusal_room = call.limits.max_event_bytes

    def open_body(self, content_type: str, charset: str) -> bool:
        """Take an event stream, which is UTF-8 whatever its charset parameter is."""
        return content_type == "text/event-stream"

    def read_body(self, data: bytes) -> list[Event]:
        """Take the events that the bytes complete, up to the one that ends the run."""
        events: list[Event] = []
        for event in self._decoder.feed(data):
            try:
                if event.event == "error":
                    raise stream_error(event.data)
                self.take(event, events)
            except RunAgentError as exc:
                self.fail(exc)
            if self.wants is not Wants.READ:
                return events
        if self._decoder.error is not None:
            self.fail(self._decoder.error)
        return events

    def fail(self, error: RunAgentError) -> None:
        """End the session with an error; if the stream broke off, the server's own message goes first."""
        if isinstance(error, StreamTruncatedError) and self.wants is Wants.READ:
            for event in self._decoder.flush():
                found = decode(event.data)
                if isinstance(found, dict) and (event.event == "error" or find_error(found)):
                    error = stream_error(event.data)
            self._take_stray()
        super().fail(error)

    def _take_stray(self) -> None:
        """Take lines that are no fields: some gateways write their error so, in one line or over several."""
        text = bytes(self._decoder.stray).strip()
        for line in [text] if find_error(decode(text)) else text.splitlines():
            text_of_line = line.decode("utf-8", "replace")
            if find_error(decode(line)):
                super().fail(stream_error(text_of_line))
            elif fault := undecodable(line):
                super().fail(ProtocolError(f"a line of the stream that is no field is {fault}"))
            else:
                self.leave_out("a line that is no field", text_of_line)

    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        """Add to ``events`` what an event means; call `complete` at the one that ends the run.

        Raises:
            RunAgentError: It is an error, or not what it should be; the events before it stay.
        """
        raise NotImplementedError

    # What an event may mean

    def begin(self, run_id: Any, events: list[Event]) -> None:
        """Report, once, that the model has begun."""
        if not self._begun:
            self._begun = True
            events.append(Started(invocation_id=run_id if isinstance(run_id, str) else None))

    def add_text(self, text: str, events: list[Event]) -> None:
        """Hand out a piece of the answer's text."""
        if whole := self._surrogates.join(text):
            events.append(Chunk(whole))

    def add_reasoning(self, text: str, id_: Any, events: list[Event]) -> None:
        """Hand out a piece of what the model thinks."""
        if self._thoughts is None:
            self._thoughts = SurrogateJoiner()
        if whole := self._thoughts.join(text):
            events.append(Reasoning(whole, id_ if isinstance(id_, str) else None))

    def add_custom(self, name: str, value: Any, events: list[Event]) -> None:
        """Hand out something else, as the protocol names it."""
        events.append(Custom(name, value))

    def add_refusal(self, text: str) -> None:
        """Keep a piece of what the model sends in refusing, until all of it is there.

        Raises:
            StreamLimitError: It is longer than an event may be.
        """
        self._refusal.append(text)
        self._refusal_room -= len(text)
        if self._refusal_room < 0:
            limit = self.call.limits.max_event_bytes
            raise StreamLimitError(
                f"the model's refusal is longer than {limit} characters",
                hint="raise max_event_bytes to accept it",
                limit_name="max_event_bytes",
                limit=limit,
            )

    def add_calls(self, calls: Iterable[dict[str, Any]], reason: str | None, events: list[Event]) -> None:
        """Hand out tool calls, each once and whole.

        Raises:
            StreamError: The answer was cut inside a call.
        """
        for call in calls:
            if _is_cut(call, reason):
                raise StreamError(**_cut_call(call, reason))
            made = events_of(call, self._calls_made)
            self._calls_made += isinstance(made[0], ToolCall)
            events += made

    def complete(
        self,
        events: list[Event],
        about: Mapping[str, Any],
        *,
        reason: str | None,
        usage: dict[str, Any] | None,
        proven: bool = True,
    ) -> None:
        """End the run.

        Args:
            events: Where the last ones go.
            about: The answer, without what it answers.
            reason: Why the model stopped.
            usage: Token counts.
            proven: False if the end looks like a cut.

        Raises:
            StreamError: The model refused.
        """
        self.usage = usage
        if self._thoughts is not None and (half := self._thoughts.flush()):
            events.append(Reasoning(half))
        if half := self._surrogates.flush():
            events.append(Chunk(half))
        if self._refusal:
            raise StreamError(**_refused(joined(self._refusal), usage))
        events.append(
            Completed(usage=usage, stop_reason=reason, proven=proven, metadata=_metadata(about, reason))
        )
        self.finish()

    def leave_out(self, kind: str, text: str) -> None:
        """Count what is left out, and keep its text: it may be the only message about a failure."""
        self.ignore(kind)
        self._left_out = text[:_QUOTED]

    @property
    def last_ignored(self) -> str:
        """The last event that was left out, quoted; "" if there is none."""
        return quote(self._left_out) if self._left_out else ""


class PlainAnswer(_Session, InvokeSession):
    """A plain run: one JSON object."""

    def __init__(self, call: AgentCall, route: Route) -> None:
        super().__init__(call, route, None)

    def read_answer(self, answer: dict[str, Any], body: bytes) -> RunResult:
        """Find the result in the answer.

        Raises:
            AgentError: It is an error, or a refusal, or cut inside a tool call.
            ProtocolError: It is no answer of this endpoint.
        """
        error = find_error(answer)
        if error is not None:
            raise plain_error(error, self.status)
        return self.read_result(body)

    def read_result(self, body: bytes) -> RunResult:
        """Find the result in an answer that is no error."""
        raise NotImplementedError

    def result(
        self,
        answer: Any,
        calls: Iterable[dict[str, Any]],
        refusals: Iterable[str],
        about: Mapping[str, Any],
        *,
        reason: str | None,
        usage: dict[str, Any] | None,
    ) -> RunResult:
        """Make the result.

        Raises:
            AgentError: The model refused, or was cut inside a tool call.
        """
        self.usage = usage
        for call in calls:
            if _is_cut(call, reason):
                raise AgentError(**_cut_call(call, reason), status=self.status)
        if refusal := "".join(refusals):
            raise AgentError(**_refused(refusal, usage), status=self.status)
        return RunResult(answer, usage=usage, request_id=self.request_id, metadata=_metadata(about, reason))


def _metadata(about: Mapping[str, Any], reason: str | None) -> dict[str, Any]:
    """Pick what a report shows in addition to the answer; "finish_reason" is there for both endpoints."""
    found = {name: about[name] for name in _METADATA if about.get(name) is not None}
    return found if reason is None else {"finish_reason": reason} | found


def _refused(refusal: str, usage: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "message": f"the model refused: {refusal}",
        "code": "refusal",
        "details": {"refusal": refusal, "usage": usage},
    }


def _is_cut(call: dict[str, Any], reason: str | None) -> bool:
    return reason in _CUT and not is_whole(call)


def _cut_call(call: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {
        "message": f"the answer was cut inside a tool call ({reason}); do not run it, allow more tokens",
        "code": reason,
        "details": {"tool_call": call},
    }
