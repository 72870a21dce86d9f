"""What may be shown to people: credentials hidden, control characters escaped. No I/O.

Timelines, logs, reports and the texts of errors all go through `Secrets`, which hides what a field holds
whose name means a credential and, anywhere else, the values that were seen in such fields.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, AnyStr, Self
from urllib.parse import quote, quote_plus

from runagent_testing._internal.credentials import USUAL_NAMES, Names, values_in

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REDACTED", "Headers", "Secrets", "Veiled", "escaped"]

REDACTED = "<redacted>"

_LONGEST = 20_000  # characters of a text that are shown
_SHORTEST = 4  # characters of a value that is looked for anywhere
_SHORTEST_INSIDE = 8  # likewise, also in the middle of a word


def escaped(text: str) -> str:
    """Put a text into one line that does nothing to a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class Secrets:
    """What has to be hidden: fields by their names, and values wherever they are.

    Args:
        names: Which fields hold credentials.
        values: What is hidden anywhere.
    """

    def __init__(self, names: Names = USUAL_NAMES, values: Iterable[str] = ()) -> None:
        self._names = names
        self._values = frozenset(values)
        self._known = _pattern(self._values)
        self._begins: frozenset[str] | None = None

    @property
    def longest(self) -> int:
        """The length of the longest value that is hidden anywhere."""
        return max(map(len, self._values), default=0)

    def with_values(self, values: Iterable[str]) -> Secrets:
        """Return those that hide some more values, unless these could be words that mean something else."""
        more = self._values.union(filter(_is_distinct, values))
        return self if more == self._values else Secrets(self._names, more)

    def seen_in(
        self, headers: Mapping[str, str], path: str = "", bodies: Iterable[Any] = (), key: str | None = None
    ) -> Secrets:
        """Return those that hide the credentials of a request, too."""
        found = set(values_in(self._names, headers, path, bodies))
        return self.with_values(found if key is None else found | {key})

    def joined(self, others: Iterable[Secrets]) -> Secrets:
        """Return those that hide the values of others, too."""
        return self.with_values(value for other in others for value in other._values)

    def text(self, text: str) -> str:
        """Hide credentials in a text; a very long one is cut."""
        shown = self._replaced(text[: 2 * _LONGEST], lambda _: REDACTED)
        return shown if len(text) <= _LONGEST else f"{shown[:_LONGEST]}..."

    def line(self, text: str) -> str:
        """Hide credentials in a text, and put it into one harmless line."""
        return escaped(self.text(text))

    def lines(self, text: str) -> str:
        """Do the same line by line."""
        return "\n".join(map(escaped, self.text(text).split("\n")))

    def prose(self, text: str) -> str:
        """Do the same with text of which the most is not data: a word such as "key" names nothing there."""
        shown = self._replaced(text, lambda _: REDACTED, certain=True)
        return "\n".join(map(escaped, shown.split("\n")))

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Hide the values of header fields that hold credentials."""
        return {
            name: REDACTED if self._names.mean_a_credential(name) else self.text(value)
            for name, value in headers.items()
        }

    def value(self, value: Any) -> Any:
        """Hide credentials in a JSON value, whatever depth they are at."""
        try:
            return self._value(value)
        except RecursionError:
            return "<nested too deeply>"

    def veiled(self, text: str) -> str:
        """Return the text itself, if it shows no credential, or one that does not in its repr."""
        shown = self.text(text)
        return text if shown == text else Veiled(text, shown)

    def veiled_field(self, name: str, value: str) -> str:
        """Do the same with a header field's value."""
        if self._names.mean_a_credential(name):
            return Veiled(value)
        return self.veiled(value) if "=" in value or "@" in value else value

    def veil(self, value: Any) -> None:
        """Put texts whose repr hides them into a JSON value, in the places of credentials."""
        with contextlib.suppress(RecursionError):
            self._veil(value, named=False)

    def _veil(self, value: Any, *, named: bool) -> Any:
        if isinstance(value, dict):
            for name, item in value.items():
                inside = named or (isinstance(name, str) and self._names.mean_a_credential(name))
                value[name] = self._veil(item, named=inside)
        elif isinstance(value, list):
            value[:] = [self._veil(item, named=named) for item in value]
        elif named and type(value) is str:
            return Veiled(value)
        return value

    def data(self, data: bytes) -> bytes:
        """Put as many asterisks in the place of each credential that an agent has sent."""
        return self.masked(data)

    def masked(self, data: bytes, *, certain: bool = True) -> bytes:
        """Put as many asterisks in the place of each credential; ``certain``: not by ambiguous names."""
        text = data.decode("latin-1")
        return self._replaced(text, lambda hidden: "*" * len(hidden), certain=certain).encode("latin-1")

    def places(self, data: bytes, *, certain: bool = True) -> list[tuple[int, int]]:
        """Return begin and end of each credential in bytes, in order; ``certain``: not by ambiguous names."""
        return list(_merged(self._spans(data.decode("latin-1"), certain=certain)))

    def begun_by(self, data: bytes) -> int:
        """Count the last bytes that may be the beginning of a known value."""
        if self._begins is None:
            forms = [form for value in self._values if value for form in _forms(value)]
            self._begins = frozenset(form[:size] for form in forms for size in range(1, len(form)))
        end = data[-max(map(len, self._begins), default=0) :].decode("latin-1") if self._begins else ""
        return next((len(end) - at for at in range(len(end)) if end[at:] in self._begins), 0)

    def sent(self, value: Any) -> Any:
        """Hide credentials in what an agent sends: ambiguous names hide nothing there.

        Very long texts and bytes lose their middle, as only both ends are shown.
        """
        if isinstance(value, bytes):
            return self.data(_ends(value))
        if isinstance(value, str):
            return self._replaced(_ends(value), lambda _: REDACTED, certain=True)
        if isinstance(value, Mapping):
            return {self.sent(name): self._sent_member(name, item) for name, item in value.items()}
        return [self.sent(item) for item in value] if isinstance(value, list | tuple) else value

    def _sent_member(self, name: Any, value: Any) -> Any:
        return REDACTED if self._names.mean_a_credential(str(name), certain=True) else self.sent(value)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.data(value)
        if isinstance(value, Mapping):
            return {self._value(name): self._member(name, item) for name, item in value.items()}
        return [self._value(item) for item in value] if isinstance(value, list | tuple) else value

    def _member(self, name: Any, value: Any) -> Any:
        hidden = value not in (None, "", False, True) and self._names.mean_a_credential(str(name))
        return REDACTED if hidden else self._value(value)

    def _spans(self, text: str, *, certain: bool) -> list[tuple[int, int]]:
        spans = list(self._names.places_in(text, certain=certain))
        if self._known is not None:
            spans += [match.span() for match in self._known.finditer(text)]
        return spans

    def _replaced(self, text: str, shown: Callable[[str], str], *, certain: bool = False) -> str:
        if not (spans := self._spans(text, certain=certain)):
            return text
        pieces, at = [], 0
        for begin, end in _merged(spans):
            pieces += [text[at:begin], shown(text[begin:end])]
            at = end
        return "".join([*pieces, text[at:]])


class Veiled(str):
    """A text that is what it is, whose repr shows no credential; reports of tests are made of that."""

    __slots__ = ("_shown",)
    _shown: str

    def __new__(cls, text: str, shown: str = REDACTED) -> Self:
        """Make one of a text, and of what its repr shows."""
        veiled = super().__new__(cls, text)
        veiled._shown = shown
        return veiled

    def __repr__(self) -> str:
        return repr(self._shown)


class Headers(Mapping[str, str]):
    """Header fields with their real values, whose repr shows no credential.

    They are no dict, whose values a snapshot would write out.
    """

    def __init__(self, headers: Mapping[str, str], secrets: Secrets) -> None:
        self._headers = {name: secrets.veiled_field(name, value) for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._headers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)

    def __repr__(self) -> str:
        return repr(self._headers)


def _ends(value: AnyStr) -> AnyStr:
    """Return a text or bytes without the middle, if that is very long."""
    return value if len(value) <= 2 * _LONGEST else value[:_LONGEST] + value[-_LONGEST:]


def _is_distinct(value: str) -> bool:
    return len(value) >= (_SHORTEST_INSIDE if value.isalpha() else _SHORTEST)


def _pattern(values: frozenset[str]) -> re.Pattern[str] | None:
    written = {form: len(value) for value in values if value for form in _forms(value)}
    if not written:
        return None
    longest_first = sorted(written, key=lambda form: (-len(form), form))
    return re.compile(
        "|".join(
            re.escape(form) if written[form] >= _SHORTEST_INSIDE else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in longest_first
        )
    )


def _forms(value: str) -> set[str]:
    """Write a value in every way in which it may turn up."""
    forms = {value, quote(value, safe=""), quote(value), quote_plus(value), repr(value)[1:-1]}
    forms |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    # Bytes are searched as Latin-1.
    return forms | {form.encode("utf-8", "surrogatepass").decode("latin-1") for form in forms}


def _merged(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    begin, end = -1, -1
    for first, last in sorted(spans):
        if first > end:
            if end > begin:
                yield begin, end
            begin, end = first, last
        end = max(end, last)
    if end > begin:
        yield begin, end
