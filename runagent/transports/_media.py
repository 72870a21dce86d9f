"""Media types (RFC 9110 §8.3.1), parsed leniently, by one parser for all transports."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["is_json", "is_lines", "parse_content_type"]

# A parameter (RFC 9110 §5.6.6); a quoted value may hold a semicolon or a comma.
_PARAMETER = r'(?a);\s*([^\s;,="]+)\s*=\s*(?:([^\s;,"]+)|"((?:[^"\\]|\\.)*)")'
_TYPE = r"(?a)[^\s;,/]+/[^\s;,/]+"
_FIELD_CHARACTERS = 500  # the search takes quadratic time in the worst case
_EVENT_STREAM = "text/event-stream"
# Names in use for JSON texts, one on each line.
_LINES = frozenset(
    {
        "json-lines",
        "json-stream",
        "jsonl",
        "jsonlines",
        "jsonstream",
        "ld-json",
        "ldjson",
        "nd-json",
        "ndjson",
        "stream+json",
        "vnd.apple.ndjson",
    }
)
_FAMILIES = frozenset({"application", "text"})
_MARKS = b"+-._"


def parse_content_type(field: str) -> tuple[str, str]:
    """Split a Content-Type into the media type, in lower case, and its charset; each "" if there is none.

    If a field came twice and has two types, the last one counts (WHATWG Fetch), and of the charsets for that
    type the first one. All names of server-sent events become ``text/event-stream``.
    """
    return _parse(field[:_FIELD_CHARACTERS])


@lru_cache(maxsize=16)  # all answers of a service have the same
def _parse(field: str) -> tuple[str, str]:
    media_type, charset = _parse_usual(field) or _parse_any(field)
    return _EVENT_STREAM if _name_of(media_type) == "event-stream" else media_type, charset


def _parse_usual(field: str) -> tuple[str, str] | None:
    """Parse one type with at most a charset; None if the field is anything else.

    It needs none of the regular expressions, which a process would have to compile before its first chunk.
    """
    media_type, _, parameter = field.partition(";")
    family, _, subtype = media_type.partition("/")
    name, _, charset = parameter.strip(" \t").partition("=")
    is_usual = name.lower() == "charset" and _is_word(charset) if parameter else True
    return (media_type.lower(), charset) if is_usual and _is_word(family) and _is_word(subtype) else None


def _is_word(text: str) -> bool:
    return text.isascii() and text.encode().translate(None, _MARKS).isalnum()


def _parse_any(field: str) -> tuple[str, str]:
    media_type = charset = ""
    for part in _split(field):
        found = re.match(_TYPE, part)
        if found is None or found.group() == "*/*":
            continue
        if found.group().lower() != media_type:
            media_type, charset = found.group().lower(), ""
        for name, token, quoted in re.findall(_PARAMETER, part):
            if name.lower() == "charset" and not charset:
                charset = token or re.sub(r"\\(.)", r"\1", quoted)
    return media_type, charset


def is_lines(media_type: str) -> bool:
    """Whether a body of this type consists of JSON texts, one on each line."""
    return _name_of(media_type) in _LINES


def is_json(media_type: str) -> bool:
    """Whether a body of this type is one JSON text."""
    return _name_of(media_type) == "json" or (media_type.endswith("+json") and not is_lines(media_type))


def _name_of(media_type: str) -> str:
    """Return the subtype without the ``x-`` of unregistered ones; "" unless it is of application or text."""
    family, _, name = media_type.partition("/")
    return name.removeprefix("x-") if family in _FAMILIES else ""


def _split(field: str) -> list[str]:
    """Split a field at the commas outside of quoted strings."""
    parts = re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', field)
    return [part.strip(" \t") for part in parts]
