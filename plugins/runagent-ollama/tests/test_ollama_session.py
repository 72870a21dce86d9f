"""What is asked of Ollama, and what its lines and plain answers mean, over both endpoints."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import (
    AgentNotFoundError,
    AgentServerError,
    Chunk,
    Completed,
    ConfigurationError,
    Custom,
    ProtocolError,
    Reasoning,
    RunAgentError,
    RunResult,
    Started,
    StreamError,
    StreamTruncatedError,
    Tokens,
    ToolCall,
    ValidationError,
)
from runagent._internal.jsoninput import copy_input_object
from tests.support.peer import http, ndjson
from tests.support.sessions import Seen, feed, open_session

CALL = {"function": {"name": "weather", "arguments": {"city": "Oslo"}}}
LAST = {"done": True, "done_reason": "stop", "prompt_eval_count": 4, "eval_count": 2, "total_duration": 9}


def run(*lines: Any, end: bool = True, step: int = 1 << 30, **fields: Any) -> Seen:
    return feed(open_session("ollama", **fields), ndjson(*lines, end=end), step=step, eof=True)


def says(content: str = "", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": content, **fields}, "done": False}


# Requests


def body_of(input: dict[str, Any], **fields: Any) -> dict[str, Any]:
    copied = copy_input_object(input, "input_data")
    sent = open_session("ollama", input=copied, agent_id="m", **fields).data_to_send()
    asked: dict[str, Any] = json.loads(sent.partition(b"\r\n\r\n")[2])
    return asked


def test_a_question() -> None:
    asked = body_of({"query": "hi", "think": True, "parameters": {"options": {"seed": 1}}})
    question = [{"role": "user", "content": "hi"}]
    assert {
        "model": "m",
        "messages": question,
        "think": True,
        "options": {"seed": 1},
        "stream": True,
    } == asked
    assert {"model": "m", "prompt": "hi", "system": "s", "stream": False} == body_of(
        {"query": "hi", "system": "s"}, options={"ollama_api": "generate"}, mode="invoke"
    )


def test_a_conversation_with_a_tool_and_an_image() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    asked = body_of(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Weather here?"}, image]},
                {"role": "assistant", "tool_calls": [ToolCall("c1", "weather", '{"city": "Oslo"}')]},
                {"role": "tool", "tool_call_id": "c1", "content": "rain"},
                {"role": "tool", "content": "wind", "tool_name": "wind"},
            ],
            "tools": [{"name": "weather", "parameters": {"type": "object"}}],
        }
    )
    assert [
        {"role": "user", "content": "Weather here?", "images": ["AAAA"]},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "rain", "tool_name": "weather"},
        {"role": "tool", "content": "wind", "tool_name": "wind"},
    ] == asked["messages"]
    function = {"name": "weather", "parameters": {"type": "object"}}
    assert [{"type": "function", "function": function}] == asked["tools"]


def test_results_without_ids_belong_to_the_calls_in_their_order() -> None:
    calls = [ToolCall(None, "weather", "{}"), ToolCall(None, "time", "{}"), ToolCall(None, "weather", "{}")]
    results = [{"role": "tool", "content": str(number)} for number in range(4)]
    asked = body_of({"messages": [{"role": "assistant", "tool_calls": calls}, *results]})
    assert ["weather", "time", "weather", None] == [each.get("tool_name") for each in asked["messages"][1:]]


@pytest.mark.parametrize(
    ("given", "api", "problem"),
    [
        ({}, "chat", "give query or messages"),
        ({"query": "x", "session_id": "s"}, "chat", "session_id: Ollama cannot carry it"),
        ({"query": "x", "resume": [{"id": "i"}]}, "chat", "resume: Ollama cannot carry it"),
        ({"query": "x", "tools": [{"name": "f"}]}, "generate", "tools: the endpoint /api/generate cannot"),
        ({"messages": [{"role": "user", "content": "x"}]}, "generate", "takes a query that is text"),
        ({"query": [{"type": "video"}]}, "chat", "a content part of the type 'video'"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "["}]}]},
            "chat",
            "the arguments of the call of 'f' are not JSON",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": "[]"}]}]},
            "chat",
            "are not an object",
        ),
    ],
)
def test_an_input_that_cannot_be_asked(given: Any, api: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        body_of(given, options={"ollama_api": api})


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"ollama_api": "embed"}, '"chat" or "generate"'), ({"ollama_ap": 1}, "did you mean")],
)
def test_options_that_are_not_usable(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        body_of({"query": "x"}, options=options)


def test_where_is_asked_and_with_which_key() -> None:
    sent = open_session("ollama", base_url="http://h/proxy", api_key="k").data_to_send().decode()
    assert sent.startswith("POST /proxy/api/chat HTTP/1.1\r\n")
    assert "Authorization: Bearer k\r\n" in sent
    other = open_session("ollama", options={"stream_path": "/x"}).data_to_send()
    assert other.startswith(b"POST /x ")


# Lines


@pytest.mark.parametrize("step", [1, 1 << 30])
def test_a_chat(step: int) -> None:
    seen = run(
        *(says(thinking="hm"), says("Once"), says("", tool_calls=[CALL, {"id": "c2", **CALL}])),
        *(says(" upon"), {"logprobs": [1], **says()}, {**says("."), **LAST}, says("late")),
        step=step,
    )
    assert [
        *(Started(), Reasoning("hm"), Chunk("Once")),
        *(ToolCall(None, "weather", '{"city":"Oslo"}', 0), ToolCall("c2", "weather", '{"city":"Oslo"}', 1)),
        *(Chunk(" upon"), Custom("logprobs", [1]), Chunk(".")),
        Completed(
            usage={"prompt_eval_count": 4, "eval_count": 2},
            stop_reason="stop",
            metadata={"model": "m", "done_reason": "stop", "total_duration": 9},
        ),
    ] == seen.events
    assert (None, Tokens(input=4, output=2)) == (seen.error, seen.session.tokens)


def test_the_other_endpoint() -> None:
    seen = run(
        *({"response": "", "thinking": "hm"}, {"response": "Once\ud83d"}, {"response": "\ude00"}),
        {"response": "", "context": [1, 2], **LAST},
        options={"ollama_api": "generate"},
    )
    assert ["Once", "\N{GRINNING FACE}"] == seen.contents
    assert Reasoning("hm") in seen.events
    assert [1, 2] == seen.events[-1].metadata["context"]  # type: ignore[union-attr, index]


@pytest.mark.parametrize("end", [True, False])
def test_only_a_line_that_is_done_ends_a_run(end: bool) -> None:
    seen = run(says("Once"), {"done": "yes"}, end=end)
    assert (["Once"], StreamTruncatedError) == (seen.contents, type(seen.error))


@pytest.mark.parametrize(
    ("line", "kind", "text"),
    [
        ({"error": "no memory"}, StreamError, "no memory"),
        (says(tool_calls=[{"function": {}}]), ProtocolError, "has no function with a name"),
        (says(tool_calls=["x"]), ProtocolError, "has no function with a name"),
        ([1], ProtocolError, "not an object"),
        (b"{oops\n", ProtocolError, "not JSON"),
    ],
)
def test_what_fails_a_run(line: Any, kind: type, text: str) -> None:
    seen = run(says("Once"), line, LAST)
    assert (["Once"], kind) == (seen.contents, type(seen.error))
    assert text in seen.error.message


def test_refusals() -> None:
    missing = feed(open_session("ollama"), http(404, {"error": "model 'x' not found"}))
    assert (AgentNotFoundError, False) == (type(missing.error), missing.session.unsupported)
    assert "model 'x' not found" in missing.error.message
    assert feed(open_session("ollama"), http(404, "404 page not found")).session.unsupported


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"message": {"role": "assistant", "content": "Once"}, **LAST}, "Once"),
        ({"response": "Once", **LAST}, "Once"),
        (
            {"message": {"role": "assistant", "content": "", "tool_calls": [CALL]}, **LAST},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
        ),
    ],
)
def test_a_plain_answer(answer: Any, result: Any) -> None:
    seen = feed(open_session("ollama", mode="invoke"), http(200, answer))
    (got,) = seen.events
    assert isinstance(got, RunResult)
    assert (result, {"prompt_eval_count": 4, "eval_count": 2}) == (got.result, got.usage)
    assert (Tokens(input=4, output=2), "stop") == (seen.session.tokens, (got.metadata or {})["done_reason"])


@pytest.mark.parametrize(
    ("answer", "kind"),
    [({"error": "no memory"}, AgentServerError), ({}, ProtocolError), ({"message": 1}, ProtocolError)],
)
def test_a_plain_answer_that_is_none(answer: Any, kind: type) -> None:
    assert kind is type(feed(open_session("ollama", mode="invoke"), http(200, answer)).error)


NAMES = st.sampled_from(
    [
        "message",
        "content",
        "thinking",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "done",
        "response",
        "error",
        "x",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "x", "\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(lines=st.lists(st.dictionaries(NAMES, VALUES, max_size=5), max_size=6), step=st.integers(1, 20))
def test_any_lines_give_events_or_an_error(lines: list[dict[str, Any]], step: int) -> None:
    raw = [json.dumps(line).encode() + b"\n" for line in lines]
    seen, cut = (run(*raw, LAST, step=size) for size in (1 << 30, step))
    assert seen.outcome == cut.outcome
    assert (
        isinstance(seen.events[-1:][0], Completed)
        if seen.error is None
        else isinstance(seen.error, RunAgentError)
    )
