"""Messages about values that could hold a secret: what may be shown of them, and what of a bad document."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

__all__ = ["describe", "parse_json", "redact_url"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def redact_url(text: str, limit: int = 100) -> str:
    """Quote a URL for a message, without user name, password, query and fragment.

    It is made for malformed URLs too, so it hides more than a correct parser would: everything before the
    last ``@``, and whatever stands where a port should be but is no number (``http://user:password``).
    """
    match = _SCHEME.match(text)
    scheme = match.group() if match else ""
    _, at, rest = text[len(scheme) :].rpartition("@")
    shown = re.split(r"[?#]", rest, maxsplit=1)[0]
    hidden = "" if shown == rest else "?…"
    authority = shown.partition("/")[0]
    host, colon, port = authority.partition(":")
    if colon and not port.isdigit() and not authority.startswith("["):
        shown, hidden = host, ":…"
    return repr(_shorten(f"{scheme}{'***@' if at else ''}{shown}", limit) + hidden)


def describe(value: object, limit: int = 60) -> str:
    """Say what a value is: plain scalars are quoted, of anything else only the type is named."""
    if value is None or isinstance(value, bool | int | float):
        return _shorten(_scalar(value), limit)
    if isinstance(value, str):
        return f"the text {_shorten(value, limit)!r}"
    return f"a value of type {type(value).__name__}"


def parse_json(text: str | bytes) -> Any:
    """Decode JSON strictly (no duplicate keys), with errors that do not carry the document.

    Args:
        text: Bytes may be UTF-8, UTF-16 or UTF-32 and begin with a byte order mark.

    Raises:
        ValueError: It is no JSON. A `json.JSONDecodeError` would hold the whole text, keys included.
    """
    import json

    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        problem = f"not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    except UnicodeDecodeError as error:
        problem = f"not valid {error.encoding} text at byte {error.start}"
    except RecursionError:
        problem = "not usable JSON: nested too deeply"
    except ValueError as error:
        problem = f"not usable JSON: {error}"
    raise ValueError(problem)  # outside of the except clauses, so that it has no __context__


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError(f"duplicate key {Counter(name for name, _ in pairs).most_common(1)[0][0]!r}")
    return result


def _scalar(value: float | None) -> str:
    try:
        return repr(value)
    except ValueError:  # more digits than sys.get_int_max_str_digits() lets through
        return "a huge number"


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
