"""What is relayed of a run, and what stays with the gateway."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, Completed
from runagent.relay._formats import FORMATS
from runagent_testing import chunk, custom, delay, done, head, raw, reasoning, tool_call
from tests.support.browsers import read_events

if TYPE_CHECKING:
    from tests.support.gateways import Gateway

STEPS = (
    head(),
    reasoning("I think"),
    tool_call("look_up", '{"word": "dragon"}', id="c1"),
    custom("mood", {"joy": 1}),
    "Once",
    done(
        usage={"total_tokens": 4}, execution_time=0.2, stop_reason="stop", message="bye", metadata={"cost": 1}
    ),
)


def test_only_content_is_relayed_by_default(gateway: Gateway) -> None:
    gateway.agent.always(*STEPS)
    page = gateway.visit()
    assert ["start", "chunk", "done"] == [kind for kind in page.kinds if kind != "heartbeat"]
    assert ("done", {"stop_reason": "stop"}) == page.last


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("reasoning", {"text": "I think"}),
        ("tool_call", {"name": "look_up", "arguments": '{"word": "dragon"}', "id": "c1"}),
        ("custom", {"name": "mood", "value": {"joy": 1}}),
    ],
)
def test_what_else_is_relayed_has_to_be_asked_for(
    gateway: Gateway, transport: str, name: str, fields: dict[str, Any]
) -> None:
    gateway.agent.always(*STEPS)
    page = gateway.visit(transport=transport, include={name})
    assert ["start", name, "chunk", "done"] == [kind for kind in page.kinds if kind != "heartbeat"]
    (found,) = [found for kind, found, _ in page.events if kind == name]
    assert fields == {key: value for key, value in found.items() if key != "index"}


def test_usage_comes_with_the_end(gateway: Gateway) -> None:
    gateway.agent.always(*STEPS)
    page = gateway.visit(include=["usage"])
    assert {"stop_reason": "stop", "usage": {"total_tokens": 4}, "execution_time": 0.2} == page.last[1]


def test_interrupts_come_with_the_end(gateway: Gateway) -> None:
    interrupts = [{"id": "int-1", "message": "May I?"}]
    gateway.agent.always("Once", done(interrupts=interrupts))
    assert {"interrupts": interrupts} == gateway.visit().last[1]


def test_the_start_has_the_ids_of_the_conversation_and_of_the_run(gateway: Gateway, transport: str) -> None:
    gateway.agent.always("Once")
    page = gateway.visit(transport=transport, call={"session_id": "evening"})
    kind, fields, _ = next(event for event in page.events if event[0] != "heartbeat")
    expected = {"session_id": "evening"} if transport != "websocket" else {}
    run_id = page.headers["x-runagent-run-id"]
    assert ("start", {**expected, "invocation_id": run_id}) == (kind, fields)


CONTENTS = [
    "",
    "line\nline\r\n\u2028",
    "🙂",
    'quote "\\',
    True,
    0,
    -1.5,
    10**20,
    {"a": {"b": [1, None]}},
    [],
    "event: done",
]


def test_contents_arrive_unchanged(gateway: Gateway, transport: str) -> None:
    gateway.agent.always(*map(chunk, CONTENTS))
    page = gateway.visit(transport=transport)
    assert CONTENTS == page.contents
    assert [*map(type, CONTENTS)] == [*map(type, page.contents)]


def test_half_of_a_surrogate_pair_becomes_an_escape(gateway: Gateway) -> None:
    gateway.agent.always(raw(b'event: chunk\ndata: {"content": ["\\ud83d"]}\n\n'), done())
    assert [["\ud83d"]] == gateway.visit().contents


@pytest.mark.parametrize(("number", "text"), [(math.nan, None), (math.inf, "inf"), (-math.inf, "-inf")])
@pytest.mark.parametrize("name", FORMATS)
def test_numbers_that_json_lacks_are_written_as_the_format_has_them(
    name: str, number: float, text: str | None
) -> None:
    written = FORMATS[name](frozenset()).chunk(Chunk(number))
    ((_, fields, _),) = read_events([written])
    assert fields["content"] == (text if name == "websocket" else None)


def test_heartbeats_are_due_while_nothing_of_the_run_is_relayed(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*[step for n in range(100) for step in (delay(1), reasoning(str(n)))], "Once")
    page = sse_gateway.visit(heartbeat=15)
    beats = [round(at) for at, data in page.writes if data == b":\n\n"]
    assert [15, 30, 45, 60, 75, 90] == beats


@pytest.mark.parametrize("numbers", [[None] * 5, [0, 1, 2, 3, 4], [0, None, 2, None, 4]])
@pytest.mark.parametrize(
    "contents",
    [["a", "b\nc", "🙂", {"x": [1]}, None], ["a", "\ud83d", "c", "d", "e"], [1, 2.5, True, [], "}"]],
)
@pytest.mark.parametrize("name", FORMATS)
def test_chunks_that_come_together_are_written_as_they_are_one_by_one(
    name: str, numbers: list[int | None], contents: list[Any]
) -> None:
    chunks = [Chunk(content, number) for content, number in zip(contents, numbers, strict=True)]
    writer = FORMATS[name](frozenset())
    assert b"".join(map(writer.chunk, chunks)) == b"".join(writer.events(chunks))
    last = Completed()
    assert b"".join(writer.events(chunks)) + writer.events([last])[0] == b"".join(
        writer.events([*chunks, last])
    )
