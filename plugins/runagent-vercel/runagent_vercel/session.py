"""One run: what each chunk of the UI message stream means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from runagent import ProtocolError, RunAgentError, StreamError, StreamTruncatedError, ToolCall
from runagent.transports import (
    ByteLimit,
    EventStreamSession,
    JSONReader,
    ToolCallParts,
    decode_json,
    encode_json,
    post_json,
    quote,
)
from runagent_vercel.messages import chat_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.transports import AgentCall, Event, HttpRequest, Route, ServerSentEvent

__all__ = ["VercelSession"]

_DONE = "[DONE]"
_NO_MESSAGE = "the agent reported an error without a message"
_NO_REASON = "the agent ended with an error that it does not describe"
# What they mean is clear from the pieces between them, unless a provider has added something.
_SILENT = frozenset(
    {"text-start", "text-end", "reasoning-start", "reasoning-end", "start-step", "finish-step"}
)
_USUAL = frozenset({"type", "toolCallId", "toolName", "input", "dynamic"})
_APPROVAL_BYTES = 64  # an approval takes room, also if its ids are short


class _Chunk(msgspec.Struct, rename="camel"):
    """The fields that decide what a chunk means."""

    type: str
    id: Any = None
    delta: Any = None
    tool_call_id: Any = None
    tool_name: Any = None
    input_text_delta: Any = None
    input_encoding: Any = None
    input: Any = None
    approval_id: Any = None
    data: Any = None
    message_id: Any = None
    message_metadata: Any = None
    finish_reason: Any = None
    error_text: Any = None
    reason: Any = None
    provider_metadata: Any = None


_read = JSONReader(_Chunk, "a chunk of the UI message stream").read


class VercelSession(EventStreamSession):
    """One streamed run."""

    end_marker = _DONE

    def __init__(self, call: AgentCall, route: Route) -> None:
        super().__init__(call, route)
        limit = call.limits.max_event_bytes
        self.calls = ToolCallParts(limit)
        self.encoded: set[str] = set()  # open calls whose input does not come as JSON
        self.kept = ByteLimit(limit, "requests for approval")
        self.interrupts: list[dict[str, Any]] = []
        self.finished: _Chunk | None = None

    def make_request(self) -> HttpRequest:
        """Ask for the run."""
        body = chat_request(self.call)
        self.chat_id = body["id"]
        path = self.call.path(self.call.options.get("vercel_path", ""), "stream_path", exact=True)
        return post_json(self.call, path, body, accept=self.expects)

    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        """See `EventStreamSession.take`."""
        if event.data == _DONE:
            self.end_run(events)
            return
        found = _read(event.data)
        self.begin(events, session_id=self.chat_id, invocation_id=found.message_id)
        if (known := self.known.get(found.type)) is not None:
            known(self, found, event.data, events)
        elif found.type.startswith("data-"):
            value = found.data if found.id is None else {"id": found.id, "data": found.data}
            self.add_custom(found.type, value, events)
        elif found.type not in _SILENT or found.provider_metadata is not None:
            self.add_custom(found.type, _fields(event.data), events)

    def end_run(self, events: list[Event]) -> None:
        """Take the end marker, which only counts after ``finish``."""
        finish = self.finished
        if finish is None:
            raise StreamTruncatedError(f"{_DONE} came without finish")
        if finish.finish_reason == "error":
            raise StreamError(_NO_REASON, code="error")
        metadata = finish.message_metadata if isinstance(finish.message_metadata, dict) else None
        reason = finish.finish_reason if isinstance(finish.finish_reason, str) else None
        self.complete(events, stop_reason=reason, interrupts=self.interrupts, metadata=metadata)

    def take_metadata(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Hand out metadata of the message that come before its end."""
        if found.message_metadata is not None:
            self.add_custom("message-metadata", found.message_metadata, events)

    def take_finish(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Keep how the message ends; only the end marker ends the run."""
        self.finished = found

    def fail_run(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Take an error."""
        raise _error(found.error_text)

    def take_abort(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Take the end of a run that the service has stopped."""
        reason = found.reason if isinstance(found.reason, str) and found.reason else "the run was cancelled"
        raise StreamError(reason, code="CANCELLED")

    def take_text(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Take a piece of the text."""
        if not isinstance(found.delta, str):
            raise ProtocolError(f"a text is not text: {quote(data)}")
        self.add_text(found.delta, events)

    def take_thought(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Take a piece of reasoning."""
        if not isinstance(found.delta, str):
            raise ProtocolError(f"a piece of reasoning is not text: {quote(data)}")
        self.add_reasoning(found.delta, events, id=found.id)

    # Tool calls

    def begin_call(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Begin a tool call, whose input may come in pieces."""
        id_ = _call_id(found, data)
        self.calls.begin(id_, found.tool_name, id=id_)
        if found.input_encoding not in (None, "json"):
            self.encoded.add(id_)

    def add_input(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Take a piece of a tool call's input."""
        self.calls.add(_call_id(found, data), found.input_text_delta)

    def end_call(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Hand out a tool call: as the model wrote it, if its input came in pieces."""
        id_ = _call_id(found, data)
        if id_ not in self.calls:
            self.calls.begin(id_, found.tool_name, id=id_)
        call = self.calls.end(id_)
        arguments = call.arguments
        if id_ in self.encoded or not arguments:
            arguments = encode_json(found.input).decode()
        self.encoded.discard(id_)
        events.append(ToolCall(call.id, call.name, arguments, call.index))
        fields = _fields(data)
        if not fields.keys() <= _USUAL:  # such as what the next request has to repeat
            self.add_custom("tool_call", fields, events)

    def end_invalid_call(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Take a tool call whose input the service rejects: nobody may make it."""
        id_ = _call_id(found, data)
        if id_ in self.calls:
            self.calls.end(id_)
        self.encoded.discard(id_)
        self.add_custom(found.type, _fields(data), events)

    def take_result(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Take the result of a tool that the service has called."""
        self.add_custom("tool_result", _fields(data), events)

    def take_approval(self, found: _Chunk, data: str, events: list[Event]) -> None:
        """Keep a request for approval, which the run ends with."""
        call_id, approval_id = _call_id(found, data), found.approval_id
        if not isinstance(approval_id, str):
            raise ProtocolError(f"a request for approval has no id: {quote(data)}")
        self.kept.add(len(data) + _APPROVAL_BYTES)
        id_ = call_id if approval_id == call_id else f"{call_id}/{approval_id}"
        self.interrupts.append({"id": id_, **_fields(data)})

    known: ClassVar[dict[str, Callable[[VercelSession, _Chunk, str, list[Event]], None]]] = {
        "text-delta": take_text,
        "reasoning-delta": take_thought,
        "tool-input-start": begin_call,
        "tool-input-delta": add_input,
        "tool-input-available": end_call,
        "tool-input-error": end_invalid_call,
        "tool-output-available": take_result,
        "tool-approval-request": take_approval,
        "start": take_metadata,
        "message-metadata": take_metadata,
        "finish": take_finish,
        "abort": take_abort,
        "error": fail_run,
    }

    # Errors

    def make_error(self, message: dict[str, Any]) -> RunAgentError:
        """See `EventStreamSession.make_error`."""
        if message.get("type") == "error" and "errorText" in message:
            return _error(message["errorText"])
        return super().make_error(message)


def _error(text: Any) -> StreamError:
    return StreamError(text if isinstance(text, str) and text else _NO_MESSAGE)


def _call_id(found: _Chunk, data: str) -> str:
    if not isinstance(found.tool_call_id, str):
        raise ProtocolError(f"a tool call has no id: {quote(data)}")
    return found.tool_call_id


def _fields(data: str) -> dict[str, Any]:
    """Return all fields of a chunk but its type."""
    fields: dict[str, Any] = decode_json(data)
    del fields["type"]
    return fields
