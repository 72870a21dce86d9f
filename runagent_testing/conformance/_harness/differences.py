"""Shows where two sequences part: the place, both items and a few around it, never all of both."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["brief", "difference", "text_difference"]

_AROUND = 2  # items shown before and after the place
_SHOWN = 80  # characters of one item
_MANY = 6  # items of a list that are shown
_END = object()


def brief(items: Sequence[Any]) -> str:
    """Show a list in one line, its long items and the middle of a long list cut out."""
    shown = [_cut(repr(item)) for item in items[: _MANY // 2 if len(items) > _MANY else _MANY]]
    if len(items) > _MANY:
        shown += [f"… {len(items) - _MANY} more …", *(_cut(repr(item)) for item in items[-_MANY // 2 :])]
    return f"[{', '.join(shown)}]"


def difference(expected: Sequence[Any], got: Sequence[Any]) -> str:
    """Describe where two sequences of events or chunks part; "" if they are equal."""
    place = _place(expected, got)
    if place is None:
        return ""
    first, second = _pair(_item(expected, place), _item(got, place))
    shown = f"they part at index {place} of {len(expected)} expected and {len(got)} received:"
    shown += f" expected {first}, got {second}"
    if max(len(expected), len(got)) > 1:
        shown += f"\n  around it, expected {_around(expected, place)}\n  around it, got {_around(got, place)}"
    return shown


def text_difference(expected: str, got: str) -> str:
    """Describe where two texts part; "" if they are equal."""
    place = _place(expected, got)
    if place is None:
        return ""
    first, second = (_window(text, place) for text in (expected, got))
    lengths = f"{len(expected)} expected and {len(got)} received"
    return f"they part at character {place} of {lengths}: expected {first}, got {second}"


def _place(expected: Sequence[Any], got: Sequence[Any]) -> int | None:
    pairs = enumerate(zip_longest(expected, got, fillvalue=_END))
    return next((place for place, (one, other) in pairs if one != other), None)


def _item(items: Sequence[Any], place: int) -> str:
    return repr(items[place]) if place < len(items) else "nothing more"


def _pair(one: str, other: str) -> tuple[str, str]:
    """Cut two texts to the part in which they differ."""
    place = _place(one, other) or 0
    return _cut(one, place), _cut(other, place)


def _window(text: str, place: int) -> str:
    begin, end = max(0, place - _SHOWN // 2), place + _SHOWN // 2
    return f"{'…' if begin else ''}{text[begin:end]!r}{'…' if end < len(text) else ''}"


def _cut(text: str, place: int = 0) -> str:
    begin = max(0, place - _SHOWN // 2) if len(text) > _SHOWN else 0
    end = begin + _SHOWN
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}"


def _around(items: Sequence[Any], place: int) -> str:
    begin, end = max(0, place - _AROUND), place + _AROUND + 1
    shown = [_cut(repr(item)) for item in items[begin:end]]
    shown = ["…"] * (begin > 0) + shown + ["…"] * (end < len(items))
    return f"[{', '.join(shown)}]"
