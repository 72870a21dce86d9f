"""NDJSON and plain text: each case whole, as declared, byte by byte and cut at every byte."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from runagent._errors import ProtocolError, RunAgentError, StreamLimitError, StreamTruncatedError
from runagent._wire.ndjson import NDJSONDecoder
from runagent._wire.plaintext import text_decoder
from tests.specifications.decisions import DECISIONS
from tests.specifications.loader import Case, cuts, ndjson_cases

CASES = {case["id"]: case for case in ndjson_cases()}
LINES = {name: case for name, case in CASES.items() if case["mode"] == "ndjson"}
TEXTS = {name: case for name, case in CASES.items() if case["mode"] == "text"}
SECONDS = 2.0

_WORDS = {
    StreamTruncatedError: "incomplete",
    ProtocolError: "invalid-json",
    StreamLimitError: "limit_error",
}


def decode(pieces: list[bytes]) -> list[dict[str, Any]]:
    """Return the values, then perhaps the error, as the cases write them."""
    decoder = NDJSONDecoder()
    records = []
    try:
        for piece in pieces:
            records += [{"value": value} for value in decoder.feed(piece)]
        records += [{"value": value} for value in decoder.close()]
    except RunAgentError as exc:
        number = re.search(r"line (\d+)", str(exc))
        assert number is not None
        assert int(number[1]) <= b"".join(pieces).count(b"\n") + 1
        records.append({"error": _WORDS[type(exc)]})
    return records


def as_json(records: list[dict[str, Any]]) -> list[str]:
    """Distinguish 0 from 0.0 and false, which are equal in Python."""
    return [json.dumps(record, sort_keys=True) for record in records]


def outcome(records: list[dict[str, Any]]) -> str:
    """Return how it ended: the last error, or that all is well."""
    return str(records[-1].get("error", "ok")) if records else "ok"


def _check(case: Case, records: list[dict[str, Any]], cut: str) -> None:
    allowed = [as_json(case["expect"])]
    if "also_allowed" in case:
        allowed.append(as_json(case["also_allowed"]))
    assert as_json(records) in allowed, cut
    if case["class"] == "choice":
        assert outcome(records) == DECISIONS.get(case["id"], outcome(records)), cut


@pytest.mark.parametrize("name", LINES)
def test_lines(name: str) -> None:
    case = LINES[name]
    for cut, pieces in cuts(case):
        start = time.thread_time()
        records = decode(pieces)
        assert time.thread_time() - start < SECONDS, cut
        _check(case, records, cut)


def test_a_value_is_out_before_the_next_line_comes() -> None:
    case = LINES["nd-prompt"]
    first = case["input"][: case["splits"][0]]
    assert [case["expect"][0]["value"]] == NDJSONDecoder().feed(first)


@pytest.mark.parametrize("name", TEXTS)
def test_plain_text(name: str) -> None:
    case = TEXTS[name]
    for cut, pieces in cuts(case):
        decoder = text_decoder("utf-8")
        texts = [decoder.decode(piece) for piece in pieces]
        texts.append(decoder.decode(b"", True))
        _check(case, [{"text": "".join(texts)}], cut)
