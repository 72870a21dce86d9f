"""Where a reader goes on: exactly behind what it was handed, or nowhere."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runagent import Chunk, Custom
from runagent._run.handed import Handed, place_after
from runagent.transports import ResumePoint

KINDS = st.lists(st.booleans(), max_size=12)
BATCHES = st.lists(st.integers(1, 4), max_size=12)


def numbered(kinds: list[bool]) -> list[Any]:
    """Return events: a chunk with the next index for each True."""
    return [Chunk("x", sum(kinds[:at])) if chunk else Custom("c") for at, chunk in enumerate(kinds)]


def in_batches(events: list[Any], sizes: list[int]) -> list[list[Any]]:
    """Cut events into batches of these sizes; the last one has the rest."""
    batches, at = [], 0
    for size in sizes:
        batches.append(events[at : at + size])
        at += size
    return [batch for batch in (*batches, events[at:]) if batch]


def places(batches: list[list[Any]]) -> list[tuple[int, ResumePoint | None]]:
    """Return after each number of events where a reader goes on."""
    found: list[tuple[int, ResumePoint | None]] = [(0, None)]
    before, count = None, 0
    for batch in batches:
        for unread in reversed(range(len(batch))):
            place = Handed(batch, unread, before, lost=False).place
            found += [(count + len(batch) - unread, place)]
        before, count = place_after(batch, before), count + len(batch)
    return found


@given(KINDS, BATCHES)
def test_an_index_is_the_number_of_chunks_that_were_read(kinds: list[bool], sizes: list[int]) -> None:
    events = numbered(kinds)
    for count, place in places(in_batches(events, sizes)):
        chunks = sum(kinds[:count])
        assert (chunks or None) == (place.next_index if place else None)


@given(KINDS, BATCHES, st.integers(0, 5))
def test_chunks_without_an_index_count_from_the_last_that_has_one(
    kinds: list[bool], sizes: list[int], from_: int
) -> None:
    """As an agent that numbers some of its chunks."""
    events = numbered(kinds)
    for at, event in enumerate(events):
        if type(event) is Chunk and event.index and event.index % 3 != from_ % 3:
            events[at] = Chunk("x")
    for count, place in places(in_batches(events, sizes)):
        chunks = sum(kinds[:count])
        assert (chunks or None) == (place.next_index if place else None)


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=3), max_size=6), st.data())
def test_an_id_is_a_place_only_between_messages(messages: list[list[bool]], data: st.DataObject) -> None:
    events: list[Any] = []
    origin: list[int] = []  # the number of each event's message, which is its id
    for number, kinds in enumerate(messages, start=1):
        events += [Chunk("x", None, str(number)) if chunk else Custom("c") for chunk in kinds]
        origin += [number] * len(kinds)
    # A read brings whole messages.
    batches: list[list[Any]] = []
    rest = list(messages)
    at = 0
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        size = sum(map(len, rest[:count]))
        batches.append(events[at : at + size])
        at, rest = at + size, rest[count:]
    for count, place in places(batches):
        if place is None or place == ResumePoint():
            continue
        chunks_after_place = [
            event
            for event, number in zip(events, origin, strict=True)
            if type(event) is Chunk and number > int(place.last_event_id)
        ]
        assert [event for event in events[count:] if type(event) is Chunk] == chunks_after_place
        lost = [
            event
            for event, number in zip(events[count:], origin[count:], strict=True)
            if number <= int(place.last_event_id)
        ]
        assert [] == lost


def test_chunks_without_index_and_id_have_no_place() -> None:
    assert ResumePoint() == place_after([Chunk("x")], None)
    assert ResumePoint() == place_after([Chunk("x", None, "1"), Chunk("y")], None)
    assert ResumePoint() == place_after([Chunk("y")], ResumePoint(None, "1", "id"))
