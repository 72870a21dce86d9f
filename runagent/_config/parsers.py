"""Parsers of setting values: each returns the value, or raises an error that names its source."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from runagent._errors import ConfigurationError
from runagent._internal.suggestions import nearest
from runagent._redact import describe, lone_surrogate, parse_json, redact_url

__all__ = [
    "TRANSPORT_GROUPS",
    "ApiKey",
    "Parser",
    "invalid",
    "one_of",
    "parse_api_key",
    "parse_count",
    "parse_factor",
    "parse_index",
    "parse_log_level",
    "parse_options",
    "parse_positive_seconds",
    "parse_proxy_setting",
    "parse_resume",
    "parse_seconds",
    "parse_transport",
    "read_json",
    "read_number",
    "unexpected",
    "validate_api_key",
]

# Names that mean one or several transports; no transport may take such a name.
TRANSPORT_GROUPS = {"auto": ("sse", "chunked", "websocket"), "ndjson": ("chunked",)}
ApiKey = str | Callable[[], str | Awaitable[str]]
Parser = Callable[[Any, str], Any]
_QUOTES = ('"', "'", "`")


def invalid(source: str, problem: str) -> ConfigurationError:
    """Make the error for a setting that came from ``source``."""
    return ConfigurationError(f"{source}: {problem}", code="INVALID_SETTING", details={"source": source})


def unexpected(source: str, expected: str, value: object) -> ConfigurationError:
    """Make the error for a value that is not what ``expected`` describes."""
    return invalid(source, f"expected {expected}, found {describe(value)}")


def _number(expected: str, accepts: Callable[[float], bool], kind: type[int | float] = float) -> Parser:
    def parse(value: Any, source: str) -> Any:
        if isinstance(value, (int, kind)) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):
                if math.isfinite(value) and accepts(value):
                    return kind(value)
        raise unexpected(source, expected, value)

    return parse


parse_positive_seconds = _number("a finite number of seconds above 0", lambda number: number > 0)
parse_seconds = _number("a finite number of seconds, 0 or more", lambda number: number >= 0)
parse_factor = _number("a finite number, 1 or more", lambda number: number >= 1)
parse_count = _number("a whole number, 0 or more", lambda number: number >= 0, kind=int)
parse_index = _number("the index of a chunk", lambda number: 0 <= number < 2**53, kind=int)


def one_of(expected: str, *choices: bool | str) -> Parser:
    """Make a parser that accepts only these values."""

    def parse(value: Any, source: str) -> Any:
        if not isinstance(value, bool | str) or value not in choices:
            raise unexpected(source, expected, value)
        return value

    return parse


parse_resume = one_of('true, false or "trust"', True, False, "trust")


def validate_api_key(value: object, source: str) -> str:
    """Return an API key without the blanks around it, after a check that a header can hold it.

    Raises:
        ConfigurationError: The key is not text, is empty, is in quotes, or holds other characters than
            visible ASCII. The message does not show the key.
    """
    if not isinstance(value, str):
        raise invalid(source, f"expected the API key as text, found a value of type {type(value).__name__}")
    value = value.strip()
    if value[:1] in _QUOTES or value[-1:] in _QUOTES:
        raise invalid(source, "the API key is in quotes, which would be sent with it; leave them out")
    if not value:
        raise invalid(source, "the API key is empty; leave it out to send none")
    if not all("!" <= character <= "~" for character in value):
        hint = "give the bare key, without quotes, line breaks or a word such as Bearer before it"
        raise invalid(source, f"the API key may hold only visible ASCII characters; {hint}")
    return value


def parse_api_key(value: Any, source: str) -> ApiKey:
    """Check an API key; a function that returns one is checked at each attempt."""
    return value if callable(value) else validate_api_key(value, source)


def parse_transport(value: Any, source: str) -> tuple[str, ...]:
    """Return the names of transports in order of preference, groups and aliases expanded."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise unexpected(source, "a transport's name or a list of names", value)
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise unexpected(source, "a transport's name that is not empty", name)
        if "://" in name:
            raise invalid(
                source, f"expected a transport's name, found {redact_url(name)}; put a URL into base_url"
            )
    stripped = [name.strip() for name in names]
    return tuple(dict.fromkeys(one for name in stripped for one in TRANSPORT_GROUPS.get(name, (name,))))


def parse_options(value: Any, source: str) -> Mapping[str, Any]:
    """Check an object of transport options; each transport checks the values of its options."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise invalid(source, f"expected an object with text as keys, found a {type(value).__name__}")
    try:
        _check_texts(value, source)
    except RecursionError:
        raise invalid(source, "nested too deeply") from None
    return MappingProxyType(dict(value))


def _check_texts(value: Any, path: str) -> None:
    """Reject lone surrogates, which cannot be sent; the transport checks values that are not text."""
    if isinstance(value, str) and (at := lone_surrogate(value)) is not None:
        raise invalid(path, f"the text holds a lone surrogate at position {at}")
    if isinstance(value, Mapping):
        for name, item in value.items():
            _check_texts(name, f"{path} (a key)")
            _check_texts(item, f"{path}[{name!r}]")
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            _check_texts(item, f"{path}[{place}]")


def parse_proxy_setting(value: Any, source: str) -> str:
    """Check a proxy's URL."""
    if value != "":  # an empty text means no proxy, even if the environment names one
        from runagent._address.proxy import parse_proxy  # most clients have none

        parse_proxy(value, source)
    return value  # type: ignore[no-any-return]


def parse_log_level(value: Any, source: str) -> str:
    """Return the name of a log level in capitals."""
    known = {name: name for name in logging.getLevelNamesMapping()}
    if isinstance(value, str) and value.upper() in known:
        return value.upper()
    problem = f"expected the name of a log level, found {describe(value)}"
    raise invalid(source, problem + nearest(str(value).upper(), known))


def read_number(text: str, _source: str) -> Any:
    """Read a number from environment text; other text is returned as it is."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def read_json(text: str | bytes, source: str) -> Any:
    """Read a JSON document."""
    try:
        return parse_json(text)
    except ValueError as error:
        raise invalid(source, str(error)) from None
