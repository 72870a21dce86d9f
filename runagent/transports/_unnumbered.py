"""The events of a run that have no place in the count of its chunks: reasoning, tool calls, custom events.

They carry no index, so nothing but a chunk proves where they belong. On a resumed stream they are held until
the first chunk has proved that the agent goes on in its place, and a stream is resumed only right behind a
chunk. For example, of ::

    {"type": "chunk", "content": "a", "index": 0}
    {"type": "reasoning", "text": "b"}

nothing names the place behind the second line: after a cut there, the stream is not resumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._errors import ProtocolError, StreamLimitError
from runagent._events import Custom, Event, Reasoning, ToolCall
from runagent._wire.jsontext import quote_value, write_json
from runagent.transports._base import count_ignored
from runagent.transports._chunks import ChunkReader
from runagent.transports._error_objects import is_seconds
from runagent.transports._surrogates import SurrogateJoiner

if TYPE_CHECKING:
    from runagent._call import ResumePoint

__all__ = ["UnnumberedReader"]

_NOWHERE = -1


class UnnumberedReader(ChunkReader):
    """Reads the messages that are neither chunks nor about the run as a whole.

    Args:
        ignored: Counts, by kind, harmless things that are ignored.
        resume: Where this attempt asked to resume; the first chunk must prove that it does.
        max_held_bytes: Bytes of the messages that may come before that proof, as JSON.
    """

    def __init__(self, ignored: dict[str, int], resume: ResumePoint | None, max_held_bytes: int) -> None:
        super().__init__(resume)
        self._ignored = ignored
        self._limit = self._room = max_held_bytes
        self._thoughts = SurrogateJoiner()
        self._behind: int | None = _NOWHERE  # the index of the chunk that follows the last such event

    def resume_point(self) -> ResumePoint | None:
        """Return where another attempt could resume, or None if that is unknown."""
        point = None if self._thoughts.half else super().resume_point()
        if point is None or point.next_index is None or point.next_index != self._behind:
            return point
        return None

    # Messages

    def read_reasoning(self, message: dict[str, Any], events: list[Event]) -> None:
        """Append a piece of reasoning; half a character waits for its other half."""
        if (text := self._text(message, "text", "reasoning")) is not None:
            whole = self._thoughts.join(text)
            if whole or not text:
                self._add(Reasoning(whole, self._optional(message, "id", str)), message, events)

    def read_tool_call(self, message: dict[str, Any], events: list[Event]) -> None:
        """Append a tool call, which comes whole; one without arguments has an empty text."""
        name = self._text(message, "name", "tool_call")
        arguments = "" if message.get("arguments") is None else self._text(message, "arguments", "tool_call")
        if name is not None and arguments is not None:
            id_, index = self._optional(message, "id", str), self._optional(message, "index", int)
            self._add(ToolCall(id_, name, arguments, index), message, events)

    def read_custom(self, message: dict[str, Any], events: list[Event]) -> None:
        """Append an event that only the agent and its callers understand."""
        if (name := self._text(message, "name", "custom")) is not None:
            self._add(Custom(name, message.get("value")), message, events)

    def flush(self, events: list[Event]) -> None:
        """Append what was waited with, as the agent is done."""
        if half := self._thoughts.flush():
            self._add(Reasoning(half), {}, events)
        self.prove(events)

    def _add(self, event: Event, message: dict[str, Any], events: list[Event]) -> None:
        if not self.unproven:
            self._behind = self.count.next_index
            events.append(event)
            return
        self._room -= len(write_json(message))
        if self._room < 0:
            self.error = StreamLimitError(
                f"what came before the first chunk of a resumed stream is larger than {self._limit} bytes;"
                " raise max_event_bytes to accept it",
                limit_name="max_event_bytes",
                limit=self._limit,
            )
        else:
            self.held.append(event)

    # Fields

    def _text(self, message: dict[str, Any], name: str, kind: str) -> str | None:
        value = message.get(name)
        if isinstance(value, str):
            return value
        self.error = ProtocolError(f"the {kind} message has no {name} that is a text: {quote_value(message)}")
        return None

    def _ignore(self, kind: str) -> None:
        count_ignored(self._ignored, kind)

    def _optional(self, message: dict[str, Any], name: str, kind: type) -> Any:
        """Return an optional field; one of the wrong type is as if absent, and counted."""
        value = message.get(name)
        if value is None or type(value) is kind:  # no bool for an int
            return value
        self._ignore(f"{name} of the wrong type")
        return None

    def _objects(self, message: dict[str, Any], name: str) -> list[dict[str, Any]]:
        value: list[Any] = self._optional(message, name, list) or []
        if not value or all(isinstance(each, dict) for each in value):
            return value
        self._ignore(f"{name} of the wrong type")
        return []

    def _seconds(self, message: dict[str, Any], name: str) -> float | None:
        value = message.get(name)
        if value is None or is_seconds(value):
            return value
        self._ignore(f"{name} of the wrong type")
        return None
