"""The outcome of a run, compared with what a case expects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.specifications.decisions import DECISIONS

if TYPE_CHECKING:
    from tests.specifications.loader import Case
    from tests.specifications.outcomes import Outcome

__all__ = ["check_http", "check_websocket"]


def _check_word(case: Case, outcome: Outcome) -> bool:
    """Compare how a run ended; return whether it was the first of the ends that are allowed."""
    expect = case["expect"]
    assert outcome.word in (expect["outcome"], *expect.get("also_allowed", ())), outcome.error
    if case["class"] == "choice":
        assert DECISIONS.get(case["id"], outcome.word) == outcome.word
    return bool(outcome.word == expect["outcome"])


def check_http(case: Case, outcome: Outcome) -> None:
    """Compare what a run over HTTP came to with what a case expects."""
    if _check_word(case, outcome):
        _check_answer(case["expect"], outcome)
        _check_requests(case["expect"], outcome)


def check_websocket(case: Case, outcome: Outcome) -> None:
    """Compare what a WebSocket came to with what a case expects."""
    expect = case["expect"]
    expected = _check_word(case, outcome)
    assert expect["messages"] == outcome.contents
    if expected and "close_code_seen" in expect:
        assert expect["close_code_seen"] == outcome.close_code_seen
        assert expect.get("close_reason", "") in str(outcome.error)
    if expected and outcome.word in ("failed", "limit_error"):
        assert outcome.close_code_sent in expect.get("close_code_sent", [outcome.close_code_sent])


def _check_answer(expect: dict[str, Any], outcome: Outcome) -> None:
    """Compare status and body; the body of a refusal is read for its message."""
    if "status" in expect:
        assert expect["status"] == outcome.status
    body = expect.get("body", outcome.body)
    if outcome.word == "http_error" and body:
        assert json.loads(body)["error"]["message"] in str(outcome.error)
        body = b""
    # Of what never came to its end the cases name whole events only; a body is given as it comes.
    assert body == outcome.body if outcome.word == "ok" else outcome.body.startswith(body)


def _check_requests(expect: dict[str, Any], outcome: Outcome) -> None:
    """Compare what the peer has seen."""
    for wanted, request in zip(expect.get("requests", ()), outcome.requests, strict=False):
        assert wanted == {name: request[name] for name in wanted}
    assert len(outcome.requests) == len(expect.get("requests", outcome.requests))
