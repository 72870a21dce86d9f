"""Media types (RFC 9110 §8.3.1), read as leniently as they are written: one reader for all transports."""

from __future__ import annotations

import re

__all__ = ["is_json", "is_lines", "parse_content_type"]

# A parameter (RFC 9110 §5.6.6); a quoted value may hold a semicolon or a comma.
_PARAMETER = r'(?a);\s*([^\s;,="]+)\s*=\s*(?:([^\s;,"]+)|"((?:[^"\\]|\\.)*)")'
_TYPE = r"(?a)[^\s;,/]+/[^\s;,/]+"
_FIELD_CHARACTERS = 500  # the search takes the square of it in the worst case
_EVENT_STREAM = "text/event-stream"
# The names under which JSON texts go, one a line.
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


def parse_content_type(field: str) -> tuple[str, str]:
    """Split a Content-Type into the media type, in lower case, and its charset; each "" if there is none.

    A field that came twice has two types: the last counts, as the WHATWG Fetch standard has it. The first
    charset counts, if it belongs to the same type. However server-sent events are named, they are
    ``text/event-stream``.
    """
    media_type = charset = ""
    for part in _split(field[:_FIELD_CHARACTERS]):
        found = re.match(_TYPE, part)
        if found is None or found.group() == "*/*":
            continue
        if found.group().lower() != media_type:
            media_type, charset = found.group().lower(), ""
        for name, token, quoted in re.findall(_PARAMETER, part):
            if name.lower() == "charset" and not charset:
                charset = token or re.sub(r"\\(.)", r"\1", quoted)
    return _EVENT_STREAM if _name_of(media_type) == "event-stream" else media_type, charset


def is_lines(media_type: str) -> bool:
    """Whether a body of this type is JSON texts, one a line."""
    return _name_of(media_type) in _LINES


def is_json(media_type: str) -> bool:
    """Whether a body of this type is one JSON text."""
    return _name_of(media_type) == "json" or (media_type.endswith("+json") and not is_lines(media_type))


def _name_of(media_type: str) -> str:
    """Return the subtype without the ``x-`` that unregistered ones have; "" for a type of another family."""
    family, _, name = media_type.partition("/")
    return name.removeprefix("x-") if family in _FAMILIES else ""


def _split(field: str) -> list[str]:
    """Split a field at the commas that are in no quoted text."""
    parts = re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', field)
    return [part.strip(" \t") for part in parts]
