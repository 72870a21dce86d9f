"""Resuming by a snapshot of everything so far: only the rest is new, and nothing may have changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import ProtocolError, StreamLimitError
from runagent._call import NOT_RESUMED
from runagent.transports import ResumePoint, SnapshotParts

many = settings(derandomize=True, max_examples=300, database=None)

Pieces = list[tuple[str, Any]]


def received(*pieces: tuple[str, Any], resume: ResumePoint | None = None) -> ResumePoint:
    """Return the point behind some pieces."""
    parts = SnapshotParts()
    for name, content in pieces:
        assert parts.add(name, content) is None
    return parts.resume_point()


CASES: dict[str, tuple[Pieces, Pieces, Pieces | None]] = {
    "nothing had come": ([], [("a", "x"), ("b", 1)], [("a", "x"), ("b", 1)]),
    "nothing new": ([("a", "x"), ("a", "y")], [("a", "x"), ("a", "y")], []),
    "another piece": ([("a", "x")], [("a", "x"), ("a", "y")], [("a", "y")]),
    "a longer text": ([("a", "x")], [("a", "xyz")], [("a", "yz")]),
    "joined texts": ([("a", "x"), ("a", "y")], [("a", "xyz"), ("a", "!")], [("a", "z"), ("a", "!")]),
    "divided texts": ([("a", "xy")], [("a", "x"), ("a", "yz")], [("a", "z")]),
    "an emoji": ([("a", "\N{GRINNING FACE}")], [("a", "\N{GRINNING FACE}\N{GRINNING FACE}")],
    [("a", "\N{GRINNING FACE}")]),
    "an empty text": ([("a", "")], [("a", "x")], [("a", "x")]),
    "an empty text that is missing": ([("a", "")], [("b", "x")], [("b", "x")]),
    "another part": ([("a", "x")], [("b", "y"), ("a", "x")], [("b", "y")]),
    "parts in another order": ([("a", "x"), ("b", "y")], [("b", "yy"), ("a", "x")], [("b", "y")]),
    "a value": ([("a", {"n": 1, "m": [None]})], [("a", {"m": [None], "n": 1}), ("a", 2)], [("a", 2)]),
    "a value behind a text": ([("a", "x")], [("a", "x"), ("a", None)], [("a", None)]),
    "a changed text": ([("a", "xy")], [("a", "xz")], None),
    "another text": ([("a", "x")], [("a", "yx")], None),
    "a shorter text": ([("a", "xy")], [("a", "x")], None),
    "a piece fewer": ([("a", "x"), ("a", "y")], [("a", "x")], None),
    "a part fewer": ([("a", "x"), ("b", "y")], [("a", "x")], None),
    "nothing any more": ([("a", "x")], [], None),
    "pieces in another order": ([("a", "x"), ("a", "y")], [("a", "y"), ("a", "x")], None),
    "another name": ([("a", "x")], [("b", "x")], None),
    "another value": ([("a", {"n": 1})], [("a", {"n": 2})], None),
    "a longer value": ([("a", [1])], [("a", [1, 2])], None),
    "a value for a text": ([("a", "1")], [("a", 1)], None),
    "a text for a value": ([("a", 1)], [("a", "1")], None),
    "a value that looks like a text and a value": ([("a", "1"), ("a", 2)], [("a", 12)], None),
    "a text that looks like the bytes of a value": ([("a", 1)], [("a", "\u00fe1\u00ff")], None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_snapshot_gives_the_rest(name: str) -> None:
    before, snapshot, rest = CASES[name]
    point = received(*before)
    parts = SnapshotParts(point)
    new, fault = parts.take_snapshot(snapshot)
    if rest is None:
        assert ([], ProtocolError, NOT_RESUMED) == (new, type(fault), fault and fault.code)
    else:
        assert (rest, None) == (new, fault)
        assert received(*before, *rest) == parts.resume_point() or name in (
            "parts in another order",
            "another part",
            "an empty text that is missing",
        )


@pytest.mark.parametrize("name", CASES)
def test_a_snapshot_in_the_middle_of_a_stream_gives_the_same(name: str) -> None:
    before, snapshot, rest = CASES[name]
    parts = SnapshotParts()
    for part, content in before:
        parts.add(part, content)
    new, fault = parts.take_snapshot(snapshot)
    assert ((rest or []), rest is None) == (new, fault is not None)


def test_a_resumed_stream_begins_with_a_snapshot() -> None:
    point = received(("a", "x"))
    parts = SnapshotParts(point)
    fault = parts.add("a", "y")
    assert (ProtocolError, NOT_RESUMED) == (type(fault), fault and fault.code)
    assert point == parts.resume_point()


def test_the_resume_point_holds_no_content_and_no_long_name() -> None:
    name, content = "name" * 1000, "secret " * 1000
    point = received((name, content))
    assert len(repr(point)) < 400
    assert "secret" not in repr(point)
    assert ([(name, "!")], None) == SnapshotParts(point).take_snapshot([(name, content + "!")])


@pytest.mark.parametrize("snapshot", [False, True])
def test_the_number_of_parts_has_a_limit(snapshot: bool) -> None:
    parts = SnapshotParts(max_parts=2)
    pieces = [("a", "x"), ("b", "x"), ("a", "x"), ("c", "x")]
    faults = [parts.take_snapshot(pieces)[1]] if snapshot else [parts.add(*piece) for piece in pieces]
    assert isinstance(faults[-1], StreamLimitError)
    assert ("max_snapshot_parts", 2) == (faults[-1].limit_name, faults[-1].limit)
    assert not any(faults[:-1])


def test_a_value_that_is_nested_too_deeply_is_an_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert isinstance(SnapshotParts().add("a", deep), ProtocolError)
    assert isinstance(SnapshotParts().take_snapshot([("a", deep)])[1], ProtocolError)
    while deep:  # freeing it as a whole would be as deep
        deep = deep[0]


# Any answer, cut anywhere, with snapshots of any form

texts = st.sampled_from(["a", "b", "ab", "ö", "\N{GRINNING FACE}", ""])
values = st.sampled_from([None, 1, {"a": "b"}, ["a"]])
answers = st.lists(st.tuples(st.sampled_from("xyz"), st.one_of(texts, texts, values)), max_size=8)


def normal(pieces: Pieces) -> dict[str, Pieces]:
    """Return what each part is, with neighbouring texts joined."""
    parts: dict[str, Any] = {}
    for name, content in pieces:
        if content == "":
            continue
        part = parts.setdefault(name, [])
        if part and isinstance(part[-1], str) and isinstance(content, str):
            part[-1] += content
        else:
            part.append(content)
    return parts


@st.composite
def snapshots(draw: st.DrawFn, pieces: Pieces) -> Pieces:
    """Write all that is in some pieces, the parts in any order, their texts joined or divided in any way."""
    parts = normal(pieces)
    written: Pieces = []
    for name in draw(st.permutations(list(parts))):
        for content in parts[name]:
            if isinstance(content, str):
                cut = draw(st.integers(0, len(content)))
                written += [(name, content[:cut]), (name, content[cut:])]
            else:
                written.append((name, content))
    return written


@many
@given(st.data(), answers)
def test_an_answer_cut_anywhere_and_resumed_is_the_same_answer(data: st.DataObject, answer: Pieces) -> None:
    given: Pieces = []
    parts, at = SnapshotParts(), 0
    for _ in range(3):
        cut = data.draw(st.integers(at, len(answer)))
        for piece in answer[at:cut]:
            assert parts.add(*piece) is None
            given.append(piece)
        at = data.draw(st.integers(cut, len(answer)))  # it went on in the meantime
        parts = SnapshotParts(parts.resume_point())
        new, fault = parts.take_snapshot(data.draw(snapshots(answer[:at])))
        assert fault is None
        given += new
    assert normal(answer[:at]) == normal(given)


@many
@given(st.data(), answers, answers)
def test_any_other_snapshot_is_an_error(data: st.DataObject, before: Pieces, other: Pieces) -> None:
    new, fault = SnapshotParts(received(*before)).take_snapshot(data.draw(snapshots(other)))
    if fault is not None:
        assert new == []
        assert not all(begins(normal(other).get(name, []), part) for name, part in normal(before).items())
    else:
        assert normal(before + new) == normal(other)


def begins(whole: list[Any], start: list[Any]) -> bool:
    """Whether a part begins with another."""
    *first, last = start
    if whole[: len(first)] != first or len(whole) < len(start):
        return False
    there = whole[len(first)]
    return there.startswith(last) if isinstance(last, str) and isinstance(there, str) else there == last
