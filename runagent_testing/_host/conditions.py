"""Conditions of rules: what a request has to be like, and in which way one is not. No I/O."""

from __future__ import annotations

import inspect
import re
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runagent_testing._internal.redaction import Secrets
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.computed import Computed, called
from runagent_testing._script.numbers import is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Conditions", "Facts", "Predicate"]

__tracebackhide__ = is_ours

_PATIENCE = 30.0  # seconds for a function to return

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions look at in a request.

    Attributes:
        query: As the dialect finds it.
        body: The decoded request.
        headers: Names in lower case.
        number: The number of the run, counted from 1.
        secrets: Hides the request's credentials in descriptions.
    """

    query: Any
    body: Any
    headers: Mapping[str, str]
    number: int
    secrets: Secrets


@dataclass(frozen=True, slots=True)
class Predicate(Computed):
    """A function that decides whether a rule applies."""

    method: ClassVar[str] = "when(matches=...)"

    @classmethod
    def asking(cls, function: object) -> Predicate:
        """Check the function of a rule.

        Raises:
            TypeError: It is not a plain function.
        """
        asked = called(function) if callable(function) else None
        is_plain = not (inspect.iscoroutinefunction(asked) or inspect.isasyncgenfunction(asked))
        if not callable(function) or not is_plain or inspect.isgeneratorfunction(asked):
            raise TypeError(f"when(matches=...) takes a plain function of the request, not {function!r}")
        return cls(function, {}, _PATIENCE)

    def rows(self, given: object) -> tuple[Any, ...]:
        """Return the verdict, as the one step of an answer."""
        return (bool(given),)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a rule, all of which have to hold; None for those that it does not have.

    Attributes:
        query: The query, or a pattern that is searched for in it.
        body: A part of the decoded request.
        headers: Some of its header fields; None as a value for one that is missing.
        nth: Numbers of runs.
        matches: A function of the request.
    """

    query: Any = None
    body: Any = None
    headers: Mapping[str, str | re.Pattern[str] | None] | None = None
    nth: int | Collection[int] | None = None
    matches: Predicate | None = None

    @classmethod
    def of(
        cls,
        query: object = None,
        body: object = None,
        headers: object = None,
        nth: object = None,
        matches: Callable[..., object] | None = None,
    ) -> Conditions:
        """Check the arguments of ``when``.

        Raises:
            TypeError: There is no condition, or one has the wrong type.
            ValueError: ``nth`` has a number below 1, or none.
        """
        if all(given is None for given in (query, body, headers, nth, matches)):
            raise TypeError("when() takes a condition: query=, body=, headers=, nth= or matches=")
        if query is not None:
            _check_value(query, "query")
        if body is not None:
            _check_value(body, "body")
        return cls(
            query,
            body,
            None if headers is None else _checked_headers(headers),
            None if nth is None else _checked_numbers(nth),
            None if matches is None else Predicate.asking(matches),
        )

    @property
    def needs_input(self) -> bool:
        """Whether the input of a run has to be known, which on a WebSocket follows the handshake."""
        # A resumption, which is not counted, is recognised by its input, too.
        return any(given is not None for given in (self.query, self.body, self.nth, self.matches))

    def differences(self, facts: Facts) -> Iterator[str]:
        """Yield each difference between the conditions, apart from the function, and a request."""
        show = _shower(facts.secrets)
        if self.query is not None and (found := _difference(self.query, facts.query, "the query", show)):
            yield found
        if self.body is not None and (found := _difference(self.body, facts.body, "the body", show)):
            yield found
        for name, wanted in (self.headers or {}).items():
            if found := _header_difference(name, wanted, facts):
                yield found
        if self.nth is not None and not _has(self.nth, facts.number):
            yield f"this is run {facts.number}"

    def __str__(self) -> str:
        """Describe the rule in one line without secrets."""
        show = _shower(Secrets())
        headers = None if self.headers is None else _shown_headers(self.headers)
        named = {
            "query": None if self.query is None else show(self.query),
            "body": None if self.body is None else show(self.body),
            "headers": headers,
            "nth": None if self.nth is None else _short.repr(_plain(self.nth)),
            "matches": None if self.matches is None else self.matches.short_name,
        }
        return f"when({', '.join(f'{name}={text}' for name, text in named.items() if text is not None)})"


def _check_value(wanted: object, place: str) -> None:
    """Reject what can be no part of a decoded request."""
    if isinstance(wanted, Mapping):
        for name, value in wanted.items():
            if not isinstance(name, str):
                raise TypeError(f"when({place}=...) has a key that is no text: {name!r}")
            _check_value(value, place)
    elif isinstance(wanted, list | tuple):
        for value in wanted:
            _check_value(value, place)
    elif isinstance(wanted, re.Pattern):
        _check_pattern(wanted, place)
    elif not isinstance(wanted, str | int | float | None):
        raise TypeError(f"when({place}=...) takes JSON values and compiled patterns, not {wanted!r}")


def _check_pattern(pattern: re.Pattern[Any], place: str) -> None:
    if not isinstance(pattern.pattern, str):
        raise TypeError(f"when({place}=...) takes a pattern of text, not of bytes: {pattern!r}")


def _checked_headers(headers: object) -> dict[str, str | re.Pattern[str] | None]:
    if not isinstance(headers, Mapping):
        raise TypeError(f"when(headers=...) takes a mapping of names, not {headers!r}")
    found: dict[str, str | re.Pattern[str] | None] = {}
    for name, wanted in headers.items():
        if not isinstance(name, str) or not isinstance(wanted, str | re.Pattern | None):
            raise TypeError(
                "when(headers=...) takes names, each with a text, a compiled pattern or None, "
                f"not {name!r}: {wanted!r}"
            )
        if isinstance(wanted, re.Pattern):
            _check_pattern(wanted, "headers")
        found[name.lower()] = wanted
    return found


def _checked_numbers(nth: object) -> int | Collection[int]:
    if is_whole(nth, 1):
        assert isinstance(nth, int)
        return nth
    if isinstance(nth, range) and nth and min(nth[0], nth[-1]) >= 1:
        return nth
    if isinstance(nth, list | tuple | set | frozenset) and nth and all(is_whole(one, 1) for one in nth):
        return frozenset(nth)
    if isinstance(nth, bool) or not isinstance(nth, int | range | list | tuple | set | frozenset):
        raise TypeError(f"when(nth=...) takes the number of a run, or a set or range of them, not {nth!r}")
    raise ValueError(f"when(nth=...) takes numbers of runs, counted from 1, not {nth!r}")


def _plain(nth: int | Collection[int]) -> object:
    return set(nth) if isinstance(nth, frozenset) else nth


def _has(nth: int | Collection[int], number: int) -> bool:
    return nth == number if isinstance(nth, int) else number in nth


def _difference(wanted: Any, given: Any, place: str, show: Callable[[Any], str]) -> str | None:
    """Describe the first place where a value differs from the part that is wanted of it."""
    if isinstance(wanted, re.Pattern):
        holds = isinstance(given, str) and wanted.search(given) is not None
    elif isinstance(wanted, Mapping) and isinstance(given, Mapping):
        return _member_difference(wanted, given, place, show)
    elif isinstance(wanted, list | tuple) and isinstance(given, list):
        return _item_difference(wanted, given, place, show)
    else:  # 1 is 1.0 in JSON, but not true
        holds = bool(wanted == given) and isinstance(wanted, bool) == isinstance(given, bool)
    return None if holds else f"{place} is {show(given)}"


def _member_difference(
    wanted: Mapping[str, Any], given: Mapping[str, Any], place: str, show: Callable[[Any], str]
) -> str | None:
    for name, value in wanted.items():
        if name not in given:
            return f"{place} has no {name!r}"
        if found := _difference(value, given[name], f"{name!r} in {place}", show):
            return found
    return None


def _item_difference(
    wanted: list[Any] | tuple[Any, ...], given: list[Any], place: str, show: Callable[[Any], str]
) -> str | None:
    if len(wanted) != len(given):
        return f"{place} has {len(given)} item(s), not {len(wanted)}"
    pairs = enumerate(zip(wanted, given, strict=True), 1)
    found = (_difference(one, other, f"item {number} of {place}", show) for number, (one, other) in pairs)
    return next((each for each in found if each is not None), None)


def _header_difference(name: str, wanted: str | re.Pattern[str] | None, facts: Facts) -> str | None:
    given = facts.headers.get(name)
    if given is None:
        return None if wanted is None else f"there is no header {name!r}"
    holds = bool(wanted.search(given)) if isinstance(wanted, re.Pattern) else wanted == given
    shown = facts.secrets.headers({name: given})[name]
    return None if holds else f"the header {name!r} is {_short.repr(str(shown))}"


def _shown_headers(headers: Mapping[str, str | re.Pattern[str] | None]) -> str:
    texts = {name: wanted for name, wanted in headers.items() if isinstance(wanted, str)}
    return _short.repr({**headers, **Secrets().headers(texts)})


def _shower(secrets: Secrets) -> Callable[[Any], str]:
    return lambda value: _short.repr(secrets.value(value))
