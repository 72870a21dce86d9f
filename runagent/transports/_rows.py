"""Rows: consecutive messages that are alike, decoded in one call.

A burst brings hundreds of chunks in one read. To decode and inspect each of them by itself costs several
times as much as the JSON. A row is decoded by one call, into a type with only the documented fields. If any
message does not fit, the whole row takes the general path, which handles everything. Invariant: a row is
accepted only if the general path would accept each of its messages, with the same effect.

For example, the lines ``{"content": "a"}`` and ``{"content": "b"}`` are a row of two lines and two JSON
texts. The line ``{"content": "a"} {"content": "b"}`` holds two texts, so a row with it has more texts than
lines; ``{"content": "a", "more": 1}`` has an unknown field. Rows with either take the general path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AnyStr, Literal, TypeVar

import msgspec

from runagent._wire.nesting import json_decoder

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CHUNKS",
    "DATA",
    "NOT_OF_THE_KIND",
    "TYPED_CHUNKS",
    "ChunkMessage",
    "decode_row",
    "join_row",
    "unwrap_row",
]


# Unknown fields are rejected, as msgspec would skip them without a check that they are JSON. An index may
# have any type here: as an int, msgspec would accept 1.0, which the general path counts as a field of the
# wrong type. gc=False is safe, as decoded JSON holds no cycles; without it, hundreds of objects would start a
# collection.
class ChunkMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A chunk without a ``type`` field, as the event's name has its kind."""

    content: Any
    index: Any = None


class _TypedChunk(ChunkMessage, forbid_unknown_fields=True, gc=False, kw_only=True):
    type: Literal["chunk"]


class _DataMessage(ChunkMessage, forbid_unknown_fields=True, gc=False, kw_only=True):
    type: Literal["data"]
    content: str


class _WrappedText(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["string"]
    payload: str


CHUNKS = json_decoder(ChunkMessage)
TYPED_CHUNKS: msgspec.json.Decoder[ChunkMessage] = json_decoder(_TypedChunk)
DATA: msgspec.json.Decoder[ChunkMessage] = json_decoder(_DataMessage)
_WRAPPED = json_decoder(_WrappedText)
_TEXTS = json_decoder(str)

NOT_OF_THE_KIND = (msgspec.DecodeError, UnicodeError, RecursionError)

_T = TypeVar("_T")


def decode_row(kind: msgspec.json.Decoder[_T], lines: bytes | str, count: int) -> list[_T] | None:
    """Decode one object from each line; None if an object is of another kind, or not alone on its line.

    msgspec ignores where the lines end. But each line goes from ``{`` to ``}``, and in no JSON text a ``{``
    follows a ``}``. So no text spans two lines, and if there are as many texts as lines, each line is one
    text. The same holds for lines that go from quote to quote.

    Args:
        kind: The decoder of the kind.
        lines: The lines, each from ``{`` to ``}``, with LF between two of them and nowhere else.
        count: The number of lines.
    """
    try:
        row = kind.decode_lines(lines) if count > 1 else [kind.decode(lines)]
    except NOT_OF_THE_KIND:
        return None
    return row if len(row) == count else None


def join_row(texts: Sequence[AnyStr], joint: AnyStr) -> AnyStr | None:
    r"""Join texts to lines for `decode_row`; None if one of them has not the required form.

    For example, ``{"a": 1}`` and ``{"a": 2}`` with the joint ``}\n{`` become two lines. A text that holds an
    LF, or begins or ends otherwise, gives None, as there are then more LF than joints, or fewer joints than
    texts.

    Args:
        texts: The texts.
        joint: The required last character of each text, LF, and the required first character.
    """
    close, newline, begin = joint[:1], joint[1:2], joint[2:]
    lines = newline.join(texts)
    joints = len(texts) - 1
    whole = lines.startswith(begin) and lines.endswith(close)
    return lines if whole and lines.count(joint) == joints == lines.count(newline) else None


def unwrap_row(contents: list[Any]) -> list[Any] | None:
    """Unwrap all texts as `unwrap_payload` does; None if the general path must decide about one of them."""
    if not contents[0].startswith("{"):
        return None if any(content[:1] == "{" for content in contents) else contents
    lines = join_row(contents, "}\n{")
    row = None if lines is None else decode_row(_WRAPPED, lines, len(contents))
    texts = None if row is None else join_row([each.payload for each in row], '"\n"')
    return None if texts is None else decode_row(_TEXTS, texts, len(contents))
