"""Mistakes with everything that is not text: tool calls, reasoning, custom events, the facts of the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runagent._errors import StreamLimitError, StreamTruncatedError
from runagent._events import Chunk, Completed, Custom, Reasoning, ToolCall
from runagent._limits import Limits
from runagent.capabilities import Capability
from runagent.transports._sse import SSESession
from runagent_testing.conformance._broken.base import HTTP, Broken

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event

__all__ = ["SAMPLES"]


class _ThinksAloud(SSESession):
    """Turns reasoning into chunks."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        return [Chunk(e.text) if isinstance(e, Reasoning) else e for e in events]


class _DropsReasoning(SSESession):
    """Ignores reasoning."""

    def read_body(self, data: bytes) -> list[Event]:
        return [event for event in super().read_body(data) if not isinstance(event, Reasoning)]


class _LosesCalls(SSESession):
    """Leaves out every tool call but the first."""

    _called = False

    def read_body(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for event in super().read_body(data):
            if not (self._called and isinstance(event, ToolCall)):
                events.append(event)
            self._called |= isinstance(event, ToolCall)
        return events


class _CutsArguments(SSESession):
    """Takes the first piece of a tool call's arguments for all of them."""

    def read_body(self, data: bytes) -> list[Event]:
        return [
            msgspec.structs.replace(event, arguments=event.arguments[:20])
            if isinstance(event, ToolCall)
            else event
            for event in super().read_body(data)
        ]


class _CutsCustomEvents(SSESession):
    """Turns the values of custom events into text."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        return [Custom(e.name, str(e.value)) if isinstance(e, Custom) else e for e in events]


class _LosesCallIds(SSESession):
    """Forgets the ids of tool calls, without which no result can be sent for one."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        return [msgspec.structs.replace(e, id=None) if isinstance(e, ToolCall) else e for e in events]


class _AddsUpUsage(SSESession):
    """Takes for granted that token counts are numbers."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        self.total = sum(sum((e.usage or {}).values()) for e in events if isinstance(e, Completed))
        return events


class _LosesUsage(SSESession):
    """Forgets the usage."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        return [
            msgspec.structs.replace(event, usage=None) if isinstance(event, Completed) else event
            for event in events
        ]


class _RaisesAtACall(SSESession):
    """Raises an error at each tool call."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        if any(isinstance(event, ToolCall) for event in events):
            raise RuntimeError("a tool call is not supported")
        return events


class _LosesCutCalls(SSESession):
    """Loses a tool call that comes in several reads."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        whole = b"event: tool_call" in data
        return [event for event in events if whole or not isinstance(event, ToolCall)]


class _EndsAtACall(SSESession):
    """Takes a connection that closes after a tool call for a good end."""

    _last: Event | None = None

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        self._last = events[-1] if events else self._last
        return events

    def receive_eof(self) -> list[Event]:
        events = super().receive_eof()
        if isinstance(self._last, ToolCall) and isinstance(self.error, StreamTruncatedError):
            self.error = None
            return [*events, Completed()]
        return events


class _AnyCall(SSESession):
    """Limits the size of chunks only."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        limits = msgspec.structs.replace(call.limits, max_event_bytes=Limits().max_event_bytes)
        super().__init__(msgspec.structs.replace(call, limits=limits), route, resume)
        self._most = call.limits.max_event_bytes

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        if any(isinstance(event, Chunk) and len(str(event.content)) > self._most for event in events):
            self.fail(StreamLimitError("too large", limit_name="max_event_bytes", limit=self._most))
        return events


class _GathersCalls(SSESession):
    """Keeps the tool calls of a run together, however many they are."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, route, resume)
        self._kept: list[Event] = []

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        self._kept += [event for event in events if isinstance(event, ToolCall)]
        return events


class _DropsToolCalls(SSESession):
    """Drops tool calls, and declares them."""

    def read_body(self, data: bytes) -> list[Event]:
        return [event for event in super().read_body(data) if not isinstance(event, ToolCall)]


class _HidesToolCalls(SSESession):
    """Delivers tool calls, and does not declare them."""


class _HidesReasoning(SSESession):
    """Delivers reasoning, and does not declare it."""


SAMPLES: tuple[Broken, ...] = (
    Broken("thinks-aloud", "session.other-events", _ThinksAloud),
    Broken("drops-reasoning", "session.other-events", _DropsReasoning),
    Broken("cuts-arguments", "session.other-events", _CutsArguments),
    Broken("cuts-custom-events", "session.other-events", _CutsCustomEvents),
    Broken("loses-calls", "run.other-events", _LosesCalls),
    Broken("loses-call-ids", "session.other-events", _LosesCallIds),
    Broken("adds-up-usage", "session.samples-never-raise", _AddsUpUsage),
    Broken("loses-usage", "session.usage", _LosesUsage),
    Broken("loses-the-usage-of-runs", "run.usage", _LosesUsage),
    Broken("raises-at-a-call", "session.samples-never-raise", _RaisesAtACall),
    Broken("loses-cut-calls", "session.samples-any-split", _LosesCutCalls),
    Broken("ends-at-a-call", "session.samples-truncated", _EndsAtACall),
    Broken("any-call", "session.samples-limit", _AnyCall),
    Broken("gathers-calls", "session.memory", _GathersCalls),
    Broken("drops-tool-calls", "run.tools", _DropsToolCalls),
    Broken("drops-declared-reasoning", "run.reasoning", _DropsReasoning),
    Broken("undeclared-tool-calls", "declared.tools", _HidesToolCalls, HTTP - {Capability.TOOLS}),
    Broken("undeclared-reasoning", "declared.reasoning", _HidesReasoning, HTTP - {Capability.REASONING}),
)
