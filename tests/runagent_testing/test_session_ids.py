"""Conversations: the id that the fake agent names in its first message, echoed or assigned by a script."""

from __future__ import annotations

import pytest

from runagent import RunAgentClient
from runagent_testing import MemoryNetwork, RemoteFakeAgentServer, ending, head, repeat
from runagent_testing._standalone.script_file import ScriptFileError, read_script
from tests.runagent_testing.virtual import STYLES, Virtual

TRANSPORTS = ["sse", "chunked", "websocket"]


def chat(memory, transport, *sessions):
    """Ask once for each id, and return those that the agent names."""
    client = RunAgentClient(
        "a", base_url=memory.url, network=memory.blocking, transport=transport, max_retries=0
    )
    with client:
        streams = [client.run_generic_stream("x", session_id=session) for session in sessions]
        return [(stream.text(), named(stream)) for stream in streams]


def named(stream):
    """Return the conversation that the first message of a stream names."""
    assert stream.started is not None
    return stream.started.session_id


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_id_of_the_request_is_echoed(transport):
    memory = MemoryNetwork()
    memory.agent("a").always("x")
    echoed = None if transport == "websocket" else "s1"  # as of the published server
    assert [("x", None), ("x", echoed), ("x", None)] == chat(memory, transport, None, "s1", None)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_script_assigns_one(transport):
    memory = MemoryNetwork()
    memory.agent("a").reply("x", session_id="s2").always("y", session_id="")
    assert [("x", "s2"), ("y", ""), ("y", "")] == chat(memory, transport, "s1", "s1", None)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_next_turn_sends_what_the_service_has_chosen(style, transport):
    virtual = Virtual(style)
    virtual.memory.agent("a").always("x", session_id="s1")

    async def scenario():
        client, session = virtual.client(transport), None
        for _ in range(2):
            stream = client.run_generic_stream("x", session_id=session)
            await stream.text()
            session = named(stream)
        return session

    assert "s1" == virtual.run(scenario)
    assert [None, "s1"] == [exchange.input.get("session_id") for exchange in virtual.memory.requests]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", ["long", "generator", "list", "late head"])
def test_every_kind_of_script_assigns_one(transport, kind):
    memory = MemoryNetwork()
    agent = memory.agent("a")
    match kind:
        case "long":
            agent.always(repeat("x", times=5000), session_id="s2")
        case "generator":
            agent.responds(lambda _: iter("xx"), session_id="s2")
        case "list":
            agent.responds(lambda _: ["x"], session_id="s2")
        case "late head":
            agent.always(head(headers={"x-a": "b"}), "x", session_id="s2")
    assert ["s2", "s2"] == [session for _, session in chat(memory, transport, None, "s1")]


def test_a_head_may_leave_out_the_first_message_all_the_same():
    memory = MemoryNetwork()
    memory.agent("a").always(head(start=False), "x", session_id="s2")
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking)
    stream = client.run_generic_stream("x")
    assert ("x", None) == (stream.text(), stream.started)


def test_a_fault_in_the_place_of_an_answer_keeps_the_conversation():
    memory = MemoryNetwork()
    memory.agent("a").always("x", session_id="s2")
    memory.inject("sse/fin-after-event-1", agent="a")
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking, transport="sse", retry_delay=0)
    stream = client.run_generic_stream("x")
    stream.text()
    assert "s2" == named(stream)


def test_a_script_file_assigns_one():
    memory = MemoryNetwork()
    text = "agents: {a: {replies: [{steps: [x], session_id: s2}], always: {steps: [y], session_id: s3}}}"
    read_script(text, "a.yaml").apply(memory)
    assert [("x", "s2"), ("y", "s3")] == chat(memory, "sse", None, "s2")


@pytest.mark.parametrize("value", ["7", "[s1]"])
def test_an_id_is_text(value):
    with pytest.raises(ScriptFileError, match="session_id is text or null, not "):
        read_script(f"agents: {{a: {{always: {{steps: [x], session_id: {value}}}}}}}", "a.yaml")
    with pytest.raises(TypeError, match="session_id= is text, not 7"):
        MemoryNetwork().agent("a").always("x", ending("clean"), session_id=7)  # type: ignore[arg-type]


def test_it_is_assigned_over_http(served, control):
    control.change("PUT", "/agents/a", {"always": {"steps": ["x"], "session_id": "s2"}})
    with RunAgentClient("a", base_url=served.url, transport="websocket") as client:
        stream = client.run_generic_stream("x", session_id="s1")
        assert ("x", "s2") == (stream.text(), named(stream))
    remote = RemoteFakeAgentServer(served.url)
    remote.agent("a").reply("y", session_id="s3")
    with RunAgentClient("a", base_url=served.url) as client:
        stream = client.run_generic_stream("x", session_id="s1")
        assert ("y", "s3") == (stream.text(), named(stream))
