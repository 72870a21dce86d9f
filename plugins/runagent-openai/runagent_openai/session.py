"""What both endpoints have in common: refusals, a stream of events, and one whole answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import AgentError, RunAgentError, RunResult, StreamError, ToolCall
from runagent.transports import (
    ByteLimit,
    Event,
    EventStreamSession,
    HttpSession,
    InvokeSession,
    SurrogateJoiner,
)
from runagent_openai.calls import events_of, is_whole
from runagent_openai.faults import complete_refusal, find_error, plain_error, stream_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runagent.transports import AgentCall, Route

__all__ = ["EventStream", "PlainAnswer"]

_METADATA = ("id", "model", "created", "created_at", "service_tier", "status", "system_fingerprint")
# Why an answer stops before the model has sent all: a limit on tokens, or a filter.
_CUT = frozenset({"content_filter", "length", "max_output_tokens"})


class _Session(HttpSession):
    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make the error that an answer means whose status is not 2xx."""
        return complete_refusal(super().make_refusal(status, body), self.headers, body)


class EventStream(_Session, EventStreamSession):
    """A streamed run: text as it comes, everything else once it is whole."""

    _calls_made = 0

    def __init__(self, call: AgentCall, route: Route) -> None:
        super().__init__(call, route, None)
        self._refusal: list[str] = []
        self._refusal_limit = ByteLimit(call.limits.max_event_bytes, "a refusal")

    def is_error(self, message: dict[str, Any]) -> bool:
        """Whether an object in the stream reports an error, also in the forms of other servers."""
        return find_error(message) is not None

    def make_error(self, message: dict[str, Any]) -> RunAgentError:
        """Make the error that it reports."""
        return stream_error(message)

    # What an event may mean

    def add_refusal(self, text: str) -> None:
        """Keep a piece of what the model sends in refusing, until all of it is there.

        Raises:
            StreamLimitError: It is longer than an event may be.
        """
        self._refusal.append(text)
        self._refusal_limit.add(len(text))

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

    def end(
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
        if self._refusal:
            self.flush_text(events)
            raise StreamError(**_refused(SurrogateJoiner.join_all(self._refusal), usage))
        self.complete(events, stop_reason=reason, proven=proven, metadata=_metadata(about, reason))


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
