"""What a run has begun and not ended: tool calls, and messages that are not the agent's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import ProtocolError
from runagent.transports import ByteLimit, ToolCallParts, quote

if TYPE_CHECKING:
    from runagent import ToolCall
    from runagent_agui.events import AGUIEvent

__all__ = ["OpenCalls", "OtherMessages"]

_BYTES = 64  # what is kept takes room, also if its id is short
# A tool call that comes in chunks ends with any of these events, as far as it is of the same subagent.
_ENDS_CHUNKS = frozenset(
    {
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "TEXT_MESSAGE_CHUNK"),
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT", "CUSTOM"),
        *("REASONING_START", "REASONING_MESSAGE_START", "REASONING_MESSAGE_CONTENT"),
        *("REASONING_MESSAGE_END", "REASONING_MESSAGE_CHUNK", "REASONING_END"),
        *("STATE_SNAPSHOT", "STATE_DELTA", "STEP_STARTED", "STEP_FINISHED"),
        *("SUBAGENT_FINISHED", "SUBAGENT_ERROR"),
    }
)
_ENDS_ALL_CHUNKS = frozenset({"RUN_FINISHED", "MESSAGES_SNAPSHOT"})


class OpenCalls:
    """Gathers tool calls, which come between a begin and an end or in chunks, and gives each once, whole.

    Args:
        max_bytes: The most bytes of all unfinished calls.
    """

    def __init__(self, max_bytes: int) -> None:
        self._parts = ToolCallParts(max_bytes)
        self._limit = ByteLimit(max_bytes, "ids of subagents")
        self._in_chunks: dict[str | None, str] = {}  # by subagent

    def __len__(self) -> int:
        """How many calls have begun and have no end."""
        return len(self._parts)

    def begin(self, event: AGUIEvent) -> None:
        """Begin a call.

        Raises:
            ProtocolError: It has begun already, or has no id or no name.
            StreamLimitError: The calls are too large.
        """
        if not isinstance(event.tool_call_id, str):
            raise ProtocolError("a tool call has no id")
        self._parts.begin(event.tool_call_id, event.tool_call_name, id=event.tool_call_id)

    def add(self, event: AGUIEvent) -> None:
        """Take a piece of a call's arguments.

        Raises:
            ProtocolError: The call has not begun, or the piece is no text.
            StreamLimitError: The calls are too large.
        """
        self._parts.add(_key(event.tool_call_id), event.delta)

    def end(self, event: AGUIEvent) -> ToolCall:
        """Give a call that is whole now.

        Raises:
            ProtocolError: It has not begun.
        """
        return self._parts.end(_key(event.tool_call_id))

    def add_chunk(self, event: AGUIEvent) -> list[ToolCall]:
        """Take a chunk of a call, and give the one before it, which ends if the chunk begins another one.

        Raises:
            ProtocolError: It belongs to no call, or its fields are invalid.
            StreamLimitError: The calls are too large.
        """
        lane, ended = event.lane, []
        call = self._in_chunks.get(lane)
        if event.tool_call_id is not None and event.tool_call_id != call:
            ended = self._end_lane(lane)
            self.begin(event)
            self._limit.add(len(lane or "") + _BYTES)
            self._in_chunks[lane] = call = event.tool_call_id
        if call is None:
            raise ProtocolError("a piece of a tool call belongs to no call")
        if event.delta is not None:
            self._parts.add(call, event.delta)
        return ended

    def end_chunks(self, event: AGUIEvent) -> list[ToolCall]:
        """Give the calls in chunks that end because of another event."""
        if not self._in_chunks:
            return []
        if event.type in _ENDS_ALL_CHUNKS:
            return [call for lane in list(self._in_chunks) for call in self._end_lane(lane)]
        return self._end_lane(event.lane) if event.type in _ENDS_CHUNKS else []

    def _end_lane(self, lane: str | None) -> list[ToolCall]:
        call = self._in_chunks.pop(lane, None)
        if call is None:
            return []
        self._limit.drop(len(lane or "") + _BYTES)
        return [self._parts.end(call)]


def _key(id_: Any) -> str:
    return id_ if isinstance(id_, str) else repr(id_)


class OtherMessages:
    """The open messages that are not the agent's answer: those of users and other roles, and of subagents.

    Args:
        max_bytes: The most bytes of all of their ids.
    """

    def __init__(self, max_bytes: int) -> None:
        self._ids: set[str] = set()
        self._limit = ByteLimit(max_bytes, "ids of open messages")

    def begin(self, event: AGUIEvent) -> None:
        """Note a message that has begun, if its role shows that it is one of these.

        Raises:
            ProtocolError: Its id is no text.
            StreamLimitError: There are too many.
        """
        if event.role in (None, "assistant"):
            return
        if not isinstance(event.message_id, str):
            raise ProtocolError(f"the id of a message is no text: {quote(repr(event.message_id))}")
        if event.message_id not in self._ids:
            self._ids.add(event.message_id)
            self._limit.add(len(event.message_id) + _BYTES)

    def end(self, event: AGUIEvent) -> None:
        """Forget a message that has ended."""
        if isinstance(event.message_id, str) and event.message_id in self._ids:
            self._ids.discard(event.message_id)
            self._limit.drop(len(event.message_id) + _BYTES)

    def __contains__(self, event: AGUIEvent) -> bool:
        """Whether an event belongs to one of these messages."""
        if event.subagent_run_id is not None:
            return True
        return bool(self._ids) and isinstance(event.message_id, str) and event.message_id in self._ids
