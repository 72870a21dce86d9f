"""Content blocks that are handed out once they are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from runagent import ProtocolError
from runagent.transports import ByteLimit, InvalidJSONError, SurrogateJoiner, decode_json, quote

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Blocks", "is_json", "is_text"]


def is_text(value: Any) -> TypeGuard[str]:
    """Whether a value is text that is not empty."""
    return isinstance(value, str) and bool(value)


def is_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        decode_json(text)
    except InvalidJSONError:
        return False
    return True


class Blocks:
    """Gathers blocks whose fields come in pieces.

    Args:
        max_bytes: The most bytes of all unfinished blocks.
    """

    def __init__(self, max_bytes: int) -> None:
        self._limit = ByteLimit(max_bytes, "content blocks")
        self._begun: dict[Hashable, dict[str, Any]] = {}
        self._pieces: dict[Hashable, dict[str, list[str]]] = {}

    def __contains__(self, index: Hashable) -> bool:
        return index in self._begun

    @property
    def open(self) -> list[Hashable]:
        """The indexes of the blocks that have begun, in their order."""
        return list(self._begun)

    def begin(self, index: Any, block: dict[str, Any]) -> None:
        """Begin a block.

        Raises:
            ProtocolError: It has no index, or has begun already.
            StreamLimitError: The blocks are larger than ``max_bytes``.
        """
        if not isinstance(index, int) or index in self._begun:
            raise ProtocolError(f"content block {quote(str(index))} has no index, or began twice")
        self._limit.add(len(repr(block)))
        self._begun[index] = block
        self._pieces[index] = {}

    def add(self, index: Any, field: str, piece: str) -> None:
        """Take a piece of a field; of a block that never began, nothing is kept.

        Raises:
            StreamLimitError: The blocks are larger than ``max_bytes``.
        """
        if index in self._begun:
            self._limit.add(len(piece))
            self._pieces[index].setdefault(field, []).append(piece)

    def end(self, index: Any) -> dict[str, Any]:
        """Give a block, which is whole now."""
        begun, fields = self._begun.pop(index), self._pieces.pop(index)
        texts = {name: SurrogateJoiner.join_all(pieces) for name, pieces in fields.items()}
        self._limit.drop(len(repr(begun)) + sum(len(p) for each in fields.values() for p in each))
        whole = begun | {name: _start(begun, name) + text for name, text in texts.items()}
        if "input" in texts and is_json(texts["input"]):
            whole["input"] = decode_json(texts["input"])
        return whole


def _start(block: dict[str, Any], field: str) -> str:
    """Return the text with which a field began; as a rule it is empty."""
    value = block.get(field)
    return value if isinstance(value, str) else ""
