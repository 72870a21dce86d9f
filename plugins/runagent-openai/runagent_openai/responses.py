"""Responses: ``POST /v1/responses``.

A stream is events whose ``type`` shows what they are. Text and refusals are read in pieces, every other item
of the output when it is done. ``response.completed`` and ``response.incomplete`` are the only good ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runagent import ProtocolError, RunResult
from runagent.transports import ByteLimit, Event, JSONReader, quote
from runagent_openai.decoding import objects_in
from runagent_openai.faults import decode, is_error, plain_error, stream_error
from runagent_openai.requests import post, responses_body
from runagent_openai.session import EventStream, PlainAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.transports import AgentCall, HttpRequest, Route, ServerSentEvent

__all__ = ["ResponsesPlain", "ResponsesStream"]

_PATH = "/v1/responses"

# Sent again, and whole, by an event that is read.
_SAID_AGAIN = frozenset(
    {
        "response.content_part.added",
        "response.content_part.done",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.added",
        "response.output_text.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.done",
        "response.reasoning_text.done",
        "response.refusal.done",
    }
)


class _Response(msgspec.Struct):
    id: Any = None
    model: Any = None
    created_at: Any = None
    service_tier: Any = None
    status: Any = None
    error: Any = None
    incomplete_details: Any = None
    output: list[dict[str, Any]] | None = None
    usage: Any = None

    @property
    def reason(self) -> str | None:
        """Why the model stopped: "completed", or why the response is incomplete."""
        details = self.incomplete_details
        reason = details.get("reason") if isinstance(details, dict) else None
        return next((word for word in (reason, self.status) if isinstance(word, str)), None)

    @property
    def tokens(self) -> dict[str, Any] | None:
        """The token counts, if they are an object."""
        return self.usage if isinstance(self.usage, dict) else None


class _Event(msgspec.Struct):
    type: str = ""
    item_id: Any = None
    object: Any = None
    delta: Any = None
    item: Any = None
    response: _Response | None = None
    error: Any = None


_events = JSONReader(_Event, "an event of the response")
_responses = JSONReader(_Response, "the response")


class ResponsesStream(EventStream):
    """One streamed response; only its own last event ends a run."""

    end_marker = "response.completed"

    def __init__(self, call: AgentCall, route: Route) -> None:
        super().__init__(call, route)
        self._speaking = False  # the message at hand comes in pieces
        self._thinking = False  # the reasoning at hand comes in pieces
        self._thought = False  # reasoning has been handed out
        self._silent = True  # nothing has been handed out
        self._unfinished: list[dict[str, Any]] = []
        self._limit = ByteLimit(call.limits.max_event_bytes, "unfinished items")

    def make_request(self) -> HttpRequest:
        """Ask for the stream."""
        return post(self.call, _PATH, responses_body(self.call))

    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        """See `EventStream.take`."""
        if event.data.strip() == "[DONE]":
            return  # the other endpoint's marker, which gateways send here too; it proves nothing
        read = _events.read(event.data)
        if is_error(read.error) or "error" in (read.type, read.object):
            raise stream_error(event.data)
        handler = _HANDLERS.get(read.type)
        if handler is not None:
            handler(self, read, events)
        elif read.type not in _SAID_AGAIN:
            self._take_other(read.type, event.data, events)

    def _take_other(self, kind: str, data: str, events: list[Event]) -> None:
        """Hand out an event about the response, and leave out any other."""
        if kind.startswith("response."):
            self.add_custom(kind, decode(data), events)
        else:
            self.leave_out(f"event {kind[:60]!r}", data)

    def _on_reasoning(self, read: _Event, events: list[Event]) -> None:
        if isinstance(read.delta, str):
            self._thinking = self._thought = True
            self.add_reasoning(read.delta, events, id=read.item_id)

    def _on_begin(self, read: _Event, events: list[Event]) -> None:
        self.begin(events, invocation_id=read.response.id if read.response else None)

    def _on_text(self, read: _Event, events: list[Event]) -> None:
        if isinstance(read.delta, str):
            self._speaking, self._silent = True, False
            self.add_text(read.delta, events)

    def _on_refusal(self, read: _Event, events: list[Event]) -> None:
        if isinstance(read.delta, str):
            self._speaking, self._silent = True, False
            self.add_refusal(read.delta)

    def _on_item(self, read: _Event, events: list[Event]) -> None:
        if isinstance(read.item, dict):
            self._take_item(read.item, events)

    def _take_item(self, item: dict[str, Any], events: list[Event]) -> None:
        kind = item.get("type")
        if kind == "message":
            # Its parts have been read already, unless the server does not really stream.
            texts, refusals = ([], []) if self._speaking else _contents_of(item)
            self._speaking = False
            for text in texts:
                self.add_text(text, events)
            for refusal in refusals:
                self.add_refusal(refusal)
        elif kind == "reasoning":
            for text in [] if self._thinking else _reasoning_in(item):
                self.add_reasoning(text, events, id=item.get("id"))
            self._thinking, self._thought = False, True
            self.add_custom(kind, item, events)  # as the next request may have to send it
            return
        elif item.get("status") == "incomplete":
            self._keep(item)
        else:
            self.add_calls([item], None, events)
        self._silent = False

    def _keep(self, item: dict[str, Any]) -> None:
        """Keep an item that the model has not finished, until the reason is there.

        Raises:
            StreamLimitError: All of them are larger than an event may be.
        """
        self._unfinished.append(item)
        self._limit.add(len(repr(item)))

    def _on_end(self, read: _Event, events: list[Event]) -> None:
        response = read.response or _Response()
        if self._silent:
            for item in response.output or ():
                if not (self._thought and item.get("type") == "reasoning"):
                    self._take_item(item, events)
        self.add_calls(self._unfinished, response.reason, events)
        about = msgspec.structs.asdict(response)
        self.end(events, about, reason=response.reason, usage=response.tokens)

    def _on_failure(self, read: _Event, events: list[Event]) -> None:
        raise stream_error(read.response.error if read.response else None)


_HANDLERS: dict[str, Callable[[ResponsesStream, _Event, list[Event]], None]] = {
    "response.created": ResponsesStream._on_begin,
    "response.queued": ResponsesStream._on_begin,
    "response.in_progress": ResponsesStream._on_begin,
    "response.output_text.delta": ResponsesStream._on_text,
    "response.refusal.delta": ResponsesStream._on_refusal,
    "response.reasoning_text.delta": ResponsesStream._on_reasoning,
    "response.reasoning_summary_text.delta": ResponsesStream._on_reasoning,
    "response.output_item.done": ResponsesStream._on_item,
    "response.completed": ResponsesStream._on_end,
    "response.incomplete": ResponsesStream._on_end,
    "response.failed": ResponsesStream._on_failure,
}


class ResponsesPlain(PlainAnswer):
    """One response that is not streamed."""

    def make_request(self) -> HttpRequest:
        """Ask for the whole answer."""
        return post(self.call, _PATH, responses_body(self.call))

    def read_result(self, body: bytes) -> RunResult:
        """Give the text, or all items of the output if there are others than messages."""
        response = _responses.read(body)
        if response.output is None:
            raise ProtocolError(f"the response has no output: {quote(body)}")
        if response.status not in ("completed", "incomplete", None):
            raise plain_error(
                {"message": f"the response is {response.status}", "code": response.status}, self.status
            )
        items = [item for item in response.output if item.get("type") != "reasoning"]
        contents = [_contents_of(item) for item in items if item.get("type") == "message"]
        text = "".join(text for texts, _ in contents for text in texts)
        return self.result(
            text if len(contents) == len(items) else response.output,
            items,
            [refusal for _, refusals in contents for refusal in refusals],
            msgspec.structs.asdict(response),
            reason=response.reason,
            usage=response.tokens,
        )


def _contents_of(message: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the texts and the refusals of a message."""
    parts = objects_in(message.get("content"))
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return texts, [part["refusal"] for part in parts if isinstance(part.get("refusal"), str)]


def _reasoning_in(item: dict[str, Any]) -> list[str]:
    """Return the texts of a reasoning item: the reasoning itself, or else its summary."""
    parts = objects_in(item.get("content")) or objects_in(item.get("summary"))
    return [part["text"] for part in parts if isinstance(part.get("text"), str)]
