"""What the events of a run mean, in the forms of the models' packages and of older servers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runagent_langgraph.session import RunSession

from runagent import (
    Chunk,
    Custom,
    ProtocolError,
    Reasoning,
    RunAgentClient,
    StreamError,
    StreamLimitError,
    ToolCall,
)
from runagent.transports import EventStreamSession
from runagent_testing import MemoryNetwork, custom, done, ending, raw


def event(name: str, value: Any, id: int | None = None) -> bytes:
    place = "" if id is None else f"id: 1764000000000-{id}\r\n"
    return f"event: {name}\r\ndata: {json.dumps(value)}\r\n{place}\r\n".encode()


def message(type: str = "AIMessageChunk", id: str = "m1", **fields: Any) -> bytes:
    return event("messages", [{"type": type, "id": id, "content": "", **fields}, {"langgraph_node": "a"}])


def stream_of(*steps: Any, **options: Any) -> Any:
    network = MemoryNetwork()
    network.agent("a").always(*steps)
    client = RunAgentClient(
        "a", base_url=network.url, network=network.blocking, transport="langgraph", **options
    )
    return client.run_generic_stream("hi")


def read(*written: bytes, **options: Any) -> list[Any]:
    """Return the events between the first and the last, without those of the dialect's own end."""
    events = list(stream_of(*map(raw, written), **options).events())
    return [each for each in events[1:-1] if not isinstance(each, Custom) or "agent" not in str(each.value)]


CALL = {"name": "weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}
PIECES = [{"name": "weather", "args": "", "id": "c1", "index": 0}, {"args": '{"city":"Oslo"}', "index": 0}]
WEATHER = ToolCall("c1", "weather", '{"city":"Oslo"}', 0)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content": "Once"}, [Chunk("Once")]),
        ({"content": ["Once", {"type": "text", "text": " upon"}]}, [Chunk("Once"), Chunk(" upon")]),
        ({"content": [{"type": "thinking", "thinking": "Hm"}]}, [Reasoning("Hm", "m1")]),
        ({"content": [{"type": "reasoning", "reasoning": "Hm"}]}, [Reasoning("Hm", "m1")]),
        ({"additional_kwargs": {"reasoning_content": "Hm"}}, [Reasoning("Hm", "m1")]),
        ({"content": [{"type": "image", "url": "x"}]}, [Custom("image", {"type": "image", "url": "x"})]),
        ({"content": [{"type": "tool_use", "name": "weather"}, {"type": "input_json_delta"}]}, []),
        ({"content": None}, []),
        ({"type": "ai", "content": "Once", "tool_calls": [CALL]}, [Chunk("Once"), WEATHER]),
        (
            {"type": "ai", "invalid_tool_calls": [{"name": "x", "args": "{", "id": None}]},
            [ToolCall(None, "x", "{", 0)],
        ),
        ({"tool_call_chunks": PIECES, "chunk_position": "last"}, [WEATHER]),
        (
            {"type": "human", "content": "Hi"},
            [Custom("messages", {"type": "human", "id": "m1", "content": "Hi"})],
        ),
    ],
)
def test_a_message(fields: dict[str, Any], expected: list[Any]) -> None:
    assert expected == read(message(**fields))


def test_messages_of_a_subgraph_are_text_too() -> None:
    data = [{"type": "AIMessageChunk", "content": "Once"}, {}]
    assert [Chunk("Once"), Custom("values|sub:1", {"a": 1})] == read(
        event("messages|sub:1", data), event("values|sub:1", {"a": 1})
    )


def test_calls_of_two_messages_at_once_are_kept_apart() -> None:
    halves = [{**piece, "index": 0} for piece in PIECES]
    written = [message(id=id, tool_call_chunks=[half]) for half in halves for id in ("m1", "m2")]
    ends = [message(id=id, chunk_position="last") for id in ("m2", "m1")]
    calls = read(*written, *ends)
    assert [("weather", '{"city":"Oslo"}', 1), ("weather", '{"city":"Oslo"}', 0)] == [
        (call.name, call.arguments, call.index) for call in calls
    ]


def test_a_server_that_marks_no_last_piece() -> None:
    result: Any = {"type": "tool", "content": "rain", "tool_call_id": "c1"}
    answered = event("messages", [result, {}])
    pieces = message(tool_call_chunks=PIECES)
    assert [WEATHER, Custom("tool_result", result)] == read(pieces, answered)
    assert [Chunk("Once"), WEATHER] == read(pieces, message(id="m2", content="Once"))


def test_half_a_character_goes_on_in_its_message_only() -> None:
    halves = [message(content="\ud83e"), message(content="\udd8a"), message(content="\ud83e")]
    texts = [each.content for each in read(*halves, message(id="m2", content="x"))]
    assert ["\U0001f98a", "\ufffd", "x"] == [text for text in texts if text]


def test_token_counts_of_all_pieces_and_messages_add_up() -> None:
    first = {
        "input_tokens": 4,
        "output_tokens": 0,
        "total_tokens": 4,
        "input_token_details": {"cache_read": 1},
    }
    second = {
        "input_tokens": 0,
        "output_tokens": 2,
        "total_tokens": 2,
        "input_token_details": {"cache_read": 2},
    }
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    stream = stream_of(raw(message(usage_metadata=first) + message(usage_metadata=second)), done(usage=usage))
    stream.text()
    total = {
        "input_tokens": 5,
        "output_tokens": 3,
        "total_tokens": 8,
        "input_token_details": {"cache_read": 3},
    }
    tokens = stream.report.tokens
    assert (total, 5, 3, 8, 3) == (
        stream.completed.usage,
        tokens.input,
        tokens.output,
        tokens.total,
        tokens.cached,
    )


@pytest.mark.parametrize("kept_back", [False, True])
def test_token_counts_before_a_break_count_once(kept_back: bool) -> None:
    usage = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}
    calls = [{"name": "weather", "args": "{", "id": "c1", "index": 0}] if kept_back else []
    model = {"type": "AIMessageChunk", "id": "m9", "content": "", "tool_call_chunks": calls}
    counted = custom("tool_result", {**model, "usage_metadata": usage})  # an event with an id
    network = MemoryNetwork()
    network.agent("a").reply("x", counted, ending("cut")).reply("x", counted, "y", done(usage=usage))
    client = RunAgentClient("a", base_url=network.url, network=network.blocking, transport="langgraph")
    stream = client.run_generic_stream("hi")
    assert "xy" == stream.text()
    assert stream.report.tokens is not None
    assert 12 == stream.report.tokens.total
    assert 2 == len(stream.report.attempts)


@pytest.mark.parametrize(
    ("written", "kind", "problem"),
    [
        (event("messages", {"content": "x"}), ProtocolError, "a message is of another form"),
        (event("messages", [{}]), ProtocolError, "a message is of another form"),
        (b"event: updates\r\ndata: {\r\n\r\n", ProtocolError, "the event .updates. is "),
        (event("error", {"error": "ValueError", "message": ""}), StreamError, "ValueError"),
        (event("error", "out of order"), StreamError, "out of order"),
        (message(tool_call_chunks=[{"index": 0, "args": "x"}]), ProtocolError, "a tool call has no name"),
    ],
)
def test_an_event_that_fails_the_run(written: bytes, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind, match=problem):
        stream_of("Once", raw(written)).text()


def test_unfinished_calls_are_limited() -> None:
    pieces = [raw(message(tool_call_chunks=[{**PIECES[0], "args": "x" * 500}])) for _ in range(5)]
    with pytest.raises(StreamLimitError):
        stream_of(*pieces, transport_options={"max_event_bytes": 2000}).text()


def test_an_interrupt_in_two_modes_is_one() -> None:
    waiting = {"__interrupt__": [{"id": "i1", "value": "May I?"}]}
    stream = stream_of(raw(event("updates", waiting) + event("values", {"turns": 1, **waiting})))
    events = list(stream.events())
    assert [{"id": "i1", "value": "May I?"}] == stream.completed.interrupts
    assert Custom("state", {"turns": 1}) in events
    assert Custom("updates", {}) not in events


def test_the_end_event_of_older_servers_gives_nothing() -> None:
    assert [Chunk("Once")] == read(message(content="Once"), b"event: end\r\ndata: null\r\n\r\n")


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "\N{GRINNING FACE}"},
        {"content": "", "chunk_position": None, "tool_calls": [], "additional_kwargs": {}},
        {"content": "b", "id": "m2"},
        {"content": "b", "usage_metadata": {"input_tokens": 1}},
        {"content": "b", "additional_kwargs": {"reasoning_content": "Hm"}},
        {"content": "b", "tool_call_chunks": PIECES},
        {"content": ["b"]},
        {"content": None},
        {"type": "tool", "content": "b"},
        {"content": "\ud83d"},
    ],
)
def test_pieces_that_come_together_are_read_as_one_by_one(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [{"content": "a"}, {"content": "c"}, fields, {"content": "d"}, {"content": "e"}]
    written = [
        event("messages", [{"type": "AIMessageChunk", "id": "m1", **each}, {}], number + 1)
        for number, each in enumerate(pieces)
    ]
    found: list[list[Any]] = [[], []]
    for events in found:
        # The dialect's own end has an earlier id, and so fails the run behind the pieces.
        with pytest.raises(ProtocolError, match="came after 1764000000000-5"):
            events.extend(stream_of(raw(b"".join(written))).events())
        monkeypatch.setattr(RunSession, "take_each", EventStreamSession.take_each)
    assert found[0][1:] == found[1][1:]
    assert Chunk("e", None, "1764000000000-5") == found[0][-1]
