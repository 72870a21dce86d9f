"""Resuming by numbers: whatever a service sends, the reader gets the stream without a gap, or an error."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from runagent.transports import ChunkCount

many = settings(derandomize=True, max_examples=200, database=None)
indices = st.none() | st.integers(0, 8)


@many
@given(st.data(), st.integers(1, 6), st.lists(st.lists(indices, max_size=8), max_size=3))
def test_no_chunk_is_given_twice_left_out_or_out_of_order(
    data: st.DataObject, length: int, others: list[list[int | None]]
) -> None:
    """Each attempt gets the rest as far as the connection lasts, or in some of them anything else."""
    given: list[int | None] = []
    count = ChunkCount()
    for place in range(4):
        rest: list[int | None] = list(range(len(given), length))
        sent = others[place - 1] if 0 < place <= len(others) else rest
        for index in sent[: data.draw(st.integers(0, len(sent)))]:
            if count.take(index) is not None:
                break
            given.append(index)
        point = count.resume_point()
        if point is None:
            break
        assert ("index", len(given)) == (point.proof, point.next_index)
        count = ChunkCount(point)
    assert list(range(len(given))) == given


@many
@given(st.lists(indices, min_size=1, max_size=6), st.integers(0, 6))
def test_rows_are_taken_only_if_each_chunk_would_be(row: list[int | None], start: int) -> None:
    one_by_one, at_once = ChunkCount(), ChunkCount()
    assert one_by_one.take(start) is at_once.take(start) is None
    good = all(one_by_one.take(index) is None for index in row)
    if at_once.take_row(row):
        assert good
        assert one_by_one.next_index == at_once.next_index
    else:
        assert start + 1 == at_once.next_index
