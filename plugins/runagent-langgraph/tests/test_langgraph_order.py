"""The order of a run's events: shared ids, repetitions behind a replay, and where a stream goes on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runagent_langgraph.order import BEGINNING, EventOrder, are_placed, id_to_ask

from runagent import ProtocolError, StreamTruncatedError, ValidationError
from runagent.transports import ResumePoint, ServerSentEvent


@dataclass
class Server:
    """Keeps events as the development server does.

    Attributes:
        events: The milliseconds and the data of each event.
    """

    events: list[tuple[int, str]]

    def replay(self, after: str, *, repeated: int = 0) -> list[ServerSentEvent]:
        """Return the events behind an id; the last ones come once more, as they came while it replayed."""
        known = [event_of(*event) for event in self.events if f"{event[0]}-0" > after]
        return known + (known[-repeated:] if repeated else [])


def event_of(milliseconds: int, data: str) -> ServerSentEvent:
    return ServerSentEvent("custom", data, f"{milliseconds}-0", has_id=True)


def read(order: EventOrder, events: list[ServerSentEvent]) -> str:
    """Return the data of the new events."""
    found = ""
    for event in events:
        if order.is_new(event):
            order.note(gives=True, holds=False)
            found += event.data
    return found


def read_on(point: ResumePoint | None, server: Server) -> str:
    """Read the rest of a run, with another request whenever one cannot show what is new."""
    found = ""
    for _ in range(3):
        order = EventOrder(point, replayed=True)
        for event in server.replay(id_to_ask(point)):
            try:
                found += read(order, [event])
            except StreamTruncatedError:
                break
        else:
            return found
        point = order.resume_point()
    pytest.fail("it took more than three requests")


RUN = Server([(10, "a"), (11, "b"), (11, "c"), (11, "c"), (12, "d"), (13, "e")])


@pytest.mark.parametrize("count", range(len(RUN.events) + 1))
def test_a_stream_goes_on_behind_any_event_although_some_share_an_id(count: int) -> None:
    order = EventOrder(None, replayed=False)
    first = read(order, RUN.replay(BEGINNING)[:count])
    assert "abccde" == first + read_on(order.resume_point(), RUN)


@pytest.mark.parametrize("repeated", range(2, 7))
@pytest.mark.parametrize("last", [[], [(14, "f"), (14, "f"), (15, "g")]])
def test_events_that_came_while_the_server_replayed_count_once(
    repeated: int, last: list[tuple[int, str]]
) -> None:
    live = [event_of(*event) for event in last]
    order = EventOrder(None, replayed=True)
    run = Server([(1, "a"), (2, "b"), (3, "c"), (4, "d"), (4, "e"), (5, "f"), (6, "g")])
    expected = "abcdefg" + "".join(data for _, data in last[:1])
    assert expected == read(order, [*run.replay(BEGINNING, repeated=repeated), *live[:1]])


def test_two_events_of_one_id_behind_a_repetition_are_two() -> None:
    order = EventOrder(None, replayed=True)
    events = [event_of(*each) for each in ((1, "a"), (2, "b"), (1, "a"), (2, "b"), (2, "b"), (3, "c"))]
    assert "abbc" == read(order, events)


def test_what_may_be_one_event_or_two_is_asked_for_again() -> None:
    order = EventOrder(None, replayed=True)
    with pytest.raises(StreamTruncatedError, match="may have come twice"):
        read(order, [event_of(1, "a"), event_of(2, "b"), event_of(2, "b"), event_of(3, "c")])
    point = order.resume_point()
    assert "1-0" == id_to_ask(point)
    for stored, rest in (("b", "c"), ("bb", "bc")):  # one event that came twice, or two
        run = Server([(1, "a"), *((2, each) for each in stored), (3, "c")])
        assert rest == read(EventOrder(point, replayed=True), run.replay(id_to_ask(point)))


def test_a_stream_that_begins_elsewhere_is_refused() -> None:
    point = ResumePoint(last_event_id="10-0 11-0 2", proof="id")
    for events in (
        RUN.replay("11-0"),
        RUN.replay(BEGINNING),
        [ServerSentEvent("custom", "x", "", has_id=False)],
    ):
        with pytest.raises(ProtocolError, match="did not begin with the event 11-0") as caught:
            read(EventOrder(point, replayed=True), events)
        assert "NOT_RESUMED" == caught.value.code


def test_without_a_proof_a_stream_goes_on_with_any_later_event() -> None:
    point = ResumePoint(last_event_id="10-0 11-0 3")
    assert "de" == read(EventOrder(point, replayed=True), RUN.replay("11-0"))


@pytest.mark.parametrize("replayed", [False, True])
def test_an_earlier_event_is_an_error_unless_it_is_repeated(replayed: bool) -> None:
    order = EventOrder(ResumePoint(last_event_id="-1 20-0 1", proof="id"), replayed=replayed)
    events = [event_of(20, "a"), event_of(19, "b")]  # which came before this stream was asked for
    with pytest.raises(ProtocolError, match='the event "19-0" came after 20-0'):
        read(order, events)


def test_behind_an_event_without_an_id_there_is_no_place_until_the_next_id() -> None:
    order = EventOrder(None, replayed=False)
    read(order, [event_of(1, "a")])
    read(order, [ServerSentEvent("custom", "x", "1-0", has_id=False)])
    assert order.resume_point() is None
    read(order, [event_of(2, "b")])
    assert "1-0 2-0 1" == (order.resume_point() or ResumePoint()).last_event_id


def test_behind_what_is_kept_back_there_is_no_place() -> None:
    order = EventOrder(None, replayed=False)
    for number, (gives, holds) in enumerate([(True, False), (False, True), (True, True), (True, False)], 1):
        assert order.is_new(event_of(number, "x"))
        order.note(gives=gives, holds=holds)
        point = order.resume_point()
        assert [None, "-1 1-0 1", "-1 1-0 1", None, "3-0 4-0 1"][number] == (point and point.last_event_id)


@pytest.mark.parametrize("text", ["7", "1-0", "1-0 2-0", "-1 2-0 x", "2-0 1-0 1\n", "1-0 2-0 -1"])
def test_a_place_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="not a place in a run of LangGraph"):
        id_to_ask(ResumePoint(last_event_id=text, proof="id"))


def test_the_events_of_one_id_are_limited() -> None:
    order = EventOrder(None, replayed=False)
    with pytest.raises(ProtocolError, match="more than 4096 events have the id 1-0"):
        read(order, [event_of(1, str(number)) for number in range(5000)])


EVENT = st.tuples(
    st.integers(8, 12), st.sampled_from("ab"), st.sampled_from(["{}-0", "{}-1", "{}-00", "{}", ""])
)


@given(st.booleans(), st.lists(EVENT, max_size=12))
def test_events_that_follow_one_another_are_judged_as_any_others(replayed: bool, events: Any) -> None:
    found = []
    ids = [form.format(number) for number, _, form in events]
    placed = bool(ids) and are_placed([ServerSentEvent("custom", "", id_) for id_ in ids])
    for quick in (False, True):
        order = EventOrder(None, replayed=replayed)
        seen: list[Any] = []
        for number, data, form in events:
            event = ServerSentEvent("custom", data, form.format(number), has_id=bool(form))
            try:
                if not (quick and order.follows(event, is_placed=placed)) and order.is_new(event):
                    order.note(gives=True, holds=False)
            except (ProtocolError, StreamTruncatedError) as exc:
                seen.append(type(exc))
                break
            seen.append(order.resume_point())
        found.append(seen)
    assert found[0] == found[1]


PLACES = st.text("019-\u0661\n", max_size=4)


@given(st.lists(PLACES, min_size=1, max_size=4) | st.lists(st.just("1-0"), min_size=1), PLACES)
def test_ids_are_of_one_form_if_each_has_as_many_digits_on_both_sides(ids: list[str], more: str) -> None:
    found = [re.fullmatch(r"([019]+)-([019]+)", id_) for id_ in [*ids, more]]
    expected = len({match and (len(match[1]), len(match[2])) for match in found} | {None}) == 2
    placed = are_placed([ServerSentEvent("custom", "", id_) for id_ in [*ids, more]])
    assert placed == (expected and None not in found)
