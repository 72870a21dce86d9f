"""Messages in a row that are alike, decoded in one call.

A burst brings hundreds of chunks in one read. Decoding each by itself and looking at its parts costs several
times what JSON costs. A row is decoded at once, into a type that has the documented fields only; where one
message is not just so, the whole row goes the general way, which knows everything. So a row is never judged
by other rules: it is taken only if each of its messages would have been, and to the same effect.

For example, the lines ``{"content": "a"}`` and ``{"content": "b"}`` are a row: two lines, and two texts are
decoded. A row with the line ``{"content": "a"} {"content": "b"}`` gives more texts than it has lines, and
``{"content": "a", "more": 1}`` has a field that is not known here: these rows go the general way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AnyStr, Literal, TypeVar

import msgspec

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


# Unknown fields are refused, because msgspec skips them without looking whether they are JSON. An index may
# be anything: an integer type would take 1.0, which the general way counts as a field of the wrong type.
# What comes of JSON holds no cycles: without gc=False hundreds of objects would set the collector off.
class ChunkMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A chunk whose type stands elsewhere."""

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


CHUNKS = msgspec.json.Decoder(ChunkMessage)
TYPED_CHUNKS: msgspec.json.Decoder[ChunkMessage] = msgspec.json.Decoder(_TypedChunk)
DATA: msgspec.json.Decoder[ChunkMessage] = msgspec.json.Decoder(_DataMessage)
_WRAPPED = msgspec.json.Decoder(_WrappedText)
_TEXTS = msgspec.json.Decoder(str)

NOT_OF_THE_KIND = (msgspec.DecodeError, UnicodeError, RecursionError)

_T = TypeVar("_T")


def decode_row(kind: msgspec.json.Decoder[_T], lines: bytes | str, count: int) -> list[_T] | None:
    """Decode objects that stand one on each line; None where one is not of this kind, or not alone there.

    msgspec does not mind where the lines end. But each line goes from ``{`` to ``}``, and no JSON text goes
    on with ``{`` behind ``}``: so each line holds whole texts, and as many texts as lines means one each.
    The same is true of lines from quote to quote.

    Args:
        kind: The kind.
        lines: The lines, LF between them and nowhere else, each from ``{`` to ``}``.
        count: How many they are.
    """
    try:
        row = kind.decode_lines(lines) if count > 1 else [kind.decode(lines)]
    except NOT_OF_THE_KIND:
        return None
    return row if len(row) == count else None


def join_row(texts: Sequence[AnyStr], joint: AnyStr) -> AnyStr | None:
    """Write texts one on each line; None where one does not look as `decode_row` wants it.

    Args:
        texts: The texts.
        joint: What each of them has to end with, LF, and what each has to begin with.
    """
    close, newline, begin = joint[:1], joint[1:2], joint[2:]
    lines = newline.join(texts)
    joints = len(texts) - 1
    whole = lines.startswith(begin) and lines.endswith(close)
    return lines if whole and lines.count(joint) == joints == lines.count(newline) else None


def unwrap_row(contents: list[Any]) -> list[Any] | None:
    """Undo the wrapping of texts as `unwrap_payload` does; None where one of them needs a closer look."""
    if not contents[0].startswith("{"):
        return None if any(content[:1] == "{" for content in contents) else contents
    lines = join_row(contents, "}\n{")
    row = None if lines is None else decode_row(_WRAPPED, lines, len(contents))
    texts = None if row is None else join_row([each.payload for each in row], '"\n"')
    return None if texts is None else decode_row(_TEXTS, texts, len(contents))
