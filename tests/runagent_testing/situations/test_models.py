"""Situations of docs/situations.md with models behind other clients, several agents, and closed servers."""

from __future__ import annotations

import gc
import json
import threading

from runagent_testing import FakeAgentServer, MemoryNetwork, done, status, tool_call
from tests.runagent_testing.functions import client_of as client
from tests.runagent_testing.players import body_of, client_of
from tests.runagent_testing.raw_client import post

QUESTION = {"role": "user", "content": "Is it warmer in Oslo or in Rome?"}


def completion(host, messages):
    """Ask as the openai package does for a stream; return each `data:` but the last, decoded."""
    body = {"model": "m", "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    with client_of(host) as raw:
        raw.send(post("/v1/chat/completions", body))
        head, answer = raw.until(b"\r\n\r\n"), raw.until(b"data: [DONE]\n\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    lines = [line for line in answer.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def deltas(chunks):
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def test_a_stream_in_the_form_of_chatgpt_has_deltas_and_usage(host):
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    host.agent("m").always("Once", " upon", done(usage=usage))
    chunks = completion(host, [QUESTION])
    assert ["Once", " upon"] == [text for delta in deltas(chunks) if (text := delta.get("content"))]
    assert [5] == [chunk["usage"]["total_tokens"] for chunk in chunks if chunk.get("usage")]


def test_a_model_calls_two_tools_at_once_and_gets_their_results(host):
    def answer(request):
        results = [one["content"] for one in request.body["messages"] if one["role"] == "tool"]
        if results:
            return [" and ".join(results)]
        cities = enumerate(["Oslo", "Rome"])
        return [tool_call("weather", {"city": city}, id=f"c{n}", index=n) for n, city in cities]

    host.agent("m").responds(answer)
    pieces = [one for delta in deltas(completion(host, [QUESTION])) for one in delta.get("tool_calls", ())]
    calls = {one["index"]: one["function"]["name"] for one in pieces if one["function"].get("name")}
    assert {0: "weather", 1: "weather"} == calls
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": text} for n, text in enumerate("34")]
    text = [one["content"] for one in deltas(completion(host, [QUESTION, *results])) if one.get("content")]
    assert ["3 and 4"] == text


def test_a_model_refuses_a_long_context_and_a_filter_ends_its_stream(host):
    host.agent("m").reply(status(400, code="context_length_exceeded", message="too long"))
    host.agent("m").reply("Once", done(metadata={"finish_reason": "content_filter"}))
    with client_of(host) as raw:
        raw.send(post("/v1/chat/completions", {"model": "m", "messages": [QUESTION], "stream": True}))
        code, refusal = body_of(raw)
    assert (400, "context_length_exceeded") == (code, json.loads(refusal)["error"]["code"])
    choices = [choice for chunk in completion(host, [QUESTION]) for choice in chunk["choices"]]
    assert "content_filter" == choices[-1]["finish_reason"]


def test_two_agents_and_the_order_of_their_runs():
    memory = MemoryNetwork()
    for name, text in (("planner", "write"), ("writer", "Once"), ("critic", "good")):
        memory.agent(name).always(text)
    for name in ("planner", "writer", "critic", "writer"):
        with client(memory, agent=name) as asking:
            asking.run_generic_stream("hi").text()
    assert ["planner", "writer", "critic", "writer"] == [run.agent_id for run in memory.requests]


def test_no_thread_and_no_socket_of_a_closed_server_is_left(recwarn):
    before = set(threading.enumerate())
    with FakeAgentServer() as server:
        server.agent("a").always("Once")
        with client(server) as asking:
            assert "Once" == asking.run_generic_stream("hi").text()
    gc.collect()  # a socket that was left open warns now
    assert set() == set(threading.enumerate()) - before
    assert [] == [warning for warning in recwarn if warning.category is ResourceWarning]
