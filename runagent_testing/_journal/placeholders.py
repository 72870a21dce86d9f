"""Replaces values that differ from run to run. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from runagent_testing._script.gates import Gate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runagent_testing._script.steps import Step

__all__ = ["Placeholders"]

_UUID = r"(?P<short>[0-9a-f]{8})-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_HEX = r"(?<![0-9A-Za-z])[0-9a-f]{16,}(?![0-9A-Za-z])"
_ULID = r"(?<![0-9A-Za-z])[0-7][0-9A-HJKMNP-TV-Z]{25}(?![0-9A-Za-z])"
_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"
_HTTP_DATE = r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
_OTHERS = re.compile(
    rf"(?P<time>{_ISO}|{_HTTP_DATE})"
    r"|(?P<host>(?<![\w.])(?:localhost|127\.0\.0\.1|\[::1\])):\d+"
    r"|(?P<boundary>\bboundary=)[^\s;]+"
    r"|[^\s()'\"]*[/\\](?P<file>[^\s/\\()]+\.py):\d+"
)
_ID_NAME = re.compile(r"(?:(?:^|[_-])(?:id|uuid|guid|nonce)|[a-z]I[dD])s?$")
_TIME_NAME = re.compile(r"(?:^|_)(?:created|updated|timestamp|time|ts|date|at)$|[a-z](?:At|Time|Timestamp)$")
_SHORTEST_ID = 10  # characters
_FIRST_TIME = 1_000_000_000  # seconds since 1970


class Placeholders:
    """Replaces ids, times, ports and places in files; the same id gets the same number everywhere.

    Args:
        sent: The bytes of answers. An agent may have made ids of which requests have only the beginning.
    """

    def __init__(self, sent: Iterable[bytes] = ()) -> None:
        texts = [data.decode("latin-1") for data in sent]
        found = {match[0]: match["short"] for text in texts for match in re.finditer(_UUID, text)}
        self._whole = {short: whole for whole, short in found.items()}
        shorts = "|".join(rf"(?<![0-9a-z]){short}(?![0-9a-z])" for short in self._whole)
        self._ids = re.compile("|".join(filter(None, [_UUID, _HEX, _ULID, shorts])))
        self._numbers: dict[str, int] = {}

    def text(self, text: str) -> str:
        """Replace them in a text."""
        return self._ids.sub(lambda match: self._id(match[0]), _OTHERS.sub(_other, text))

    def value(self, value: Any, name: str = "") -> Any:
        """Replace them in a JSON value, whose objects are put into the order of their names.

        Args:
            value: The value.
            name: The name of its field: an id may have a form that only its field's name reveals.
        """
        if isinstance(value, Mapping):
            return {self.text(key): self.value(value[key], key) for key in sorted(value)}
        if isinstance(value, list | tuple):
            return [self.value(item, name) for item in value]
        if isinstance(value, str):
            shown = self.text(value)
            is_id = shown == value and _ID_NAME.search(name) and _looks_random(value)
            return self._id(value) if is_id else shown
        is_time = isinstance(value, int | float) and value >= _FIRST_TIME and _TIME_NAME.search(name)
        return "<time>" if is_time else value

    def step(self, step: Step) -> Step:
        """Replace them in everything that a step sends."""
        if isinstance(step, Gate):
            return step
        return replace(step, **{field.name: self.value(getattr(step, field.name)) for field in fields(step)})

    def _id(self, found: str) -> str:
        number = self._numbers.setdefault(self._whole.get(found, found), len(self._numbers) + 1)
        return f"<id {number}>"


def _other(match: re.Match[str]) -> str:
    if match["time"]:
        return "<time>"
    if match["host"]:
        return f"{match['host']}:<port>"
    return f"{match['boundary']}<boundary>" if match["boundary"] else match["file"]


def _looks_random(value: str) -> bool:
    has_digit = any(char.isdigit() for char in value)
    return len(value) >= _SHORTEST_ID and (has_digit or value not in (value.lower(), value.upper()))
