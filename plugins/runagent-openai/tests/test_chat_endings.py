"""How a stream of Chat Completions ends: which ends are proven, and what is a cut."""

from __future__ import annotations

from typing import Any

import pytest

from runagent import StreamTruncatedError
from tests.support.chat import DONE, STOP, ended, events, piece, run, sends
from tests.support.peer import sse
from tests.support.sessions import Seen, feed, open_session

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"  # of a body that ends with the connection
)


def until_the_connection_ends(*payloads: Any, tail: bytes = b"") -> Seen:
    return feed(open_session("openai"), HEAD + b"".join(events(*payloads)) + tail, eof=True)


def test_the_good_end() -> None:
    assert (True, "stop") == ended(run(piece("x"), STOP, DONE))


def test_a_reason_to_stop_is_an_end_as_sure_as_the_body() -> None:
    assert (True, "stop") == ended(run(piece("x"), STOP))
    assert (False, "stop") == ended(until_the_connection_ends(piece("x"), STOP))


def test_done_without_a_reason_proves_nothing() -> None:
    assert (False, None) == ended(run(piece("x"), DONE))
    assert (False, None) == ended(run(DONE))


@pytest.mark.parametrize(
    ("payloads", "end"),
    [
        pytest.param([piece("x")], True, id="no reason and no done"),
        pytest.param([piece("x"), STOP], False, id="the body cut behind the reason"),
        pytest.param([], True, id="nothing"),
    ],
)
def test_any_other_end_is_a_cut(payloads: list[Any], end: bool) -> None:
    assert StreamTruncatedError is ended(run(*payloads, end=end))


@pytest.mark.parametrize("tail", [b"data: [DO", b"data: [DONE]\n", b"data: {}\n"])
def test_an_event_that_is_cut_is_a_cut(tail: bytes) -> None:
    assert StreamTruncatedError is ended(until_the_connection_ends(piece("x"), STOP, tail=tail))


@pytest.mark.parametrize("framed", [True, False], ids=["chunked", "until the connection ends"])
def test_no_beginning_of_an_answer_is_taken_for_all_of_it(framed: bool) -> None:
    payloads = events(piece("a"), piece("b"), STOP, DONE)
    whole = sse(b"".join(payloads)) if framed else HEAD + b"".join(payloads)
    for size in range(len(HEAD), len(whole)):
        seen = feed(open_session("openai"), whole[:size], eof=True)
        if b"[DONE]\n\n" in whole[:size]:
            expected: Any = True, "stop"
        elif not framed and whole[:size].endswith(payloads[2]):
            expected = False, "stop"
        else:
            expected = StreamTruncatedError
        assert (size, expected) == (size, ended(seen))
        assert ["a", "b"][: len(seen.contents)] == seen.contents


def test_nothing_counts_after_done() -> None:
    seen = run(piece("x"), STOP, DONE, piece("late"), "{")
    assert (["x"], (True, "stop")) == (seen.contents, ended(seen))


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_was_cut_is_marked(reason: str) -> None:
    assert (True, reason) == ended(run(piece("x"), sends({}, reason), DONE))
