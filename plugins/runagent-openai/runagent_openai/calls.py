"""Tool calls, put together from the pieces in which Chat Completions streams them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import Custom, ProtocolError, ToolCall
from runagent.transports import (
    ByteLimit,
    InvalidJSONError,
    SurrogateJoiner,
    decode_json,
    quote,
    write_json,
)

if TYPE_CHECKING:
    from runagent.transports import Event

__all__ = ["ToolCalls", "events_of", "is_whole"]

# The one field of a call that comes in pieces, by the object that it is in.
_CALL_BYTES = 64  # a call takes room, also if nothing is in it
_USUAL = {"arguments", "call_id", "function", "id", "name", "status", "type"}
_IN_PIECES = {"function": "arguments", "custom": "input"}


class ToolCalls:
    """Collects calls until they are whole.

    Args:
        max_bytes: Bytes of all calls together; more than that raises.
    """

    def __init__(self, max_bytes: int) -> None:
        self._limit = ByteLimit(max_bytes, "tool calls")
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def add(self, piece: dict[str, Any]) -> None:
        """Take the next piece.

        ``index`` shows to which call it belongs. If a server omits it, or sends 0 for all calls, an id
        that is new begins another call.

        Raises:
            ProtocolError: It is no piece of a call.
            StreamLimitError: The calls are larger than ``max_bytes``.
        """
        index, id_ = piece.get("index"), piece.get("id")
        last = self._calls[-1] if self._calls else None
        call = self._by_index.get(index) if isinstance(index, int) else last
        if call is None or (id_ and call.fields.get("id", id_) != id_):
            call = _Call()
            self._calls.append(call)
            self._limit.add(_CALL_BYTES)
        if isinstance(index, int):
            self._by_index[index] = call
        self._limit.add(call.add(piece))

    def take(self) -> list[dict[str, Any]]:
        """Take the calls, in the form that an answer which is not streamed has."""
        calls, self._calls = self._calls, []
        return [call.whole() for call in calls]


class _Call:
    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self._parts: list[str] = []

    def add(self, piece: dict[str, Any]) -> int:
        """Take a piece and return by how many bytes the call has grown, or a little more."""
        grown = 0
        for name, value in piece.items():
            if name in _IN_PIECES and value is not None:
                if not isinstance(value, dict):
                    raise ProtocolError(f"the {name} of a tool call is not an object: {quote(repr(value))}")
                grown += self._add_object(name, dict(value))
            elif name != "index":
                grown += _update(self.fields, name, value)
        return grown

    def _add_object(self, name: str, value: dict[str, Any]) -> int:
        part = value.pop(_IN_PIECES[name], None)
        if part is not None and not isinstance(part, str):
            part = write_json(part)  # a server that decodes what the model wrote
        if part:
            self._parts.append(part)
        known = self.fields.setdefault(name, {})
        return len(part or "") + sum(_update(known, field, said) for field, said in value.items())

    def whole(self) -> dict[str, Any]:
        text = SurrogateJoiner.join_all(self._parts)
        return {
            name: {**value, _IN_PIECES[name]: text} if name in _IN_PIECES else value
            for name, value in self.fields.items()
        }


def _update(fields: dict[str, Any], name: str, value: Any) -> int:
    """Set a field; later pieces repeat it, or send nothing in its place."""
    if value in (None, "") or fields.get(name) == value:
        return 0
    fields[name] = value
    return len(name) + len(write_json(value))


def events_of(call: dict[str, Any], index: int) -> list[Event]:
    """Make the events of a call, in the form of either endpoint.

    A call whose input is not JSON text, such as that of a custom tool, is a `Custom` named by its type. A
    server's additional fields, such as a signature that the next request has to repeat, come with the whole
    call as a `Custom` named ``tool_call``.

    Args:
        call: The call.
        index: Its place among the calls of the answer.
    """
    function = call.get("function", call)
    name = function.get("name") if isinstance(function, dict) else None
    arguments = function.get("arguments", "") if isinstance(function, dict) else None
    kind = call.get("type")
    is_function = kind is None or kind in ("function", "function_call")
    if not (is_function and isinstance(name, str) and isinstance(arguments, str)):
        return [Custom(kind if isinstance(kind, str) else "tool_call", call)]
    id_ = call.get("call_id", call.get("id"))
    event = ToolCall(id_ if isinstance(id_, str) else None, name, arguments, index)
    return [event] if call.keys() <= _USUAL else [event, Custom("tool_call", call)]


def is_whole(call: dict[str, Any]) -> bool:
    """Whether a function's arguments are a JSON text, and so not cut short."""
    function = call.get("function", call)
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(arguments, str):
        return True
    try:
        decode_json(arguments)
    except InvalidJSONError:
        return False
    return True
