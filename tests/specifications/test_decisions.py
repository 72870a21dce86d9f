"""docs/conformance.md names every case that leaves a choice; the other tests compare the outcomes."""

from __future__ import annotations

import pytest

from tests.specifications.cutting import CUTS
from tests.specifications.decisions import DECISIONS
from tests.specifications.loader import Case, http_cases, ndjson_cases, sse_cases, websocket_cases
from tests.specifications.replay import replay_http

COLLECTIONS = {
    "sse": sse_cases(),
    "ndjson": ndjson_cases(),
    "http": http_cases(),
    "ws": websocket_cases(),
}


def test_every_choice_is_written_down_and_nothing_else() -> None:
    choices = [case["id"] for cases in COLLECTIONS.values() for case in cases if case["class"] == "choice"]
    assert sorted(choices) == sorted(DECISIONS)


@pytest.mark.parametrize(("name", "count"), {"sse": 136, "ndjson": 52, "http": 117, "ws": 110}.items())
def test_no_case_is_lost(name: str, count: int) -> None:
    cases = COLLECTIONS[name]
    assert count == len({case["id"] for case in cases})
    assert {"must", "should", "choice"} >= {case["class"] for case in cases}


def test_a_redirect_that_is_refused_names_its_address() -> None:
    case: Case = next(case for case in COLLECTIONS["http"] if case["id"] == "rd-302-post")
    outcome = replay_http(case, CUTS["whole"])
    assert [{"method": "POST", "target": "/", "body": True}] == outcome.requests
    assert '"/next"' in str(outcome.error)
