"""The fake agent in AG-UI: what it writes for each step, in an order that the reference client accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runagent_agui.testing import AGUIDialect

from runagent_testing import custom, done, error, heartbeat, reasoning, status, tool_call
from runagent_testing.dialects import Chunk, Custom, DialectRun, Done, Error, Reasoning, ToolCall
from tests.support.agui import events_in, order_fault

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer

ASKED = {"threadId": "t", "runId": "r", "messages": [{"id": "1", "role": "user", "content": "hi"}]}
STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r", "protocolVersion": "1.0"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "outcome": {"type": "success"}}


def ask(server: FakeAgentServer, *steps: Any, agent: str = "a", **fields: Any) -> httpx2.Response:
    """What the agent answers with these steps, or with what it has if there are none."""
    if steps:
        server.agent(agent).reply(*steps)
    return httpx2.post(f"{server.url}/agui/{agent}", json=ASKED | fields)


def events(server: FakeAgentServer, *steps: Any, **fields: Any) -> list[dict[str, Any]]:
    """The events of such an answer; their order is right."""
    answer = ask(server, *steps, **fields)
    assert (200, "text/event-stream") == (answer.status_code, answer.headers["content-type"])
    written = events_in(answer.content)
    assert order_fault(written) is None
    return written


def test_text_is_one_message_until_something_else_comes(server: FakeAgentServer) -> None:
    first, second = {"messageId": "r-message-1"}, {"messageId": "r-message-2"}
    assert [
        STARTED,
        {"type": "TEXT_MESSAGE_START", **first, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", **first, "delta": "Once"},
        {"type": "TEXT_MESSAGE_CONTENT", **first, "delta": ' up\u2028on "'},
        {"type": "TEXT_MESSAGE_END", **first},
        {"type": "CUSTOM", "name": "mood", "value": None},
        {"type": "TEXT_MESSAGE_START", **second, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", **second, "delta": '{"a": [1]}'},
        {"type": "TEXT_MESSAGE_END", **second},
        FINISHED,
    ] == events(server, "Once", heartbeat(), ' up\u2028on "', custom("mood"), {"a": [1]})


def test_tool_calls(server: FakeAgentServer) -> None:
    call, made = {"toolCallId": "c1"}, {"toolCallId": "r-call-2"}
    parent = {"parentMessageId": "r-message-1"}
    written = events(server, "Hm", tool_call("weather", {"city": "Oslo"}, id="c1"), tool_call("now", ""))
    assert [
        {"type": "TOOL_CALL_START", **call, "toolCallName": "weather", **parent},
        {"type": "TOOL_CALL_ARGS", **call, "delta": '{"city":'},
        {"type": "TOOL_CALL_ARGS", **call, "delta": ' "Oslo"}'},
        {"type": "TOOL_CALL_END", **call},
        {"type": "TOOL_CALL_START", **made, "toolCallName": "now", **parent},
        {"type": "TOOL_CALL_END", **made},
        FINISHED,
    ] == written[4:]


def test_a_client_of_version_1_is_given_the_calls_without_a_result(server: FakeAgentServer) -> None:
    steps = (
        tool_call("a", id="c1"),
        tool_call("b", id="c2"),
        custom("tool_result", {"toolCallId": "c1", "content": "x"}),
    )
    result, finished = events(server, *steps, protocolVersion="1.0")[-2:]
    assert {
        "type": "TOOL_CALL_RESULT",
        "messageId": "r-result-1",
        "toolCallId": "c1",
        "content": "x",
        "role": "tool",
    } == result
    assert {"type": "success", "pendingToolCallIds": ["c2"]} == finished["outcome"]


def test_reasoning(server: FakeAgentServer) -> None:
    one, other = {"messageId": "r-reasoning-1"}, {"messageId": "th"}
    written = events(server, reasoning("so "), reasoning("then"), reasoning("but", id="th"), "Once")
    assert [
        {"type": "REASONING_START", **one},
        {"type": "REASONING_MESSAGE_START", **one, "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", **one, "delta": "so "},
        {"type": "REASONING_MESSAGE_CONTENT", **one, "delta": "then"},
        {"type": "REASONING_MESSAGE_END", **one},
        {"type": "REASONING_END", **one},
        {"type": "REASONING_START", **other},
        {"type": "REASONING_MESSAGE_START", **other, "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", **other, "delta": "but"},
        {"type": "REASONING_MESSAGE_END", **other},
        {"type": "REASONING_END", **other},
    ] == written[1:12]


@pytest.mark.parametrize(
    ("step", "event"),
    [
        (custom("state", {"step": 1}), {"type": "STATE_SNAPSHOT", "snapshot": {"step": 1}}),
        (custom("STATE_DELTA", {"delta": []}), {"type": "STATE_DELTA", "delta": []}),
        (custom("RAW", {"event": 1, "source": "x"}), {"type": "RAW", "event": 1, "source": "x"}),
        (custom("mood", [1]), {"type": "CUSTOM", "name": "mood", "value": [1]}),
    ],
)
def test_other_events(server: FakeAgentServer, step: Any, event: dict[str, Any]) -> None:
    assert [STARTED, event, FINISHED] == events(server, step)


def test_the_fields_of_an_event_are_an_object() -> None:
    with pytest.raises(TypeError, match="STATE_DELTA"):
        form().custom(Custom("STATE_DELTA", [1]))


@pytest.mark.parametrize(
    ("end", "fields"),
    [
        (
            done(usage={"prompt_tokens": 4, "output_tokens": 2, "reasoningTokens": 1}),
            {"usage": [{"inputTokens": 4, "outputTokens": 2, "reasoningTokens": 1}]},
        ),
        (done("so it goes", metadata={"a": 1}), {"result": "so it goes", "metadata": {"a": 1}}),
        (done(stop_reason="cancelled"), {"outcome": {"type": "cancelled"}}),
        (done(stop_reason="length"), {}),
        (
            done(interrupts=[{"reason": "tool_call", "toolCallId": "c1"}]),
            {
                "outcome": {
                    "type": "interrupt",
                    "interrupts": [{"id": "r-interrupt-1", "reason": "tool_call", "toolCallId": "c1"}],
                }
            },
        ),
    ],
)
def test_how_a_run_ends(server: FakeAgentServer, end: Any, fields: dict[str, Any]) -> None:
    assert [STARTED, FINISHED | fields] == events(server, end)


def test_a_run_fails(server: FakeAgentServer) -> None:
    *_, closed, failed = events(server, "Once", error("BUSY", "no room left"))
    assert ("TEXT_MESSAGE_END", {"type": "RUN_ERROR", "message": "no room left", "code": "BUSY"}) == (
        closed["type"],
        failed,
    )
    assert {"type": "RUN_ERROR", "message": ""} == events(server, error(None))[-1]


@pytest.mark.parametrize(
    ("fields", "input"),
    [
        ({}, {"query": "hi", "session_id": "t"}),
        (
            {"threadId": "r", "protocolVersion": "1.0", "tools": [], "context": [], "state": {}},
            {"query": "hi"},
        ),
        ({"threadId": "r", "state": {"a": 1}, "forwardedProps": {}}, {"query": "hi", "state": {"a": 1}}),
        (
            {"threadId": "r", "messages": [], "resume": [{"interruptId": "i", "status": "resolved"}]},
            {"resume": [{"interruptId": "i", "status": "resolved"}]},
        ),
    ],
)
def test_the_input(server: FakeAgentServer, fields: dict[str, Any], input: dict[str, Any]) -> None:
    ask(server, "Once", **fields)
    assert input == server.requests[-1].input


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"runId": 1}, ["runId"], "Input should be a valid string"),
        ({"tools": None}, ["tools"], "Input should be a valid list"),
        ({"messages": [{"role": "user"}]}, ["messages", 0, "id"], "Field required"),
        ({"messages": ["hi"]}, ["messages", 0], "Input should be a valid dictionary"),
        ({"messages": [{"id": "1", "role": "tool"}]}, ["messages", 0, "toolCallId"], "Field required"),
    ],
)
def test_an_invalid_request(
    server: FakeAgentServer, fields: dict[str, Any], place: list[Any], message: str
) -> None:
    server.agent("a").always("Once")
    answer = ask(server, **fields)
    (fault,) = answer.json()
    assert (422, place) == (answer.status_code, fault["loc"])
    assert fault["msg"].startswith(message)


def test_requests_without_anything_are_invalid(server: FakeAgentServer) -> None:
    server.agent("a").always("Once")
    bodies = {b"{}": ["threadId", "runId", "messages"], b"[]": [None], b"oops": [None]}
    for body, places in bodies.items():
        faults = httpx2.post(f"{server.url}/agui/a", content=body).json()
        assert places == [(fault["loc"] or [None])[0] for fault in faults]


def test_refusals(server: FakeAgentServer) -> None:
    answer = ask(server, status(429, message="slow down", retry_after=2))
    assert (429, "2", "slow down") == (
        answer.status_code,
        answer.headers["retry-after"],
        answer.json()["error"]["message"],
    )
    unknown = httpx2.post(f"{server.url}/agui/nobody%20here", json=ASKED)
    assert (404, "there is no agent 'nobody here'") == (
        unknown.status_code,
        unknown.json()["error"]["message"],
    )


# Order


def form(body: Any = ASKED) -> Any:
    dialect = AGUIDialect()
    return dialect.stream(DialectRun("agui", "run", "", {}, {}, body=body, dialect=dialect))


STEPS = [
    Chunk("Once"),
    *(Reasoning("hm", id_) for id_ in (None, "a", "b")),
    *(ToolCall("t", "{}", id_) for id_ in (None, "a", "b")),
    *(Custom("tool_result", fields) for fields in ({}, {"toolCallId": "a"})),
    *(Custom("state"), Custom("mood"), Custom("RAW", {"event": 1})),
]
ENDS = [Done(), Done(interrupts=[{}]), Done(stop_reason="interrupt"), Error("c", "m")]


@settings(max_examples=50)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=8), end=st.sampled_from(ENDS))
def test_any_script_is_written_in_order(steps: list[Any], end: Any) -> None:
    made = form()
    dialect = AGUIDialect()
    run = DialectRun("agui", "run", "", {}, {}, body=ASKED, dialect=dialect)
    body = made.start(run)
    for step in steps:
        match step:
            case Chunk():
                body += made.chunk(step, None, None)
            case Reasoning():
                body += made.reasoning(step)
            case ToolCall():
                body += made.tool_call(step)
            case _:
                body += made.custom(step)
    body += made.error(end) if isinstance(end, Error) else made.done(end, run, 0)
    assert order_fault(events_in(body)) is None


def test_the_order_that_is_checked_is_strict() -> None:
    start = {"type": "TEXT_MESSAGE_START", "messageId": "m"}
    content, end = {**start, "type": "TEXT_MESSAGE_CONTENT"}, {**start, "type": "TEXT_MESSAGE_END"}
    failed = {"type": "RUN_ERROR"}
    wrongs: list[list[dict[str, Any]]] = [
        [start],
        [STARTED, STARTED],
        [STARTED, content],
        [STARTED, start, start],
        [STARTED, start, FINISHED],
        [STARTED, start, end, end],
        [STARTED, FINISHED, start],
        [failed, failed],
        [STARTED, {**start, "subagentRunId": None}],
        [STARTED, start, {**content, "subagentRunId": "s"}],
    ]
    rights: list[list[dict[str, Any]]] = [
        [failed],
        [STARTED, start, content, end, FINISHED, failed],
        [STARTED, FINISHED, STARTED, start, failed],
    ]
    assert [] == [wrong for wrong in wrongs if order_fault(wrong) is None]
    assert [] == [right for right in rights if order_fault(right) is not None]
