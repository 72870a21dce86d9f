"""Decoders of JSON that refuse text nested too deeply, on the Python that crashes on it.

CPython 3.13 lets C code recurse some 10,000 levels on any stack, which takes more than 2 MiB of it: a thread
that has less, such as one of musl's with 1 MiB, ends the process at a text of that depth, which a peer could
send. Older versions stop at some thousand levels, newer ones before the stack ends.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, AnyStr, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_LEVELS", "GuardedDecoder", "check_nesting", "json_decoder", "refuse_crash"]

MOST_LEVELS = 1_000  # about what Python 3.11 decodes; some 3,000 fit into 1 MiB
_IS_UNGUARDED = sys.version_info[:2] == (3, 13)
# A string hides its brackets, also one that does not end.
_MARKS = r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]'


class GuardedDecoder:
    """A decoder of msgspec that looks at the text first.

    Args:
        kind: The type that it decodes.
    """

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)

    def decode(self, text: bytes | str) -> Any:
        """Decode one text."""
        check_nesting(text)
        return self._decoder.decode(text)

    def decode_lines(self, text: bytes | str) -> list[Any]:
        """Decode a text on each line."""
        if isinstance(text, str):
            _check_lines(text, "\n", "}\n{")
        else:
            _check_lines(text, b"\n", b"}\n{")
        return self._decoder.decode_lines(text)


def json_decoder(kind: Any = Any) -> msgspec.json.Decoder[Any]:
    """Return a decoder of JSON that raises a RecursionError if text is nested too deeply, on every Python.

    Args:
        kind: The type that it decodes, as for ``msgspec.json.Decoder``.

    Returns:
        A decoder for ``decode`` and ``decode_lines``.
    """
    if _IS_UNGUARDED:
        return cast("msgspec.json.Decoder[Any]", GuardedDecoder(kind))
    return msgspec.json.Decoder(kind)


def check_nesting(text: bytes | str) -> None:
    """Check how deep JSON is nested.

    Raises:
        RecursionError: It has more than 1,000 levels.
    """
    if len(text) <= MOST_LEVELS:
        return
    if isinstance(text, str):
        _check(text, _MARKS, "[{", "]}")
    else:
        _check(text, _MARKS.encode(), b"[{", b"]}")


def _check_lines(text: AnyStr, newline: AnyStr, joint: AnyStr) -> None:
    """Check the lines one by one, if no JSON text can span two of them: in none, a ``{`` follows a ``}``.

    Together, the lines of a burst have too many brackets for the quick look.
    """
    if text.count(joint) != text.count(newline):
        check_nesting(text)
        return
    lines = text.split(newline)
    if max(map(len, lines)) > MOST_LEVELS:
        for line in lines:
            check_nesting(line)


def _check(text: AnyStr, marks: AnyStr, opening: AnyStr, closing: AnyStr) -> None:
    if text.count(opening[:1]) + text.count(opening[1:]) <= MOST_LEVELS:
        return
    level = 0
    for found in re.finditer(marks, text, re.DOTALL):
        mark = found[0]
        if mark in closing:
            level -= 1
        elif mark in opening:
            level += 1
            if level > MOST_LEVELS:
                raise RecursionError(f"JSON of more than {MOST_LEVELS} levels")


def _accept(_text: bytes | str) -> None:
    pass


refuse_crash: Callable[[bytes | str], None] = check_nesting if _IS_UNGUARDED else _accept
"""Do what `check_nesting` does, before a decoder of another kind, on the Python that needs it."""
