"""Conditions of rules: when they hold, what is refused, and the query that every protocol's request has."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from runagent_testing import MemoryNetwork, status
from tests.runagent_testing.players import body_of, client_of, player
from tests.runagent_testing.raw_client import post
from tests.runagent_testing.runs import RunsDialect, asked, get, read


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"query": "hi"}, True),
        ({"query": "h"}, False),
        ({"query": re.compile("i$")}, True),
        ({"body": {"query": "hi"}}, True),
        ({"body": {"query": "hi", "more": None}}, False),
        ({"body": {"deep": {"list": [1, {"a": re.compile("x")}]}}}, True),
        ({"body": {"deep": {"list": [1]}}}, False),
        ({"body": {"deep": {"list": [{"a": "xyz"}, 1]}}}, False),
        ({"body": {"deep": {"list": (1.0, {})}}}, True),
        ({"body": {"yes": True, "number": 1}}, True),
        ({"body": {"yes": 1}}, False),
        ({"body": {"number": True}}, False),
        ({"body": {"number": re.compile("1")}}, False),
        ({"body": {"nothing": None}}, True),
        ({"body": {"deep": re.compile("x")}}, False),
        ({"headers": {"X-TENANT": "acme"}}, True),
        ({"headers": {"x-tenant": re.compile("^a"), "x-other": None}}, True),
        ({"headers": {"x-tenant": None}}, False),
        ({"headers": {"x-tenant": "acm"}}, False),
        ({"headers": {"x-other": re.compile("")}}, False),
        ({"nth": 1}, True),
        ({"nth": 2}, False),
        ({"nth": {1, 3}}, True),
        ({"nth": range(2, 10**12)}, False),
        ({"matches": lambda run: run.agent_id == "a" and run.input["number"]}, True),
        ({"matches": lambda run: re.search("z", run.input["query"])}, False),
        ({"query": "hi", "nth": 1, "headers": {"x-tenant": "acme"}, "body": {"number": 1}}, True),
        ({"query": "hi", "nth": 2}, False),
        ({"nth": 1, "matches": lambda _: False}, False),
    ],
)
def test_a_condition_holds_or_does_not(conditions, holds):
    memory = MemoryNetwork()
    memory.agent("a").returns("own").when(**conditions).returns("rule")
    deep = {"deep": {"list": [1, {"a": "xyz", "b": 2}]}, "yes": True, "number": 1, "nothing": None}
    with client_of(memory) as client:
        client.send(post("/v1/agents/a/invoke", {"query": "hi"} | deep, **{"X-Tenant": "acme"}))
        assert holds == (b'"rule"' in body_of(client)[1])


@pytest.mark.parametrize(
    ("given", "raised", "message"),
    [
        ({}, TypeError, "when() takes a condition: query=, body=, headers=, nth= or matches="),
        ({"query": b"x"}, TypeError, "when(query=...) takes JSON values and compiled patterns, not b'x'"),
        ({"body": {1: 2}}, TypeError, "when(body=...) has a key that is no text: 1"),
        ({"body": [{"a": {1, 2}}]}, TypeError, "when(body=...) takes JSON values and compiled patterns"),
        ({"body": re.compile(b"x")}, TypeError, "when(body=...) takes a pattern of text, not of bytes"),
        ({"headers": "x"}, TypeError, "when(headers=...) takes a mapping of names, not 'x'"),
        ({"headers": {"x": 1}}, TypeError, "when(headers=...) takes names, each with a text, a compiled"),
        ({"headers": {"x": re.compile(b"")}}, TypeError, "when(headers=...) takes a pattern of text"),
        ({"nth": "1"}, TypeError, "when(nth=...) takes the number of a run, or a set or range"),
        ({"nth": True}, TypeError, "when(nth=...) takes the number of a run, or a set or range"),
        ({"nth": 0}, ValueError, "when(nth=...) takes numbers of runs, counted from 1, not 0"),
        ({"nth": [1, 0]}, ValueError, "when(nth=...) takes numbers of runs, counted from 1, not [1, 0]"),
        ({"nth": range(3)}, ValueError, "when(nth=...) takes numbers of runs, counted from 1, not range"),
        ({"nth": ()}, ValueError, "when(nth=...) takes numbers of runs, counted from 1, not ()"),
        ({"matches": "x"}, TypeError, "when(matches=...) takes a plain function of the request, not 'x'"),
    ],
)
def test_invalid_conditions_are_refused_when_they_are_written(given, raised, message):
    with pytest.raises(raised, match=f"^{re.escape(message)}"):
        MemoryNetwork().agent("a").when(**given)


async def _async(run):
    return True


def _generator(run):
    yield True


@pytest.mark.parametrize("function", [_async, _generator])
def test_a_function_that_cannot_decide_at_once_is_refused(function):
    with pytest.raises(TypeError, match="takes a plain function of the request"):
        MemoryNetwork().agent("a").when(matches=function)


# Every protocol finds the query


def _messages(name, *last, **more):
    return {name: [{"role": "user", "content": "first"}, {"role": "assistant", "content": "x"}, *last]} | more


REQUESTS = {
    "openai": ("/v1/chat/completions", _messages("messages", {"role": "user", "content": "hi"}, model="a")),
    "openai-parts": (
        "/v1/chat/completions",
        _messages(
            "messages",
            {"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]},
            {"role": "tool", "tool_call_id": "1", "content": "result"},
            model="a",
        ),
    ),
    "openai-one": ("/v1/chat/completions", {"model": "a", "messages": [{"role": "user", "content": "hi"}]}),
    "responses": ("/v1/responses", {"model": "a", "input": "hi"}),
    "responses-items": (
        "/v1/responses",
        _messages(
            "input",
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "function_call_output", "call_id": "1", "output": "{}"},
            model="a",
        ),
    ),
    "anthropic": (
        "/v1/messages",
        _messages(
            "messages",
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "n", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "r"}]},
            model="a",
            max_tokens=10,
        ),
    ),
    "gemini": (
        "/v1beta/models/a:generateContent",
        {
            "contents": [
                {"parts": [{"text": "first"}]},
                {"role": "model", "parts": []},
                {"parts": [{"text": "hi"}]},
            ]
        },
    ),
    "ollama": (
        "/api/chat",
        _messages("messages", {"role": "user", "content": "hi"}, model="a", stream=False),
    ),
    "ollama-generate": ("/api/generate", {"model": "a", "prompt": "hi", "stream": False}),
    "agui": (
        "/agui/a",
        {
            "threadId": "t",
            "runId": "r",
            "state": {},
            "tools": [],
            "context": [],
            "forwardedProps": {},
            "messages": [
                {"id": "1", "role": "user", "content": "no"},
                {"id": "2", "role": "user", "content": "hi"},
            ],
        },
    ),
    "vercel": (
        "/vercel/a",
        {
            "id": "c",
            "trigger": "submit-message",
            "messages": [
                {"id": "1", "role": "assistant", "parts": []},
                {"id": "2", "role": "user", "parts": [{"type": "text", "text": "hi"}]},
            ],
        },
    ),
    "langgraph": (
        "/runs/wait",
        {"assistant_id": "a", "input": {"messages": [{"type": "ai"}, {"type": "human", "content": "hi"}]}},
    ),
    "a2a": (
        "/a2a/a",
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "SendMessage",
            "params": {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]}},
        },
    ),
    "invoke": ("/v1/agents/a/invoke", {"query": "hi"}),
    "run": (
        "/api/v1/agents/a/run",
        {"entrypoint_tag": "generic", "input_args": [], "input_kwargs": {"query": "hi"}},
    ),
}
HEADERS = {"anthropic-version": "2023-06-01", "x-goog-api-key": "k", "a2a-version": "1.0"}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_protocol_finds_the_query(name):
    memory = MemoryNetwork()
    agent = memory.agent("a").always("own").returns("own")
    agent.when(query="hi").reply("the rule").returns_once("the rule")
    path, body = REQUESTS[name]
    headers = HEADERS if name in ("anthropic", "gemini", "a2a") else {}
    with client_of(memory) as client:
        client.send(post(path, body, **headers))
        assert b"the rule" in client.until(b"the rule")


class Shouting(RunsDialect):
    name = "shouting"

    def parse_request(self, request):
        found = super().parse_request(request)
        return found and replace(found, input=(found.body or {}).get("input"))

    def find_query(self, input):
        return str(input).upper()


@pytest.fixture(params=["server", "memory"])
def shouting(request):
    with player(request.param, dialects=[Shouting()]) as running:
        yield running


def test_a_dialect_of_your_own_finds_the_query(shouting):
    shouting.agent("a").always("own").when(query="HI").reply("rule")
    answers = [read(shouting, post("/agents/a", {"input": "hi"})) for _ in range(2)]
    assert ["rule", "own"] == [answer[2].split()[1] for answer in answers]


def test_rules_answer_runs_that_begin_in_the_background(shouting):
    agent = shouting.agent("a").always("own")
    facts = {"query": "HI", "headers": {"x-tenant": "acme"}, "nth": 1}
    agent.when(**facts, matches=lambda run: run.body["agent"] == "a").reply("rule")
    agent.when(nth=2).reply(status(409))
    begin = {"agent": "a", "input": "hi"}
    _, first = asked(shouting, post("/runs", begin, **{"X-Tenant": "acme"}))
    assert "e3 rule" in read(shouting, get(f"/runs/{first['run']}"))
    codes = [asked(shouting, post("/runs", begin))[0] for _ in range(2)]
    assert [409, 202] == codes


def test_a_run_in_the_background_that_no_rule_answers_is_refused(shouting):
    shouting.agent("a").when(query="other").always("rule")
    assert 500 == asked(shouting, post("/runs", {"agent": "a", "input": "hi"}))[0]
    assert "when(query='other'): the query is 'HI'" in shouting.unmatched[0].unmatched
