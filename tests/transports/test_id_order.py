"""Resuming by ids that the protocol orders: what is proven, and where a stream can be resumed."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import ProtocolError, StreamTruncatedError
from runagent._call import NOT_RESUMED
from runagent.transports import IdOrder, ResumePoint
from tests.support.peer import chunked
from tests.support.resumable import ThreadSession, ThreadTransport
from tests.support.sessions import Seen, feed, open_session

Event = tuple[str | None, dict[str, Any]]

many = settings(derandomize=True, max_examples=200, database=None)


def by_id(event_id: str) -> ResumePoint:
    return ResumePoint(last_event_id=event_id, proof="id")


def order(resume: ResumePoint | None = None) -> IdOrder:
    return IdOrder(ThreadSession.place_of, resume)


def test_the_resume_point_is_behind_the_last_id() -> None:
    ids = order()
    assert ids.resume_point() is None
    for event_id in ("9-1", "9-2", "10-0"):
        assert ids.take(event_id) is None
        assert by_id(event_id) == ids.resume_point()


@pytest.mark.parametrize("event_id", ["9-2", "9-1", "8-9"])
def test_an_id_that_repeats_or_goes_back_is_an_error(event_id: str) -> None:
    ids = order()
    assert ids.take("9-2") is None
    fault = ids.take(event_id)
    assert (ProtocolError, None) == (type(fault), fault and fault.code)
    assert event_id in str(fault)


@pytest.mark.parametrize(
    "event_id", ["9-2", "9-1", "8-9", "", None, "x", "9-x", "9", "9-3-1", "9-3\n", "9" * 1024 + "-1"]
)
def test_the_first_event_of_a_resumed_stream_must_be_later(event_id: str | None) -> None:
    fault = order(by_id("9-2")).take(event_id)
    assert (ProtocolError, NOT_RESUMED) == (type(fault), fault and fault.code)


def test_what_gives_the_reader_nothing_needs_no_proof() -> None:
    ids = order(by_id("9-2"))
    assert ids.take(None, gives=False) is None
    assert by_id("9-2") == ids.resume_point()
    assert ids.take(None, gives=False, holds=True) is not None
    assert ids.take("9-3") is None


def test_an_agent_without_ids_is_never_resumed() -> None:
    ids = order()
    for event_id in (None, "", "x"):
        assert ids.take(event_id) is None
        assert ids.resume_point() is None


def test_behind_content_without_an_id_no_place_is_known() -> None:
    ids = order()
    for event_id, point in (("9-1", by_id("9-1")), (None, None), ("9-2", by_id("9-2"))):
        assert ids.take(event_id) is None
        assert point == ids.resume_point()


def test_the_point_waits_until_what_is_kept_back_has_been_given() -> None:
    ids = order()
    steps: list[tuple[str | None, bool, bool, ResumePoint | None]] = [
        ("9-1", True, False, by_id("9-1")),
        ("9-2", False, True, by_id("9-1")),  # half a tool call
        (None, False, True, by_id("9-1")),
        ("9-3", True, True, None),  # a text while it is still kept back: it must not come again
        ("9-4", False, True, None),
        ("9-5", True, False, by_id("9-5")),
    ]
    for event_id, gives, holds, point in steps:
        assert ids.take(event_id, gives=gives, holds=holds) is None
        assert point == ids.resume_point()


def test_with_trust_the_first_event_proves_nothing() -> None:
    for event_id in ("1-1", None):
        ids = order(ResumePoint(last_event_id="9-2"))
        assert ids.take(event_id) is None
    assert order(ResumePoint(last_event_id="x")).take("1-1") is None


# Any stream, cut anywhere


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Events with increasing ids or none, among them tool calls in pieces and an emoji in halves."""
    events: list[Event] = []
    place = [draw(st.integers(0, 3)), 0]
    for kind in draw(st.lists(st.sampled_from("ttttecn"), max_size=8)):
        forms: dict[str, list[dict[str, Any]]] = {
            "t": [{"text": draw(st.sampled_from(["a", "bc", "ö"]))}],
            "e": [{"text": "x\ud83d"}, {"text": "\ude00y"}],
            "c": [
                {"tool": "f("},
                *[{"text": "between"}] * draw(st.integers(0, 1)),
                {"tool": ")", "last": True},
            ],
            "n": [{}],
        }
        for message in forms[kind]:
            place = [place[0] + draw(st.integers(0, 1)), place[1] + 1]
            event_id = None if draw(st.integers(0, 9)) == 0 else f"{place[0]}-{place[1]}"
            events.append((event_id, message))
    return [*events, (f"{place[0]}-{place[1] + 1}", {"end": True})]


def body(events: list[Event]) -> bytes:
    lines = [
        (f"id: {event_id}\n" if event_id else "") + f"data: {json.dumps(message)}\n\n"
        for event_id, message in events
    ]
    return "".join(lines).encode()


def play(data: bytes, resume: ResumePoint | None = None, step: int = 1 << 20) -> Seen:
    answer = chunked("text/event-stream", data, end=False)
    return feed(open_session(ThreadTransport(), resume=resume), answer, step=step, eof=True)


def text_of(seen: Seen) -> str:
    return "".join(seen.contents)


def behind(events: list[Event], event_id: str) -> list[Event]:
    (place,) = [at for at, event in enumerate(events) if event[0] == event_id]
    return events[place + 1 :]


@many
@given(st.data(), streams(), st.sampled_from([7, 1 << 20]))
def test_a_stream_cut_anywhere_and_resumed_is_the_same_stream(
    data: st.DataObject, events: list[Event], step: int
) -> None:
    whole = play(body(events))
    assert whole.error is None
    text, resume = "", None
    for last in (False, False, True):
        rest = events if resume is None else behind(events, resume.last_event_id)
        sent = body(rest)
        seen = play(sent if last else sent[: data.draw(st.integers(0, len(sent)))], resume, step)
        text += text_of(seen)
        if seen.error is None:
            break
        if seen.error.code == NOT_RESUMED:  # the rest begins with content that has no id
            assert any(message for _, message in itertools.takewhile(lambda event: not event[0], rest))
            return
        assert type(seen.error) is StreamTruncatedError
        if seen.events:  # otherwise the run would resume where it did before
            resume = seen.session.resume_point
            if resume is None:
                return
    assert text_of(whole) == text


numbers = st.lists(st.integers(0, 40), unique=True, min_size=2, max_size=8).map(sorted)


@many
@given(st.data(), numbers)
def test_what_a_reader_is_given_is_never_repeated_nor_out_of_order(
    data: st.DataObject, places: list[int]
) -> None:
    """A service that sends whatever it likes behind the cut: nothing is given twice or in another order."""
    cut = data.draw(st.integers(1, len(places) - 1))
    given = places[:cut]
    ids = order(by_id(f"1-{given[-1]}"))
    sent = data.draw(st.lists(st.sampled_from(places), max_size=8) | st.permutations(places))
    for place in sent:
        if ids.take(f"1-{place}") is not None:
            break
        given.append(place)
    assert sorted(set(given)) == given
    if sent == places[cut:]:
        assert places == given
