"""Media types: the short way for usual fields gives what the general way gives."""

from __future__ import annotations

from itertools import product

import pytest

from runagent.transports._media import _parse_any, _parse_usual, parse_content_type

TYPES = (
    "text/event-stream",
    "Application/X-NDJSON",
    "application/vnd.a+json",
    "*/*",
    "text",
    "a/b/c",
    "/b",
    "",
)
PARAMETERS = ("", ";", "; charset=utf-8", ";Charset=UTF-8", " ; charset=x", "; charset", "; charset=", "; =x")
MORE = ("", '; charset="utf-8"', "; q=1", ", text/plain", "; charset=é")


@pytest.mark.parametrize("more", MORE)
def test_a_usual_media_type_is_parsed_as_any_other(more: str) -> None:
    fields = [kind + parameter + more for kind, parameter in product(TYPES, PARAMETERS)]
    assert {field: _parse_any(field) for field in fields if _parse_usual(field)} == {
        field: found for field in fields if (found := _parse_usual(field))
    }


@pytest.mark.parametrize(
    "field", ["text/event-stream", "text/event-stream; charset=utf-8", "a/b;charset=Latin-1"]
)
def test_a_usual_media_type_takes_the_short_way(field: str) -> None:
    media_type, _, charset = field.partition(";")
    assert (media_type, charset.rpartition("=")[2]) == _parse_usual(field) == parse_content_type(field)
