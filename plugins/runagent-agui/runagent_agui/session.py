"""One run: what each event of AG-UI means.

Only the text of the agent is a chunk. Messages of other roles and of subagents are events apart, because the
answer would be wrong with their text in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from runagent import ProtocolError, RunAgentError, StreamError, Tokens
from runagent.transports import EventStreamSession, post_json, quote
from runagent_agui.events import fields_of, read_event
from runagent_agui.request import run_agent_input
from runagent_agui.unfinished import OpenCalls, OtherMessages

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.transports import AgentCall, Event, HttpRequest, Route, ServerSentEvent
    from runagent_agui.events import AGUIEvent

__all__ = ["AGUISession"]

_NO_MESSAGE = "the agent reported an error without a message"
_COUNTS = {
    "input": "inputTokens",
    "output": "outputTokens",
    "total": "totalTokens",
    "cached": "cachedInputTokens",
    "reasoning": "reasoningTokens",
}
# The fields of the end that are not part of `Completed.metadata`.
_PLACED = frozenset({"threadId", "runId", "usage", "outcome"})
# What they mean is clear from the pieces between them.
_SILENT = frozenset(
    {
        *("REASONING_START", "REASONING_MESSAGE_START", "REASONING_MESSAGE_END", "REASONING_END"),
        *("THINKING_START", "THINKING_TEXT_MESSAGE_START", "THINKING_TEXT_MESSAGE_END", "THINKING_END"),
    }
)


class AGUISession(EventStreamSession):
    """One streamed run."""

    end_marker = "RUN_FINISHED"

    def __init__(self, call: AgentCall, route: Route) -> None:
        super().__init__(call, route)
        self.started = False
        self.calls = OpenCalls(call.limits.max_event_bytes)
        self.others = OtherMessages(call.limits.max_event_bytes)
        self.chunked_text: Any = None  # the id of the message that chunks without an id go on with
        self.chunked_thought: Any = None

    def make_request(self) -> HttpRequest:
        """Ask for the run."""
        path = self.call.path(self.call.options.get("agui_path", ""), "stream_path", exact=True)
        return post_json(self.call, path, run_agent_input(self.call), accept=self.expects)

    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        """See `EventStreamSession.take`."""
        found = read_event(event.data)
        kind = found.type
        if not self.started and kind not in ("RUN_STARTED", "RUN_ERROR"):
            raise ProtocolError(f"the stream begins with {quote(kind)}, and not with RUN_STARTED")
        if kind != "TOOL_CALL_CHUNK":
            events += self.calls.end_chunks(found)
        if (known := self.known.get(kind)) is not None:
            known(self, found, event.data, events)
        elif kind not in _SILENT:
            self.add_custom(kind, fields_of(event.data), events)

    # The run

    def start_run(self, found: AGUIEvent, data: str, events: list[Event]) -> None:
        """Take RUN_STARTED."""
        if self.started:
            raise ProtocolError("a second RUN_STARTED came before the end of the run")
        self.started = True
        self.begin(events, session_id=found.thread_id, invocation_id=found.run_id)

    def end_run(self, found: AGUIEvent, data: str, events: list[Event]) -> None:
        """Take RUN_FINISHED."""
        self.keep_usage(found)
        if len(self.calls):
            raise ProtocolError("the run finished in the middle of a tool call")
        outcome = found.outcome if isinstance(found.outcome, dict) else {}
        kind = outcome.get("type")
        if kind == "cancelled":
            raise StreamError("the run was cancelled", code="CANCELLED")
        interrupts = outcome.get("interrupts") if kind == "interrupt" else []
        if not isinstance(interrupts, list) or not all(isinstance(each, dict) for each in interrupts):
            raise ProtocolError(f"the interrupts are not a list of objects: {quote(data)}")
        metadata = {name: value for name, value in outcome.items() if name not in ("type", "interrupts")}
        metadata |= {name: value for name, value in fields_of(data).items() if name not in _PLACED}
        stop_reason = kind if isinstance(kind, str) else None
        self.complete(events, stop_reason=stop_reason, interrupts=interrupts, metadata=metadata or None)

    def fail_run(self, found: AGUIEvent, data: str, events: list[Event]) -> None:
        """Take RUN_ERROR."""
        self.keep_usage(found)
        raise _error(found.message, found.code)

    def keep_usage(self, found: AGUIEvent) -> None:
        """Keep the counts of a run with one model as they are, and those of several models apart."""
        given = found.usage if isinstance(found.usage, list) else []
        entries = [each for each in given if isinstance(each, dict)]
        if entries:
            self.usage = entries[0] if len(entries) == 1 else {"models": entries}

    @property
    def tokens(self) -> Tokens | None:
        """The counts of a run with one model; those of several models are never added up."""
        named = {meaning: (self.usage or {}).get(name) for meaning, name in _COUNTS.items()}
        counts = {meaning: count for meaning, count in named.items() if type(count) is int}
        return Tokens(**counts) if counts else None

    # Texts

    def take_text(self, found: AGUIEvent, data: str, events: list[Event]) -> None:
        """Take a piece of a message."""
        if found in self.others:
            self.add_custom(found.type, fields_of(data), events)
        elif isinstance(found.delta, str):
            self.add_text(found.delta, events)
        else:
            raise ProtocolError(f"a text is not text: {quote(data)}")

    def take_text_border(self, found: AGUIEvent, data: str, events: list[Event]) -> None:
        """Take the begin or end of a message."""
        self.others.begin(found)
        if found in self.others:
            self.add_custom(found.type, fields_of(data), events)
        if found.type == "TEXT_MESSAGE_END":
            self.others.end(found)

    def take_text_chunk(self, found: AGUIEvent, data: str, events: list[Event]) -> None:
        """Take a chunk of a message, the first of which is its begin as well."""
        self.others.begin(found)
        if found.subagent_run_id is None:
            self.chunked_text = found.message_id = found.message_id or self.chunked_text
        if found.delta is not None:
            self.take_text(found, data, events)

    def take_thought(self, found: AGUIEvent, data: str, events: list[Event]) -> None:
        """Take a piece of reasoning."""
        if not isinstance(found.delta, str):
            raise ProtocolError(f"a piece of reasoning is not text: {quote(data)}")
        self.add_reasoning(found.delta, events, id=found.message_id)

    def take_thought_chunk(self, found: AGUIEvent, data: str, events: list[Event]) -> None:
        """Take a chunk of reasoning."""
        self.chunked_thought = found.message_id = found.message_id or self.chunked_thought
        if found.delta is not None:
            self.take_thought(found, data, events)

    # Other events

    def take_call(self, found: AGUIEvent, data: str, events: list[Event]) -> None:
        """Take a part of a tool call."""
        match found.type:
            case "TOOL_CALL_START":
                self.calls.begin(found)
            case "TOOL_CALL_ARGS":
                self.calls.add(found)
            case "TOOL_CALL_END":
                events.append(self.calls.end(found))
            case _:
                events += self.calls.add_chunk(found)

    def take_shared(self, found: AGUIEvent, data: str, events: list[Event]) -> None:
        """Take an event that has a name which protocols share, or a name that the agent gives it."""
        if found.type == "TOOL_CALL_RESULT":
            self.add_custom("tool_result", fields_of(data), events)
        elif found.type == "STATE_SNAPSHOT":
            self.add_custom("state", found.snapshot, events)
        elif isinstance(found.name, str):
            self.add_custom(found.name, found.value, events)
        else:
            raise ProtocolError(f"a custom event has no name: {quote(data)}")

    known: ClassVar[dict[str, Callable[[AGUISession, AGUIEvent, str, list[Event]], None]]] = {
        "TEXT_MESSAGE_CONTENT": take_text,
        "TEXT_MESSAGE_CHUNK": take_text_chunk,
        "TEXT_MESSAGE_START": take_text_border,
        "TEXT_MESSAGE_END": take_text_border,
        "TOOL_CALL_START": take_call,
        "TOOL_CALL_ARGS": take_call,
        "TOOL_CALL_END": take_call,
        "TOOL_CALL_CHUNK": take_call,
        "TOOL_CALL_RESULT": take_shared,
        "STATE_SNAPSHOT": take_shared,
        "CUSTOM": take_shared,
        "REASONING_MESSAGE_CONTENT": take_thought,
        "REASONING_MESSAGE_CHUNK": take_thought_chunk,
        "THINKING_TEXT_MESSAGE_CONTENT": take_thought,  # of before AG-UI 1.0
        "RUN_STARTED": start_run,
        "RUN_FINISHED": end_run,
        "RUN_ERROR": fail_run,
    }

    # Errors

    def is_error(self, message: dict[str, Any]) -> bool:
        """See `EventStreamSession.is_error`."""
        return message.get("type") == "RUN_ERROR" or super().is_error(message)

    def make_error(self, message: dict[str, Any]) -> RunAgentError:
        """See `EventStreamSession.make_error`."""
        if message.get("type") == "RUN_ERROR":
            return _error(message.get("message"), message.get("code"))
        return super().make_error(message)


def _error(message: Any, code: Any) -> StreamError:
    text = message if isinstance(message, str) and message else _NO_MESSAGE
    return StreamError(text, code=code if isinstance(code, str) else None)
