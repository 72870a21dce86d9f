"""What comes in pieces and is handed out whole, within a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runagent._errors import ProtocolError, StreamLimitError
from runagent._events import ToolCall
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._wire.jsontext import quote, quote_value
from runagent.transports._surrogates import SurrogateJoiner

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["ByteLimit", "ToolCallParts"]

__tracebackhide__ = is_ours

_CALL_BYTES = 64  # a call takes room, also if nothing is in it


class ByteLimit:
    """Counts the bytes that a session keeps until something is whole; a character counts as one.

    Args:
        max_bytes: The most that is kept at once: ``call.limits.max_event_bytes``.
        what: What is kept, for the error: "tool calls".

    Attributes:
        kept: The bytes that are kept now.
    """

    def __init__(self, max_bytes: int, what: str) -> None:
        self.kept = 0
        self._max = max_bytes
        self._what = what

    def add(self, size: int) -> None:
        """Count bytes that are kept from now on.

        Raises:
            StreamLimitError: They are too many.
        """
        self.kept += size
        if self.kept > self._max:
            raise StreamLimitError(
                f"the agent sent more than {self._max} bytes of {self._what}",
                hint="raise max_event_bytes to accept them",
                limit_name="max_event_bytes",
                limit=self._max,
            )

    def drop(self, size: int) -> None:
        """Count bytes that are no longer kept."""
        self.kept -= size


class _Call(msgspec.Struct):
    id: str | None
    name: str
    index: int
    parts: list[str]
    size: int


class ToolCallParts:
    """Gathers tool calls that are streamed in pieces, and gives each once, whole.

    A call is found by its key: whatever the protocol repeats with each piece, an index or an id. What is not
    as it should be is a `ProtocolError`.

    Args:
        max_bytes: The most bytes of all unfinished calls: ``call.limits.max_event_bytes``.

    Example:
        >>> calls = ToolCallParts(1000)
        >>> calls.begin(0, "weather", id="c1")
        >>> calls.add(0, '{"city": ')
        >>> calls.add(0, '"Oslo"}')
        >>> calls.end(0)
        ToolCall(id='c1', name='weather', arguments='{"city": "Oslo"}', index=0)
    """

    def __init__(self, max_bytes: int) -> None:
        self._limit = ByteLimit(max_bytes, "tool calls")
        self._calls: dict[Hashable, _Call] = {}
        self._begun = 0

    def __contains__(self, key: Hashable) -> bool:
        """Whether the call of a key has begun, and has not been given."""
        return key in self._calls

    def __len__(self) -> int:
        """How many calls have begun, and have not been given."""
        return len(self._calls)

    def begin(self, key: Hashable, name: Any, *, id: Any = None) -> None:
        """Begin a call.

        Args:
            key: What its pieces are found by.
            name: The tool's name.
            id: The call's id; None or "" if the protocol has none.

        Raises:
            ProtocolError: It has begun already, or the name or id is not text.
            StreamLimitError: The calls are larger than ``max_bytes``.
        """
        if key in self._calls:
            raise ProtocolError(f"tool call {quote(str(key))} began twice")
        if not isinstance(name, str) or not isinstance(id, str | None):
            raise ProtocolError(f"a tool call has no name, or an invalid id: {quote_value([name, id])}")
        size = _CALL_BYTES + len(name) + len(id or "")
        self._calls[key] = _Call(id or None, name, self._begun, [], size)
        self._begun += 1
        self._limit.add(size)

    def add(self, key: Hashable, arguments: Any) -> None:
        """Take a piece of a call's arguments.

        Raises:
            ProtocolError: No such call has begun, or the piece is not text.
            StreamLimitError: The calls are larger than ``max_bytes``.
        """
        if not isinstance(arguments, str):
            raise ProtocolError(f"the arguments of a tool call are not text: {quote_value(arguments)}")
        call = self._find(key)
        call.parts.append(arguments)
        call.size += len(arguments)
        self._limit.add(len(arguments))

    def end(self, key: Hashable) -> ToolCall:
        """Give a call, which is whole now; a later one may have its key.

        Raises:
            ProtocolError: No such call has begun.
        """
        call = self._find(key)
        del self._calls[key]
        self._limit.drop(call.size)
        return ToolCall(call.id, call.name, SurrogateJoiner.join_all(call.parts), call.index)

    def take(self) -> list[ToolCall]:
        """Give all calls that have begun, in their order."""
        return [self.end(key) for key in list(self._calls)]

    def _find(self, key: Hashable) -> _Call:
        call = self._calls.get(key)
        if call is None:
            raise ProtocolError(f"a piece of tool call {quote(str(key))}, which has not begun")
        return call


publish(ByteLimit, ToolCallParts, module="runagent.transports")
