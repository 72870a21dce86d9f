"""What the messages of a graph mean: text, reasoning, tool calls and tokens.

An event of the stream mode ``messages-tuple`` is a message, or a piece of one, and what is known about the
node that it comes from. The fields are those of LangChain's messages.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from runagent import Tokens
from runagent.transports import JSONReader, ToolCallParts, encode_json, json_decoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runagent import ToolCall
    from runagent.transports import ServerSentEvent

__all__ = [
    "NO_TEXT_PIECE",
    "Message",
    "MessageCalls",
    "add_usage",
    "parts_of",
    "read_message",
    "read_tokens",
    "stop_reason",
]


_CALLS = ("tool_use", "input_json_delta", "tool_call", "tool_call_chunk", "function_call")


# gc=False is safe, as decoded JSON holds no cycles; without it, hundreds of objects would start a collection.
class Message(msgspec.Struct, gc=False):
    """A message, or a piece of one; pieces of one message have its id."""

    type: Any = None
    id: Any = None
    content: Any = None
    tool_calls: Any = None
    tool_call_chunks: Any = None
    invalid_tool_calls: Any = None
    usage_metadata: Any = None
    additional_kwargs: Any = None
    response_metadata: Any = None
    chunk_position: Any = None
    tool_call_id: Any = None

    @property
    def of_model(self) -> bool:
        """Whether it is the model's, and so the answer."""
        return self.type in ("AIMessageChunk", "ai")

    @property
    def about_answer(self) -> dict[str, Any]:
        """What the model's service has reported about the answer: why it stopped, its model and so on."""
        return self.response_metadata if isinstance(self.response_metadata, dict) else {}


_Empty = msgspec.Meta(max_length=0)
_Nothing = Literal[""] | Annotated[list[Any], _Empty] | Annotated[dict[str, Any], _Empty] | None


class TextPiece(msgspec.Struct, gc=False):
    """A piece of text and nothing else, as most messages are: no other message can be decoded as one."""

    type: Literal["AIMessageChunk"]
    content: str
    id: Any = None
    tool_calls: _Nothing = None
    tool_call_chunks: _Nothing = None
    invalid_tool_calls: _Nothing = None
    usage_metadata: _Nothing = None
    additional_kwargs: _Nothing = None
    response_metadata: _Nothing = None
    chunk_position: _Nothing = None


class _About(msgspec.Struct, gc=False):
    """What is known about the node; nothing of it is needed, and so nothing is decoded."""


_messages: JSONReader[tuple[Message, _About]] = JSONReader(tuple[Message, _About], "a message")


NO_TEXT_PIECE = (msgspec.DecodeError, UnicodeError, RecursionError)
_text_pieces: msgspec.json.Decoder[tuple[TextPiece, _About]] = json_decoder(tuple[TextPiece, _About])


def read_text_pieces(events: Iterable[ServerSentEvent]) -> Iterator[tuple[TextPiece, object]]:
    """Read the data of events ``messages`` that are a piece of text and nothing else.

    The iterator raises one of `NO_TEXT_PIECE` at any other event.
    """
    return map(_text_pieces.decode, map(attrgetter("data"), events))


def read_message(text: str) -> Message:
    """Read the data of an event ``messages``.

    Raises:
        ProtocolError: It is not a message with its metadata.
    """
    return _messages.read(text)[0]


def parts_of(message: Message) -> list[tuple[str, Any]]:
    """Return the parts of a message: their kinds, and texts or, of other kinds, the parts themselves.

    Reasoning is a part of the content (``thinking`` or ``reasoning``), or next to it (``reasoning_content``):
    it depends on the model's package. Parts that repeat tool calls are left out.
    """
    extra = message.additional_kwargs if isinstance(message.additional_kwargs, dict) else {}
    content = message.content
    found: list[tuple[str, Any]] = [("reasoning", extra.get("reasoning_content"))]
    for part in content if isinstance(content, list) else [content]:
        match part:
            case str(text) | {"type": "text", "text": str(text)}:
                found.append(("text", text))
            case {"type": "thinking", "thinking": str(text)} | {"type": "reasoning", "reasoning": str(text)}:
                found.append(("reasoning", text))
            case {"type": str(kind)} if kind not in _CALLS:
                found.append((kind, part))
    return [(kind, part) for kind, part in found if part]


class MessageCalls:
    """Gathers the tool calls of messages that come in pieces.

    The last piece of a message is marked so. Servers with a LangChain before 1.0 do not mark it: their calls
    are whole once a tool has answered, or the run is over.

    Args:
        max_bytes: The most bytes of all unfinished calls.
    """

    def __init__(self, max_bytes: int) -> None:
        self._parts = ToolCallParts(max_bytes)
        self._open: dict[
            tuple[str, str], Any
        ] = {}  # the id of each unfinished call, by its message and index

    def __bool__(self) -> bool:
        """Whether there are unfinished calls."""
        return bool(self._open)

    def add(self, message: Message) -> list[ToolCall]:
        """Take the calls of a message, or the pieces of them, and return those that are whole now.

        Raises:
            ProtocolError: One of them is not a tool call.
            StreamLimitError: The unfinished calls are too large.
        """
        pieces = _objects(message.tool_call_chunks)
        for piece in pieces:
            self._add(message, piece.get("index"), piece)
        if not pieces and message.type == "ai":
            for index, call in enumerate(_objects(message.tool_calls) + _objects(message.invalid_tool_calls)):
                self._add(message, index, call)
        if not self._open or (message.chunk_position != "last" and message.type != "ai"):
            return []
        return self._end([key for key in self._open if key[0] == str(message.id)])

    def answered(self, call_id: Any) -> list[ToolCall]:
        """Return the call that a tool has answered, if it was not given yet."""
        return self._end([key for key, id in self._open.items() if id is not None and id == call_id])

    def take(self) -> list[ToolCall]:
        """Return all unfinished calls; the run is over."""
        return self._end(list(self._open))

    def _add(self, message: Message, index: Any, call: dict[str, Any]) -> None:
        key = (str(message.id), str(index))
        if key not in self._open:
            self._parts.begin(key, call.get("name"), id=call.get("id"))
            self._open[key] = call.get("id")
        arguments = call.get("args")
        if isinstance(arguments, dict):
            arguments = encode_json(arguments).decode()
        if arguments is not None:
            self._parts.add(key, arguments)

    def _end(self, keys: list[tuple[str, str]]) -> list[ToolCall]:
        for key in keys:
            del self._open[key]
        return [self._parts.end(key) for key in keys]


def add_usage(known: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    """Add token counts up, as LangChain does: each piece of a message, and each message, has its share."""
    total = dict(known or {})
    for name, value in more.items():
        old = total.get(name)
        if isinstance(value, dict):
            total[name] = add_usage(old if isinstance(old, dict) else None, value)
        elif isinstance(value, int) and isinstance(old, int):
            total[name] = old + value
        elif value is not None:
            total[name] = value
    return total


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def read_tokens(usage: dict[str, Any] | None) -> Tokens | None:
    """Return the counts under LangChain's names for them; None if there are none."""
    if not usage:
        return None
    details = [
        ("cached", "input_token_details", "cache_read"),
        ("reasoning", "output_token_details", "reasoning"),
    ]
    counts = {name: usage.get(f"{name}_tokens") for name in ("input", "output", "total")}
    for name, place, member in details:
        known = usage.get(place)
        counts[name] = known.get(member) if isinstance(known, dict) else None
    return Tokens(**{name: count for name, count in counts.items() if type(count) is int})


def stop_reason(about: dict[str, Any]) -> str | None:
    """Return why the model stopped, under the names of the models' packages."""
    found = (about.get(name) for name in ("finish_reason", "stop_reason", "done_reason"))
    return next((reason for reason in found if isinstance(reason, str)), None)
