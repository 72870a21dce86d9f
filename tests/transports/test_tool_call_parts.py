"""Tool calls in pieces: each is given once and whole, in its place, within a limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import ProtocolError, StreamLimitError
from runagent.transports import ByteLimit, ToolCall, ToolCallParts

KEYS = ["a", "b", 0, 1]
PIECES = st.tuples(st.sampled_from(KEYS), st.sampled_from(["begin", "add", "end"]), st.text(max_size=3))


@settings(derandomize=True, max_examples=100, database=None)
@given(st.lists(PIECES))
def test_any_order_of_pieces_gives_each_call_once_and_whole(pieces: list[tuple[Any, str, str]]) -> None:
    calls = ToolCallParts(1 << 20)
    open_calls: dict[Any, list[str]] = {}
    begun = 0
    for key, what, text in pieces:
        assert (key in calls, len(calls)) == (key in open_calls, len(open_calls))
        if (what == "begin") == (key in open_calls):
            wrong: dict[str, Any] = {"begin": calls.begin, "add": calls.add}
            with pytest.raises(ProtocolError):
                wrong[what](key, text) if what in wrong else calls.end(key)
        elif what == "begin":
            calls.begin(key, f"tool {key}", id=f"call {begun}")
            open_calls[key] = [f"call {begun}"]
            begun += 1
        elif what == "add":
            calls.add(key, text)
            open_calls[key].append(text)
        else:
            made = calls.end(key)
            id_, *texts = open_calls.pop(key)
            assert (id_, f"tool {key}", "".join(texts)) == (made.id, made.name, made.arguments)
            assert f"call {made.index}" == id_
    rest = calls.take()
    assert [each[0] for each in open_calls.values()] == [call.id for call in rest]
    assert ([], 0) == (calls.take(), len(calls))


def test_an_emoji_that_was_cut_in_two_is_whole() -> None:
    calls = ToolCallParts(1000)
    calls.begin(0, "f", id="")
    for half in ('["\ud83d', '\ude00"]'):
        calls.add(0, half)
    assert ToolCall(None, "f", '["\N{GRINNING FACE}"]', 0) == calls.end(0)


@pytest.mark.parametrize(("name", "id_"), [(None, None), ("f", 5)])
def test_a_call_without_a_name_or_with_an_invalid_id_is_a_protocol_error(name: Any, id_: Any) -> None:
    with pytest.raises(ProtocolError, match="a tool call has no name, or an invalid id"):
        ToolCallParts(1000).begin(0, name, id=id_)


@pytest.mark.parametrize("arguments", [{"a": 1}, None, 5])
def test_arguments_that_are_not_text_are_a_protocol_error(arguments: Any) -> None:
    calls = ToolCallParts(1000)
    calls.begin(0, "f")
    with pytest.raises(ProtocolError, match="the arguments of a tool call are not text"):
        calls.add(0, arguments)


def test_unfinished_calls_are_bounded_together_and_finished_ones_are_not() -> None:
    calls = ToolCallParts(1000)
    for key in range(50):
        calls.begin(key, "f")
        calls.add(key, "x" * 500)
        calls.end(key)
    calls.begin("first", "f")
    calls.add("first", "x" * 900)
    with pytest.raises(StreamLimitError, match="1000 bytes of tool calls") as raised:
        calls.begin("second", "f")
    assert ("max_event_bytes", 1000) == (raised.value.limit_name, raised.value.limit)


def test_a_limit_counts_what_is_kept() -> None:
    limit = ByteLimit(10, "letters")
    limit.add(10)
    limit.drop(4)
    assert 6 == limit.kept
    with pytest.raises(StreamLimitError, match="more than 10 bytes of letters"):
        limit.add(5)
