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


def test_an_id_alone_is_no_place() -> None:
    unknown = ResumePoint()
    assert unknown == place_after([Chunk("x")], None)
    assert unknown == place_after([Chunk("x", None, "1")], None)
    assert unknown == place_after([Chunk("y", None, "2")], ResumePoint(None, "1", "id"))
    assert ResumePoint(None, "1", "id") == place_after([Custom("c")], ResumePoint(None, "1", "id"))


def test_the_last_id_goes_with_an_index() -> None:
    assert ResumePoint(3, "b", "index") == place_after([Chunk("x", 1, "b"), Chunk("y")], None)
