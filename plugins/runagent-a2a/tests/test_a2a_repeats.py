"""Updates that a service sends again behind a snapshot are not taken for new ones, nor new ones for these."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runagent_a2a.repeats import Repeats


def artifact(*texts: str, name: str = "x") -> dict[str, Any]:
    return {"artifactId": name, "parts": [{"text": text} for text in texts]}


def read(sent: list[str], snapshot: int, again: int) -> list[str] | None:
    """Read a snapshot of so many texts, some of them again, and the rest; None if another one is needed."""
    found = sent[:snapshot]
    repeats: Repeats | None = Repeats([artifact(*found)])
    for text in sent[snapshot - again :]:
        if repeats is not None:
            try:
                if repeats.hold({"artifact": artifact(text)}):
                    continue
            except ValueError:
                return None
            found += [part["text"] for update in repeats.held for part in update["artifact"]["parts"]]
            repeats = None
        found.append(text)
    held = repeats.held if repeats is not None else []
    return found + [part["text"] for update in held for part in update["artifact"]["parts"]]


@settings(max_examples=300)
@given(st.lists(st.sampled_from("abc"), max_size=9), st.data())
def test_nothing_is_lost_or_read_twice(sent: list[str], data: st.DataObject) -> None:
    snapshot = data.draw(st.integers(0, len(sent)))
    again = data.draw(st.integers(0, snapshot))
    assert read(sent, snapshot, again) in (sent, None)


@pytest.mark.parametrize(
    ("sent", "snapshot", "again", "clear"),
    [
        ("abcd", 3, 0, True),
        ("abcd", 3, 1, False),
        ("abcd", 3, 3, False),
        ("abcbd", 3, 0, True),  # "b" came before, but then "c" would have to follow
        ("abcc", 3, 0, False),
    ],
)
def test_another_snapshot_is_asked_for_only_if_need_be(
    sent: str, snapshot: int, again: int, clear: bool
) -> None:
    assert clear == (read(list(sent), snapshot, again) is not None)


def test_updates_of_two_artifacts_that_may_be_in_the_snapshot_are_unclear() -> None:
    repeats = Repeats([artifact("a", "b"), artifact("a", "b", name="y")])
    assert repeats.hold({"artifact": artifact("a")})
    with pytest.raises(ValueError, match="two artifacts"):
        repeats.hold({"artifact": artifact("a", name="y")})
