"""How large texts and JSON values are, and how much of them an error may carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CUT", "MAX_TEXT", "MAX_VALUE", "cut_text", "cut_value", "size_of"]

CUT = "…"
MAX_TEXT = 8 * 1024  # characters of a message, a code or another text of an error
MAX_VALUE = 64 * 1024  # characters of an error's details
_DEEPEST = 100


def cut_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return the beginning of a text that is longer than an error may show."""
    return text if len(text) <= limit else text[: limit - 1] + CUT


def cut_value(value: Any, limit: int = MAX_VALUE) -> Any:
    """Return what an error may carry of a JSON value: all, or the beginning up to so many characters."""
    if size_of(value, limit + 1) <= limit:
        return value
    return _prune(value, [limit])


def size_of(value: Any, most: int) -> int:
    """Return about how many characters a value takes, written down; ``most`` if they are more."""
    size, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        size += _size(each)
        if isinstance(each, dict | list | tuple):
            if size + 4 * len(each) >= most:
                return most
            waiting += each
            waiting += each.values() if isinstance(each, dict) else ()
        if size >= most:
            return most
    return size


def _size(value: Any) -> int:
    """Return about how many characters a value takes, apart from what it holds."""
    if isinstance(value, str | bytes):
        return len(value) + 4
    if isinstance(value, int):
        return 4 + value.bit_length() // 3
    return 20 if isinstance(value, float) else 4


def _prune(value: Any, room: list[int], depth: int = 0) -> Any:
    """Copy a value until there is no room any more."""
    room[0] -= _size(value)
    if isinstance(value, str):
        return cut_text(value, max(len(value) + min(room[0], 0), 1))
    if room[0] < 0 or depth > _DEEPEST:
        return CUT
    if isinstance(value, dict):
        pairs = _while_room(value.items(), room)
        return {_prune(name, room, depth + 1): _prune(item, room, depth + 1) for name, item in pairs}
    if isinstance(value, list | tuple):
        return [_prune(item, room, depth + 1) for item in _while_room(value, room)]
    return value


def _while_room(items: Iterable[Any], room: list[int]) -> Iterator[Any]:
    for item in items:
        if room[0] <= 0:
            return
        yield item
