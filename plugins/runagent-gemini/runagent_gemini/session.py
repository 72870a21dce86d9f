"""A stream: ``streamGenerateContent?alt=sse``.

Each event is a piece of the answer. The last one has a ``finishReason``, and without that the stream was cut:
nothing else marks its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import RunAgentError, StreamError, StreamTruncatedError, Tokens
from runagent.transports import EventStreamSession
from runagent_gemini.content import Answer, argument_texts, call_events, metadata_of, read_answer, read_tokens
from runagent_gemini.faults import check_end, complete_error
from runagent_gemini.requests import content_request

if TYPE_CHECKING:
    from runagent.transports import AgentCall, Event, HttpRequest, Route, ServerSentEvent
    from runagent_gemini.content import Candidate

__all__ = ["ContentStream"]

_ONLY_TEXT = {"text"}


class ContentStream(EventStreamSession):
    """One streamed answer."""

    end_marker = "a finishReason"

    def __init__(self, call: AgentCall, route: Route) -> None:
        super().__init__(call, route, None)
        self._about = Answer()
        self._reason: str | None = None
        self._finish_message: Any = None
        self._calls = 0
        self._texts_of_calls: list[str] = []

    def make_request(self) -> HttpRequest:
        """Ask for the stream."""
        return content_request(self.call)

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make the error that an answer means whose status is not 2xx."""
        return complete_error(super().make_refusal(status, body))

    def make_error(self, message: dict[str, Any]) -> RunAgentError:
        """Make the error that an event reports."""
        return complete_error(super().make_error(message))

    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        """See `EventStreamSession.take`."""
        answer = read_answer(event.data)
        if isinstance(answer.error, dict):
            raise self.make_error({"error": answer.error})
        self.begin(events, invocation_id=answer.response_id)
        self.usage = answer.usage_metadata if isinstance(answer.usage_metadata, dict) else self.usage
        self._about = answer if answer.candidates else self._about
        if len(answer.candidates or ()) > 1:
            self.ignore("a second candidate")
        if (first := answer.first) is not None:
            self._texts_of_calls = argument_texts(event.data) if '"functionCall"' in event.data else []
            self._read_candidate(first, events)
        check_end(
            StreamError,
            blocked=answer.prompt_feedback,
            reason=self._reason,
            message=self._finish_message,
            usage=self.usage,
        )
        if self._reason is not None and isinstance(answer.usage_metadata, dict):
            self._complete(events)

    def _read_candidate(self, candidate: Candidate, events: list[Event]) -> None:
        if self._reason is not None:  # the model has stopped
            if candidate.parts:
                self.leave_out("a part behind the finishReason", str(candidate.parts))
            return
        for part in candidate.parts:
            self._read_part(part if isinstance(part, dict) else {}, events)
        for name, value in candidate.additional():
            self.add_custom(name, value, events)
        self._reason, self._finish_message = candidate.reason, candidate.finish_message

    def _read_part(self, part: dict[str, Any], events: list[Event]) -> None:
        if part.keys() == _ONLY_TEXT and type(part["text"]) is str:  # as most are
            self.add_text(part["text"], events)
            return
        match part:
            case {"functionCall": _}:
                text = self._texts_of_calls.pop(0) if self._texts_of_calls else None
                events += call_events(part, self._calls, text)
                self._calls += 1
            case {"text": str(text), "thought": True}:
                self.add_reasoning(text, events)
            case {"text": str(text)}:
                self.add_text(text, events)
            case _:
                for name, value in part.items():
                    self.add_custom(name, value, events)
                return
        if (
            "thoughtSignature" in part and "functionCall" not in part
        ):  # the next request may have to repeat it
            self.add_custom("thoughtSignature", part["thoughtSignature"], events)

    def end_body(self, proven: bool) -> list[Event]:
        """End well if the model has stopped; then only the token counts are missing."""
        if self._reason is None or self.decoder.incomplete:
            raise StreamTruncatedError("the stream ended without a finishReason")
        events: list[Event] = []
        self._complete(events)
        return events

    def _complete(self, events: list[Event]) -> None:
        metadata = metadata_of(self._about, self._reason)
        self.complete(events, stop_reason=self._reason, metadata=metadata)

    @property
    def tokens(self) -> Tokens | None:
        """The token counts under their names in this API."""
        return read_tokens(self.usage)
