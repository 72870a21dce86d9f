"""A streamed message: named events with content blocks, each of which begins, grows and ends.

What is text comes as it is written; thinking too, and once more as a whole block if it is signed, because the
next request has to repeat it. Every other block is handed out once it is whole. ``message_stop`` is the only
good end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runagent import ProtocolError, RunAgentError, StreamError, ToolCall
from runagent.transports import (
    Event,
    EventStreamSession,
    JSONReader,
    ToolCallParts,
    decode_json,
    quote,
    write_json,
)
from runagent_anthropic.blocks import Blocks, is_json, is_text
from runagent_anthropic.faults import check_end, complete_refusal, mark_overloaded
from runagent_anthropic.requests import messages_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.transports import AgentCall, HttpRequest, Route, ServerSentEvent

__all__ = ["MessageStream", "metadata_of"]

_METADATA = ("id", "model", "stop_reason", "stop_sequence", "stop_details", "container")
_CALL = "tool_use"


class _Delta(msgspec.Struct):
    """What is new, in a block or, of a ``message_delta``, in the message."""

    type: Any = None
    text: Any = None
    thinking: Any = None
    signature: Any = None
    partial_json: Any = None
    citation: Any = None
    stop_reason: Any = None
    stop_sequence: Any = None
    stop_details: Any = None
    container: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int | None = None
    message: dict[str, Any] | None = None
    content_block: dict[str, Any] | None = None
    delta: _Delta | None = None
    usage: Any = None


_events = JSONReader(_Event, "an event of the message")


class MessageStream(EventStreamSession):
    """One streamed message."""

    end_marker = "message_stop"

    def __init__(self, call: AgentCall, route: Route) -> None:
        super().__init__(call, route)
        self.calls = ToolCallParts(call.limits.max_event_bytes)
        self.blocks = Blocks(call.limits.max_event_bytes)
        self.inputs: dict[Any, dict[str, Any]] = {}  # of calls, as their blocks began
        self.cut_calls: list[ToolCall] = []
        self.about: dict[str, Any] = {}

    def make_request(self) -> HttpRequest:
        """Ask for the stream."""
        return messages_request(self.call)

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make the error that an answer means whose status is not 2xx."""
        return complete_refusal(super().make_refusal(status, body), status, self.headers)

    def make_error(self, message: dict[str, Any]) -> RunAgentError:
        """Make the error that an event reports."""
        return mark_overloaded(super().make_error(message))

    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        """See `EventStreamSession.take`; the type in the data counts, as some servers name no events."""
        read = _events.read(event.data)
        if read.type == "content_block_delta" and read.delta is not None:
            self._take_delta(read.index, read.delta, event.data, events)
        elif read.type == "error":
            raise self.make_error(decode_json(event.data))
        elif handler := _HANDLERS.get(read.type):
            handler(self, read, events)
        else:
            self.leave_out(f"event {read.type[:60]!r}", event.data)

    def _take_delta(self, index: Any, delta: _Delta, data: str, events: list[Event]) -> None:
        if isinstance(delta.text, str):
            self.add_text(delta.text, events)
        elif isinstance(delta.partial_json, str):
            self._add_json(index, delta.partial_json)
        elif isinstance(delta.thinking, str):
            self.add_reasoning(delta.thinking, events)
            self.blocks.add(index, "thinking", delta.thinking)
        elif isinstance(delta.signature, str):
            self.blocks.add(index, "signature", delta.signature)
        elif delta.citation is not None:
            self.add_custom("citations_delta", delta.citation, events)
        else:
            self.leave_out(f"delta {str(delta.type)[:60]!r}", data)

    def _add_json(self, index: Any, piece: str) -> None:
        if index in self.calls:
            self.calls.add(index, piece)
        elif index in self.blocks:
            self.blocks.add(index, "input", piece)
        else:
            raise ProtocolError(f"a piece of block {quote(str(index))}, which has not begun")

    def _on_start(self, read: _Event, events: list[Event]) -> None:
        self.about = read.message or {}
        self._take_usage(self.about.get("usage"))
        self.begin(events, invocation_id=self.about.get("id"))

    def _on_block(self, read: _Event, events: list[Event]) -> None:
        block = read.content_block or {}
        kind = block.get("type")
        if kind == _CALL:
            self.calls.begin(read.index, block.get("name"), id=block.get("id"))
            given = block.get("input")
            self.inputs[read.index] = given if isinstance(given, dict) else {}
        elif kind == "text":
            self._add(block.get("text"), self.add_text, events)
        else:
            self._add(block.get("thinking"), self.add_reasoning, events)
            self.blocks.begin(read.index, block)

    def _add(self, text: Any, add: Callable[[str, list[Event]], None], events: list[Event]) -> None:
        """Hand out the text with which a block began; as a rule it is empty."""
        if isinstance(text, str) and text:
            add(text, events)

    def _on_block_end(self, read: _Event, events: list[Event]) -> None:
        if read.index in self.calls:
            self._end_call(read.index, events)
        elif read.index in self.blocks:
            self._end_block(read.index, events)

    def _end_call(self, index: Any, events: list[Event]) -> None:
        """Hand out a call; one that may have been cut is kept until the message shows why it stopped."""
        call, given = self.calls.end(index), self.inputs.pop(index)
        if not call.arguments:  # a call without arguments, or of a server that does not stream them
            call = ToolCall(call.id, call.name, write_json(given), call.index)
        if is_json(call.arguments):
            events.append(call)
        else:
            self.cut_calls.append(call)

    def _end_block(self, index: Any, events: list[Event]) -> None:
        block = self.blocks.end(index)
        if block.get("type") != "thinking" or block.get("signature"):
            kind = block.get("type")
            self.add_custom(kind if is_text(kind) else "content_block", block, events)

    def _on_message(self, read: _Event, events: list[Event]) -> None:
        self._take_usage(read.usage)
        if read.delta is not None:
            fields = msgspec.structs.asdict(read.delta)
            self.about |= {name: fields[name] for name in _METADATA if fields.get(name) is not None}

    def _on_end(self, read: _Event, events: list[Event]) -> None:
        for index in list(self.inputs):
            self._end_call(index, events)
        for index in self.blocks.open:
            self._end_block(index, events)
        self.flush_text(events)
        check_end(StreamError, self.about, self.usage, self.cut_calls)
        events += self.cut_calls
        reason = self.about.get("stop_reason")
        self.complete(
            events, stop_reason=reason if is_text(reason) else None, metadata=metadata_of(self.about)
        )

    def _on_ping(self, read: _Event, events: list[Event]) -> None:
        """Take a sign of life."""

    def _take_usage(self, usage: Any) -> None:
        """Take token counts; later ones count in place of earlier ones, and null is no count."""
        if isinstance(usage, dict):
            counts = {name: count for name, count in usage.items() if count is not None}
            self.usage = (self.usage or {}) | counts


_HANDLERS: dict[str, Callable[[MessageStream, _Event, list[Event]], None]] = {
    "ping": MessageStream._on_ping,
    "message_start": MessageStream._on_start,
    "content_block_start": MessageStream._on_block,
    "content_block_stop": MessageStream._on_block_end,
    "message_delta": MessageStream._on_message,
    "message_stop": MessageStream._on_end,
}


def metadata_of(about: dict[str, Any]) -> dict[str, Any]:
    """Pick what a report shows in addition to the answer."""
    return {name: about[name] for name in _METADATA if about.get(name) is not None}
