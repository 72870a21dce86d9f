"""The input that all protocols of plugins have in common, and their options."""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import runagent
from runagent import Completed, ConfigurationError, ProtocolError, ToolCall, ValidationError
from runagent._internal.jsoninput import copy_input_object
from runagent.transports import (
    AgentInput,
    InputMessage,
    InputTool,
    InterruptAnswer,
    JSONReader,
    check_options,
    parse_input,
    write_json,
)
from tests.support.sessions import call_of

PARTS = [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "arguments": '{"city": "Oslo"}'}


def parse(**given: Any) -> AgentInput:
    return parse_input(call_of(input=given))


def test_a_query_is_the_only_message() -> None:
    asked = parse(query="hi", temperature=0)
    assert ("hi", [InputMessage(role="user", content="hi")], {"temperature": 0}) == (
        asked.query,
        asked.need_messages(),
        asked.rest,
    )
    assert [InputMessage(role="user", content=PARTS)] == parse(query=PARTS).messages


@pytest.mark.parametrize(
    "call",
    [
        {"id": "c1", "type": "function", "function": FUNCTION},
        {"id": "c1", "function": {"name": "weather", "arguments": {"city": "Oslo"}}},
        {"id": "c1", "index": 0, **FUNCTION},
    ],
)
def test_a_conversation_with_tools(call: Any) -> None:
    asked = parse(
        messages=[
            {"role": "system", "content": "Be brief.", "name": "boss"},
            {"role": "user", "content": PARTS},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ]
    )
    system, user, assistant, tool = asked.messages
    assert InputMessage(role="system", content="Be brief.", rest={"name": "boss"}) == system
    assert (PARTS, "What is this?") == (user.content, user.text)
    (made,) = assistant.tool_calls
    assert ("c1", "weather", "Oslo", 0) == (
        made.id,
        made.name,
        msgspec.json.decode(made.arguments)["city"],
        0,
    )
    assert ("", "rain", "c1") == (assistant.text, tool.text, tool.tool_call_id)


def test_the_calls_of_a_run_are_input_of_the_next_as_they_are() -> None:
    called = ToolCall("c1", "weather", "{}", 0)
    given = copy_input_object({"messages": [{"role": "assistant", "tool_calls": [called]}]}, "input_data")
    assert [called] == parse(**given).messages[0].tool_calls


def test_content_that_is_not_text_has_no_text() -> None:
    assert parse(query=[PARTS[0], IMAGE]).messages[0].text is None


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "weather", "description": "d", "parameters": SCHEMA, "strict": True},
        {
            "type": "function",
            "function": {"name": "weather", "description": "d", "parameters": SCHEMA},
            "strict": True,
        },
        {"type": "function", "name": "weather", "description": "d", "parameters": SCHEMA, "strict": True},
    ],
)
def test_tools_in_each_form(tool: Any) -> None:
    assert [InputTool(name="weather", description="d", parameters=SCHEMA, rest={"strict": True})] == parse(
        tools=[tool]
    ).tools


def test_a_tool_of_one_protocol_keeps_its_fields() -> None:
    rest = {"type": "web_search_2", "max_uses": 5}
    assert [InputTool(name="search", rest=rest)] == parse(tools=[{"name": "search", **rest}]).tools


def test_an_interrupt_is_answered_in_the_next_run() -> None:
    last = Completed(interrupts=[{"id": "i1", "reason": "approve"}, {"id": "i2"}])
    approved = runagent.answer(last.interrupts[0], {"approved": True})
    cancelled = runagent.answer("i2", status="cancelled")
    asked = parse(resume=[approved, cancelled])
    assert [InterruptAnswer("i1", "resolved", {"approved": True}), InterruptAnswer("i2", "cancelled")] == (
        asked.resume
    )


@pytest.mark.parametrize("interrupt", [{}, {"id": 5}, "", {"id": ""}])
def test_an_interrupt_without_an_id_cannot_be_answered(interrupt: Any) -> None:
    with pytest.raises(ValidationError, match="no id"):
        runagent.answer(interrupt)


def test_an_interrupt_is_resolved_or_cancelled() -> None:
    with pytest.raises(ValidationError, match="status: expected"):
        runagent.answer("i", status="ok")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"query": 5}, r"^query: expected `str \| array \| null`, got `int`; query is text, or a list"),
        ({"query": "x", "messages": []}, "query and messages mean the same"),
        ({"messages": "hi"}, r"^messages: .*a message is \{"),
        ({"messages": [{"content": "x"}]}, r"^messages\[0\]: .*missing required field `role`"),
        ({"messages": [{"role": "user", "content": 5}]}, r"^messages\[0\]\.content: "),
        ({"messages": [{"role": "user", "content": ["x"]}]}, r"^messages\[0\]\.content\[0\]: expected `obj"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, r"^messages\[0\]\.tool_calls\[0\]: "),
        ({"tools": [{"description": "x"}]}, r"^tools\[0\]: .*`name`; a tool is"),
        ({"tools": [{"function": {"name": "f", "parameters": 5}}]}, r"^tools\[0\]\.parameters: "),
        ({"tools": {"name": "f"}}, r"^tools: "),
        ({"session_id": 5}, r"^session_id: "),
        ({"resume": [{"id": "i", "status": "done"}]}, r"^resume\[0\]\.status: .*runagent\.answer\("),
        ({"resume": {"approved": True}}, r"^resume: "),
    ],
)
def test_an_input_of_another_form_names_its_place_and_the_form(given: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        parse(**given)


NAMES = st.sampled_from(["role", "content", "id", "name", "function", "type", "tool_calls"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)


@settings(derandomize=True, max_examples=100, database=None)
@given(st.dictionaries(st.sampled_from(["query", "messages", "tools", "session_id", "resume", "x"]), VALUES))
def test_any_input_is_parsed_or_is_a_validation_error(given: dict[str, Any]) -> None:
    with contextlib.suppress(ValidationError):
        assert given.get("x") == parse(**given).rest.get("x")


def test_parameters_are_fields_of_a_request_below_the_input_s_own() -> None:
    asked = parse(query="x", parameters={"seed": 1, "top_p": 2}, seed=3)
    assert {"seed": 3, "top_p": 2} == asked.fields
    assert {"parameters": {"seed": 1, "top_p": 2}, "seed": 3} == asked.rest
    with pytest.raises(ValidationError, match="parameters is not an object"):
        assert parse(parameters=[1]).fields


@pytest.mark.parametrize(
    ("given", "lacks", "named"),
    [
        ({"session_id": "s"}, ("session_id", "resume"), "session_id"),
        ({"resume": [runagent.answer("i")]}, ("session_id", "resume"), "resume"),
        ({"tools": [{"name": "f"}]}, ("tools",), "tools"),
        ({"messages": [{"role": "user", "content": "x"}]}, ("messages",), "messages"),
    ],
)
def test_what_a_protocol_cannot_carry_is_refused_by_its_name(given: Any, lacks: Any, named: str) -> None:
    with pytest.raises(ValidationError, match=f"^{named}: the story protocol cannot carry it; leave it out"):
        parse(**given).refuse("the story protocol", *lacks)
    parse(query="x", tools=[], resume=[]).refuse("the story protocol", "tools", "session_id", "resume")


def test_a_run_without_a_question_is_refused_if_the_protocol_needs_one() -> None:
    for asked in (parse(), parse(messages=[])):
        with pytest.raises(ValidationError, match="give query or messages"):
            asked.need_messages()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"city": "Malmö", "n": [1, None]}, '{"city":"Malmö","n":[1,null]}'),
        ("a\ud83d", '"a\\ud83d"'),
        ({}, "{}"),
    ],
)
def test_arguments_that_come_as_an_object_are_written_as_text(value: Any, text: str) -> None:
    assert text == write_json(value)


# Options

KNOWN: dict[str, Any] = {
    "story_api": Literal["v1", "v2"],
    "story_usage": bool,
    "story_depth": int,
    "story_name": str,
    "story_modes": list[str],
}


def test_good_options_pass_and_those_of_others_too() -> None:
    check_options(
        {"story_api": "v2", "story_usage": False, "story_modes": ["a"], "max_head_bytes": 1}, "story", KNOWN
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"story_apis": "v1"}, r"unknown 'story_apis'; did you mean 'story_api'\?"),
        ({"story_of_my_life": 1}, r"unknown 'story_of_my_life'; known: 'story_api', "),
        ({"story_api": "v3"}, r'story_api: expected "v1" or "v2", found \'v3\''),
        ({"story_usage": 1}, "story_usage: expected true or false, found 1"),
        ({"story_depth": "1"}, "story_depth: expected a whole number, found '1'"),
        ({"story_name": 1}, "story_name: expected text, found 1"),
        ({"story_modes": [1]}, "story_modes: Expected `str`"),
    ],
)
def test_an_option_that_is_not_usable_is_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        check_options(options, "story", KNOWN)


# Typed texts


class Delta(msgspec.Struct):
    text: str = ""


@pytest.mark.parametrize("text", ['{"text": "Once", "more": 1}', b'{"text": "Once"}'])
def test_a_text_is_read_as_a_type(text: Any) -> None:
    assert Delta("Once") == JSONReader(Delta, "a delta").read(text)


def test_half_an_emoji_is_read() -> None:
    assert Delta("\ud83d") == JSONReader(Delta, "a delta").read('{"text": "\\ud83d"}')


@pytest.mark.parametrize(
    "text", ["{", b"\xff", '{"text": 1}', '{"\\ud83d": 1, "text": 1}', "[" * 5000, "1" * 5000, "null"]
)
def test_a_text_of_another_form_is_a_protocol_error_that_quotes_it(text: Any) -> None:
    with pytest.raises(ProtocolError, match=r"^a delta is ") as raised:
        JSONReader(Delta, "a delta").read(text)
    assert len(str(raised.value)) < 1000


def test_a_decoded_value_is_read_too() -> None:
    reader = JSONReader(Delta, "a delta")
    assert Delta("x") == reader.convert({"text": "x"})
    with pytest.raises(ProtocolError, match=r"a delta is of another form \(Expected `str`"):
        reader.convert({"text": ["x"]})
